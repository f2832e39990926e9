import fc from 'fast-check';
import type { BaseBand, Closes } from '../../src/domain/outcome.ts';
import type { ScenarioName } from '../../src/domain/probabilities.ts';
import { change, compare, rationalOf } from './rationals.ts';

/** A band, and closes of which many lie on one of its edges or a rounding away from it. */
export type Case = { band: BaseBand; closes: Closes };

const price = fc.oneof(
  fc.integer({ min: 1, max: 1_000_000 }).map((cents) => cents / 100),
  fc.double({ min: 1e-6, max: 1e9, noNaN: true }),
);
const edge = fc.oneof(
  fc.integer({ min: -9_999, max: 30_000 }).map((points) => points / 10_000),
  fc.double({ min: -0.999, max: 10, noNaN: true }),
);

export const cases: fc.Arbitrary<Case> = fc
  .tuple(price, price, edge, edge, fc.integer({ min: 0, max: 3 }))
  .filter(([, , one, other]) => one !== other)
  .map(([start, other, one, two, kind]) => {
    const [low, high] = one < two ? [one, two] : [two, one];
    const onEdge = (bound: number) => Number((start * (1 + bound)).toPrecision(15));
    const ends = [other, onEdge(low), onEdge(high), start * (1 + high)];
    return { band: { low, high }, closes: { start, end: ends[kind] ?? other } };
  });

/** The scenario by fractions of whole numbers. */
export function outcomeByFractions({ band, closes }: Case): ScenarioName {
  const value = change(rationalOf(closes.end), rationalOf(closes.start));
  if (compare(value, rationalOf(band.low)) < 0) return 'bear';
  return compare(value, rationalOf(band.high)) < 0 ? 'base' : 'bull';
}
