import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  outcomeFor,
  outcomeOfCloses,
  outcomeOfReturn,
  type ResolvedBy,
  returnOfCloses,
} from '../../src/domain/outcome.ts';
import { cases, outcomeByFractions } from '../support/closes.ts';
import { change, isNearest, rationalOf } from '../support/rationals.ts';

const BAND = { low: -0.1, high: 0.15 };

// 100 → 115 is +15 %, the first return of bull in a base band of [−10 %, 15 %). As doubles, 115 / 100 − 1 is
// 0.1499999999999999.
test.each([
  [100, 115, 'bull', 0.15],
  [100, 114.99999999999999, 'base', 0.1499999999999999],
  [100, 90, 'base', -0.1],
  [100, 89.99999999999999, 'bear', -0.1000000000000001],
  [3, 3.45, 'bull', 0.15],
  [1.1, 1.265, 'bull', 0.15],
])('from %d to %d is %s', (start, end, outcome, value) => {
  expect(outcomeOfCloses(BAND, { start, end })).toBe(outcome);
  expect(returnOfCloses({ start, end })).toBe(value);
});

test('120 exact edges: closes that rise from a whole number by a whole percent', () => {
  for (let percent = -60; percent < 60; percent += 1) {
    const closes = { start: 100, end: 100 + percent };
    const edge = percent / 100;
    expect(outcomeOfCloses({ low: -0.9, high: edge }, closes)).toBe('bull');
    expect(outcomeOfCloses({ low: edge, high: 0.9 }, closes)).toBe('base');
    expect(returnOfCloses(closes)).toBe(edge);
  }
});

test('of 10,000 random bands and closes, none differs from fractions of whole numbers', () => {
  fc.assert(
    fc.property(cases, (one) => {
      expect(outcomeOfCloses(one.band, one.closes)).toBe(outcomeByFractions(one));
    }),
    { numRuns: 10_000 },
  );
});

test('the return between closes is the double nearest to the exact one', () => {
  fc.assert(
    fc.property(cases, ({ closes }) => {
      const exact = change(rationalOf(closes.end), rationalOf(closes.start));
      expect(isNearest(returnOfCloses(closes), exact)).toBe(true);
    }),
    { numRuns: 3_000 },
  );
});

describe('a version with a band of its own', () => {
  const resolved = (changed: Partial<ResolvedBy> = {}): ResolvedBy => ({
    outcome: 'bull',
    realisedReturn: 0.15,
    closes: { start: 100, end: 115 },
    band: BAND,
    ...changed,
  });
  const wide = { low: -0.1, high: 0.2 };
  const narrow = { low: -0.1, high: 0.1 };

  test.each([
    ['by the closes that decided', resolved(), wide, 'base'],
    ['by the closes, at its edge', resolved({ band: narrow }), BAND, 'bull'],
    ['by a return that was stated', resolved({ closes: null }), wide, 'base'],
    [
      'by the closes, although another return was stated',
      resolved({ realisedReturn: 0.3 }),
      wide,
      'base',
    ],
    [
      'as it was resolved, without a return',
      resolved({ closes: null, realisedReturn: null }),
      wide,
      'bull',
    ],
    ['as it was resolved, against the closes', resolved({ outcome: 'bear' }), wide, 'bear'],
    ['as it was resolved, with the same band', resolved(), { ...BAND }, 'bull'],
    ['as it was resolved, without a band', resolved(), null, 'bull'],
    // Stored by a release that divided doubles: wrong, but it stands until it is corrected.
    [
      'as it was resolved, by a rounded quotient',
      resolved({ outcome: 'base', realisedReturn: 115 / 100 - 1 }),
      narrow,
      'base',
    ],
  ] as const)('is scored %s', (_, by, band, outcome) => {
    expect(outcomeFor(by, band)).toBe(outcome);
  });
});

test('a stated return is a decimal, which doubles keep in order', () => {
  expect(outcomeOfReturn(BAND, 0.15)).toBe('bull');
  expect(outcomeOfReturn(BAND, 0.1499999999999999)).toBe('base');
});
