import { Decimal } from 'decimal.js';

// Enough digits for any sum or product of a few doubles, so that neither is ever rounded.
const Exact = Decimal.clone({ precision: 2_000 });
// Far more digits than a double has, for results that have no end.
const Quotient = Decimal.clone({ precision: 60 });

/** The decimal that a number stands for, such as exactly 0.1, to add, multiply and compare without rounding. */
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
