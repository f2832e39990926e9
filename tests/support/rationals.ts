/** The double nearest to a quotient of integers, ties to even (IEEE 754), in integer arithmetic alone. */
export function nearestDouble(dividend: bigint, divisor: bigint): number {
  if (dividend === 0n) return 0;
  const isNegative = dividend < 0n !== divisor < 0n;
  const [n, d] = [abs(dividend), abs(divisor)];
  // 2^52 ≤ n · 2^shift ÷ d < 2^54, then one more bit is dropped if there is one.
  let shift = 53 - (bits(n) - bits(d));
  let [q, rest] = divided(n, d, shift);
  if (q >= 2n ** 53n) {
    shift -= 1;
    [q, rest] = divided(n, d, shift);
  }
  const over = shift < 0 ? d << BigInt(-shift) : d;
  if (2n * rest > over || (2n * rest === over && q % 2n === 1n)) q += 1n;
  return (isNegative ? -1 : 1) * Number(q) * 2 ** -shift;
}

function divided(n: bigint, d: bigint, shift: number): [quotient: bigint, rest: bigint] {
  const [dividend, divisor] = shift < 0 ? [n, d << BigInt(-shift)] : [n << BigInt(shift), d];
  return [dividend / divisor, dividend % divisor];
}

const abs = (value: bigint): bigint => (value < 0n ? -value : value);
const bits = (value: bigint): number => value.toString(2).length;
