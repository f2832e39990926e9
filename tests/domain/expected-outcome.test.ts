import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expectedCentralReturn, expectedOutcome } from '../../src/domain/expected-outcome.ts';
import { probabilitiesOf } from '../../src/domain/probabilities.ts';
import type { ReturnBand, Scenarios } from '../../src/domain/scenarios.ts';
import { probabilities } from '../support/arbitraries.ts';
import { nearestDouble } from '../support/rationals.ts';
import { outlookBody } from '../support/requests.ts';

const sample = outlookBody()['scenarios'] as Scenarios;
const withBands = (
  bear: ReturnBand | null,
  base: ReturnBand | null,
  bull: ReturnBand | null,
): Scenarios => ({
  bear: { ...sample.bear, returnBand: bear },
  base: { ...sample.base, returnBand: base },
  bull: { ...sample.bull, returnBand: bull },
});
const BANDS = withBands({ min: null, max: -0.1 }, { min: -0.1, max: 0.1 }, { min: 0.1, max: null });
const label = (key: string, minDepth: number | null) => ({
  key,
  label: key,
  minDepth,
  speed: null,
  typicalCause: 'C',
  implication: 'I',
});
const points = (bear: number, base: number, bull: number) => probabilitiesOf({ bear, base, bull });

describe('the expected return', () => {
  test('is bounded only if no scenario with a positive probability is open', () => {
    expect(expectedOutcome(points(3000, 4500, 2500), BANDS, [])?.range).toEqual({
      min: { value: null, reason: 'the bear band is open below' },
      max: { value: null, reason: 'the bull band is open above' },
    });
    const { range } = expectedOutcome(points(0, 6000, 4000), BANDS, []) ?? {};
    expect(range?.min.value).toBe(-0.02); // 0.6 · −0.1 + 0.4 · 0.1
    expect(range?.max).toEqual({ value: null, reason: 'the bull band is open above' });
    const all = expectedOutcome(points(0, 10_000, 0), BANDS, [])?.range;
    expect([all?.min.value, all?.max.value]).toEqual([-0.1, 0.1]);
  });

  test('is bounded by the outer bounds that are stated, to the last digit', () => {
    const bands = withBands(
      { min: -1.2, max: -0.1 },
      { min: -0.1, max: 0.1 },
      { min: 0.1, max: 0.7 },
    );
    // By hand: 0.3 · −1.2 + 0.45 · −0.1 + 0.25 · 0.1, and 0.3 · −0.1 + 0.45 · 0.1 + 0.25 · 0.7.
    expect(expectedOutcome(points(3000, 4500, 2500), bands, [])?.range).toEqual({
      min: { value: -0.38, reason: null },
      max: { value: 0.19, reason: null },
    });
  });

  const withCentral = (bear: number | null, base: number | null, bull: number | null) => ({
    bear: { ...BANDS.bear, centralReturn: bear },
    base: { ...BANDS.base, centralReturn: base },
    bull: { ...BANDS.bull, centralReturn: bull },
  });
  test('is the mean of the central returns if all are stated', () => {
    const central = (...returns: [number | null, number | null, number | null]) =>
      expectedCentralReturn(points(3000, 4500, 2500), withCentral(...returns));
    // By hand: 0.3 · −0.25 + 0.45 · 0.02 + 0.25 · 0.2.
    expect(central(-0.25, 0.02, 0.2)).toEqual({ value: -0.016, reason: null });
    expect(central(-0.25, null, 0.2)).toEqual({
      value: null,
      reason: 'the base scenario has no central return',
    });
    expect(central(null, null, null).reason).toBe('the scenarios have no central return');
    expect(central(null, 0, null).reason).toBe(
      'the bear and bull scenarios have no central return',
    );
  });

  test('of any central returns is the nearest double, in rational arithmetic', () => {
    const value = fc.integer({ min: -1_000_000_000, max: 1_000_000_000 });
    fc.assert(
      fc.property(probabilities, value, value, value, (p, bear, base, bull) => {
        const scenarios = withCentral(bear / 1e6, base / 1e6, bull / 1e6);
        const sum = [p.bear * bear, p.base * base, p.bull * bull].map(BigInt);
        const exact = nearestDouble(
          sum.reduce((a, b) => a + b),
          10_000n * 1_000_000n,
        );
        expect(expectedCentralReturn(p, scenarios).value).toBe(exact);
      }),
    );
  });

  test('is null without bands', () => {
    expect(expectedOutcome(points(0, 10_000, 0), withBands(null, null, null), [])).toBeNull();
  });
});

describe('the chance of a fall', () => {
  const chances = (depth: number, scenarios = BANDS) => {
    const found = expectedOutcome(points(3000, 4500, 2500), scenarios, [label('x', depth)]);
    const [one] = found?.thresholds ?? [];
    return [one?.atLeast, one?.atMost];
  };
  test.each([
    ['at the edge of a band', 0.1, [0.3, 0.3]],
    ['within the open band', 0.2, [0, 0.3]],
    ['within the base band', 0.05, [0.3, 0.75]],
  ])('%s lies between what the bands imply', (_, depth, expected) => {
    expect(chances(depth)).toEqual(expected);
  });

  test('counts a band that ends below the label', () => {
    const deep = withBands(
      { min: null, max: -0.3 },
      { min: -0.3, max: -0.2 },
      { min: -0.2, max: null },
    );
    expect(chances(0.2, deep)).toEqual([0.75, 0.75]);
    expect(chances(0.25, deep)).toEqual([0.3, 0.75]);
    expect(chances(0.1, deep)).toEqual([0.75, 1]);
  });

  test('does not end at a stated outer bound, because a return beyond it still counts', () => {
    const stated = withBands(
      { min: -0.3, max: -0.1 },
      { min: -0.1, max: 0.1 },
      { min: 0.1, max: 0.3 },
    );
    for (const depth of [0.05, 0.1, 0.2, 0.3, 0.5]) {
      expect([depth, ...chances(depth, stated)]).toEqual([depth, ...chances(depth)]);
    }
    const deep = withBands(
      { min: -0.9, max: -0.6 },
      { min: -0.6, max: -0.4 },
      { min: -0.4, max: -0.2 },
    );
    expect(chances(0.2, deep)).toEqual([0.75, 1]);
  });

  test('is given for labels that have a depth', () => {
    const labels = [label('a', 0.1), label('b', null), label('c', 0.2)];
    const found = expectedOutcome(points(3000, 4500, 2500), BANDS, labels);
    expect(found?.thresholds.map(({ key }) => key)).toEqual(['a', 'c']);
  });
});
