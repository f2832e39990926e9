import { Decimal } from 'decimal.js';

// Enough digits for any sum or product of a few doubles, so that neither is ever rounded.
const Exact = Decimal.clone({ precision: 2_000 });
// Far more digits than a double has, for quotients, whose digits may never end.
const Quotient = Decimal.clone({ precision: 60 });

/** The shortest decimal that reads as a number, such as exactly 0.1, to add, multiply and compare without rounding. */
export const exact = (value: number | bigint): Decimal => new Exact(value);

// 25 digits decide the nearest double for each whole basis point, as a test shows.
const Logarithm = Decimal.clone({ precision: 25 });

/** The double nearest to the natural logarithm of a quotient of decimals. */
export function nearestLogarithm(dividend: Decimal, divisor: Decimal): number {
  return new Logarithm(dividend).div(divisor).ln().toNumber();
}

/** The double nearest to a quotient of decimals. */
export function nearestQuotient(dividend: Decimal, divisor: Decimal): number {
  return new Quotient(dividend).div(divisor).toNumber();
}

/**
 * Why a double can't represent a number as written in JSON or CSV; null if it can. Refused are numbers beyond
 * ±(2^53 − 1), up to which whole numbers are exact (RFC 7493, section 2.2), and those so small that the double is 0. Any
 * other number keeps at least its first 15 digits.
 */
export function numberFault(text: string): string | null {
  const value = Number(text);
  const written = text.length > 50 ? `${text.slice(0, 50)}…` : text;
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    return `${written} is beyond ±${Number.MAX_SAFE_INTEGER}, up to which JSON numbers are exact: use a larger unit`;
  }
  if (value === 0 && /[1-9]/.test(text.split(/e/i, 1)[0] ?? '')) {
    return `${written} is too small for a JSON number, which would be 0: send 0 or use a smaller unit`;
  }
  return null;
}
