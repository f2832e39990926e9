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

/** An exact fraction; the denominator is positive. */
export type Rational = { over: bigint; under: bigint };

/** The decimal that a number is written as, as an exact fraction, by its digits alone. */
export function rationalOf(value: number): Rational {
  const [, sign = '', whole = '', part = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value)) ?? [];
  const digits = BigInt(`${sign}${whole}${part}`);
  const power = Number(exponent) - part.length;
  return power >= 0
    ? { over: digits * 10n ** BigInt(power), under: 1n }
    : { over: digits, under: 10n ** BigInt(-power) };
}

/** −1, 0 or 1, as a is below, at or above b. */
export function compare(a: Rational, b: Rational): number {
  const difference = a.over * b.under - b.over * a.under;
  return difference < 0n ? -1 : Number(difference > 0n);
}

/** a / b − 1, for a positive b. */
export function change(a: Rational, b: Rational): Rational {
  const under = a.under * b.over;
  return { over: a.over * b.under - under, under };
}

const view = new DataView(new ArrayBuffer(8));

/** The double itself, as an exact fraction, by its bits. */
export function binaryOf(value: number): Rational {
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = exponent === 0 ? fraction : fraction | (1n << 52n);
  const over = bits >> 63n === 1n ? -mantissa : mantissa;
  const power = Math.max(exponent, 1) - 1075;
  return power >= 0
    ? { over: over << BigInt(power), under: 1n }
    : { over, under: 1n << BigInt(-power) };
}

/** The doubles before and after one that is not 0. */
function neighboursOf(value: number): [number, number] {
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const at = (moved: bigint) => {
    view.setBigUint64(0, moved);
    return view.getFloat64(0);
  };
  return [at(bits - 1n), at(bits + 1n)];
}

/** Whether a double is as near to an exact value as any other double. */
export function isNearest(value: number, exact: Rational): boolean {
  if (value === 0) return exact.over === 0n;
  const distance = (other: number): Rational => {
    const { over, under } = binaryOf(other);
    const difference = over * exact.under - exact.over * under;
    return { over: difference < 0n ? -difference : difference, under: under * exact.under };
  };
  const here = distance(value);
  return neighboursOf(value).every((other) => compare(here, distance(other)) <= 0);
}
