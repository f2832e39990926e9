import { describe, expect, test } from 'vitest';
import { expectedOutcome } from '../../src/domain/expected-outcome.ts';
import { probabilitiesOf } from '../../src/domain/probabilities.ts';
import type { ReturnBand, Scenarios } from '../../src/domain/scenarios.ts';
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
    expect(range?.min.value).toBeCloseTo(-0.06 + 0.04, 12);
    expect(range?.max).toEqual({ value: null, reason: 'the bull band is open above' });
    const all = expectedOutcome(points(0, 10_000, 0), BANDS, [])?.range;
    expect([all?.min.value, all?.max.value]).toEqual([-0.1, 0.1]);
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

  test('is given for labels that have a depth', () => {
    const labels = [label('a', 0.1), label('b', null), label('c', 0.2)];
    const found = expectedOutcome(points(3000, 4500, 2500), BANDS, labels);
    expect(found?.thresholds.map(({ key }) => key)).toEqual(['a', 'c']);
  });
});
