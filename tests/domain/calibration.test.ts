import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  calibrationOf,
  type CountedSums,
  decompositionOf,
  effectiveNumber,
} from '../../src/domain/calibration.ts';
import { type Fractions, fractionsOf, SCENARIO_NAMES } from '../../src/domain/probabilities.ts';
import { scoresOf, UNIFORM } from '../../src/domain/scoring.ts';
import { skillOfAnalyst, trackRecordOf } from '../../src/domain/track-record.ts';
import { probabilities } from '../support/arbitraries.ts';
import {
  clustersOf,
  coverageOf,
  type ForecastStep,
  isCurrent,
  type ScoredOutlook,
  sumsOf,
} from '../support/forecast-sums.ts';

/** Sums of single events, each of an outlook of its own. */
function summed(...events: [p: number, happened: number][]): CountedSums[] {
  return Array.from({ length: 10 }, (_, bucket) => {
    const inside = events.filter(([p]) => Math.min(9, Math.floor(p * 10 + 1e-9)) === bucket);
    const sum = (of: (event: [number, number]) => number) =>
      inside.reduce((total, event) => total + of(event), 0);
    return {
      bucket,
      n: inside.length,
      weight: inside.length,
      squared: inside.length,
      predicted: sum(([p]) => p),
      realised: sum(([, happened]) => happened),
    };
  });
}
const decomposed = (events: [p: number, happened: number][]) =>
  decompositionOf(
    [summed(...events)],
    events.reduce((sum, [p, o]) => sum + (p - o) ** 2, 0) / events.length,
  );

describe('buckets', () => {
  test('have the mean prediction and the observed rate', () => {
    const [bucket] = calibrationOf(summed([0.31, 1], [0.33, 0], [0.35, 0], [0.37, 1]));
    expect(bucket).toMatchObject({
      from: 0.3,
      to: 0.4,
      n: 4,
      weight: 4,
      nEffective: 4,
      realisedRate: 0.5,
      predictedMean: 0.34,
    });
    // Wilson's interval of 2 in 4, as tables have it.
    expect(bucket?.interval.low).toBeCloseTo(0.15004, 4);
    expect(bucket?.interval.high).toBeCloseTo(0.84996, 4);
  });

  test('count independent outlooks by the weights of their clusters', () => {
    // Kish: (1 + 0.5)² / (1 + 0.25) is 1.8, more than the weight of 1.5.
    expect(effectiveNumber(1.5, 1.25)).toBe(1.5);
    // Weights of 3 and 1: 16 / 10, less than the weight of 4.
    const [bucket] = calibrationOf([
      { bucket: 3, n: 4, weight: 4, squared: 10, predicted: 1.4, realised: 3 },
    ]);
    expect(bucket?.nEffective).toBe(1.6);
    // Wilson's interval of a rate of 3/4 in 1.6, worked out.
    const [z2, rate] = [1.959963984540054 ** 2, 3 / 4];
    const centre = (rate + z2 / 3.2) / (1 + z2 / 1.6);
    const half = Math.sqrt(z2 * ((rate * (1 - rate)) / 1.6 + z2 / (4 * 1.6 ** 2))) / (1 + z2 / 1.6);
    expect(bucket?.interval.low).toBeCloseTo(centre - half, 10);
    expect(bucket?.interval.high).toBeCloseTo(Math.min(1, centre + half), 10);
  });

  test('without much weight say next to nothing', () => {
    const weight = 2e-8;
    const [bucket] = calibrationOf([
      { bucket: 9, n: 5, weight, squared: weight ** 2 / 5, predicted: 1.96e-8, realised: weight },
    ]);
    expect(bucket).toMatchObject({ n: 5, realisedRate: 1, nEffective: 2e-8 });
    expect(bucket?.interval.low).toBeLessThan(1e-8);
  });
});

const events = fc.array(
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1)),
  { minLength: 1, maxLength: 60 },
);

test("Murphy's parts add up to the mean of (p − o)²", () => {
  fc.assert(
    fc.property(events, (all) => {
      const mean = all.reduce((sum, [p, o]) => sum + (p - o) ** 2, 0) / all.length;
      const { reliability, resolution, uncertainty, withinBuckets } = decomposed(all);
      expect(reliability - resolution + uncertainty + withinBuckets).toBeCloseTo(mean, 11);
      for (const part of [reliability, resolution, uncertainty]) {
        expect(part).toBeGreaterThanOrEqual(0);
      }
      expect(uncertainty).toBeLessThanOrEqual(0.25);
    }),
  );
});

test('forecasts that are equal within their buckets leave no variation', () => {
  const quarter: [number, number][] = [0, 1, 0, 0].map((o) => [0.25, o]);
  const most: [number, number][] = [1, 1, 0, 1].map((o) => [0.75, o]);
  expect(decomposed([...quarter, ...most])).toEqual({
    reliability: 0,
    resolution: 0.0625,
    uncertainty: 0.25,
    withinBuckets: 0,
  });
});

test('variation within a bucket that follows the outcomes is negative', () => {
  // By hand: variance 0.04² = 0.0016, covariance with the outcomes ±0.04 · 0.5 = 0.02; 0.0016 ∓ 2 · 0.02.
  const within = (happened: number) =>
    decomposed([
      [0.59, happened],
      [0.51, 1 - happened],
    ]).withinBuckets;
  expect([within(1), within(0)]).toEqual([-0.0384, 0.0416]);
});

const outlook = (
  steps: readonly ForecastStep[],
  change: Partial<ScoredOutlook> = {},
): ScoredOutlook => ({
  instrument: 'RUT',
  from: 0,
  to: 10,
  steps,
  reference: UNIFORM,
  attainable: 1,
  byCloses: false,
  ...change,
});

const outlooks: fc.Arbitrary<ScoredOutlook[]> = fc.array(
  fc
    .record({
      parts: fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), probabilities), {
        minLength: 1,
        maxLength: 6,
      }),
      outcome: fc.constantFrom(...SCENARIO_NAMES),
      late: fc.integer({ min: 0, max: 30 }),
      instrument: fc.constantFrom('RUT', 'SPX', 'DAX'),
      from: fc.integer({ min: 0, max: 60 }),
      days: fc.integer({ min: 1, max: 15 }),
      reference: fc.option(probabilities.map((points) => fractionsOf(points))),
      byCloses: fc.boolean(),
    })
    .map(({ parts, outcome, late, instrument, from, days, reference, byCloses }) => {
      let at = late;
      const steps = parts.map(([length, points]): ForecastStep => {
        const step = { start: at / 400, end: (at + length) / 400 };
        at += length;
        return { ...step, forecast: fractionsOf(points), outcome };
      });
      return { instrument, from, to: from + days, steps, reference, byCloses, attainable: 0.9 };
    }),
  { minLength: 1, maxLength: 25 },
);

/** Expects a figure, or none. */
const expectNear = (actual: number | null | undefined, expected: number | null): void =>
  expect(actual).toEqual(expected === null ? null : expect.closeTo(expected, 8));

test('a record agrees with its definitions, computed independently', () => {
  fc.assert(
    fc.property(outlooks, (all) => {
      const record = trackRecordOf(sumsOf(all));
      const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
      const share = ({ start, end }: ForecastStep) => end - start;
      // c and S of each outlook, and S of its reference.
      const meanOf = ({ steps }: ScoredOutlook, score: (step: ForecastStep) => number) =>
        sum(steps.map((step) => share(step) * score(step))) / sum(steps.map(share));
      const scored = all.map((one) => ({
        ...one,
        c: coverageOf(one),
        s: meanOf(one, ({ forecast, outcome }) => scoresOf(forecast, outcome).brier),
        r:
          one.reference &&
          meanOf(one, ({ outcome }) => scoresOf(one.reference ?? UNIFORM, outcome).brier),
      }));
      const weight = sum(scored.map(({ c }) => c));
      const mean = sum(scored.map(({ c, s }) => c * s)) / weight;
      const clusters = clustersOf(scored);
      expect(record).toMatchObject({ n: all.length, clusters: clusters.length });
      expect(record.nEffective).toBeCloseTo(weight, 10);
      expect(record.coverage).toBeCloseTo(weight / all.length, 10);
      expect(record.attainableCoverage).toBeCloseTo(0.9, 10);
      const { brier } = record.scores ?? {};
      expect(brier?.mean.value).toBeCloseTo(mean, 10);
      const errorOver = (
        groups: (typeof scored)[],
        e: (one: (typeof scored)[0]) => number,
        over: number,
      ) =>
        Math.sqrt(
          (groups.length / (groups.length - 1)) *
            sum(groups.map((group) => sum(group.map(e)) ** 2)),
        ) / over;
      expectNear(
        brier?.standardError.value,
        clusters.length < 2 ? null : errorOver(clusters, ({ c, s }) => c * (s - mean), weight),
      );
      const compared = scored.filter(({ reference }) => reference !== null);
      const over = sum(compared.map(({ c, r }) => c * (r ?? 0)));
      const isEnough = sum(compared.map(({ c }) => c)) > 1 - 1e-9 && over > 0;
      const skill = isEnough ? 1 - sum(compared.map(({ c, s }) => c * s)) / over : null;
      expect(record.compared.n).toBe(compared.length);
      expectNear(brier?.skill.value, skill);
      const groups = clusters
        .map((group) => group.filter(({ reference }) => reference !== null))
        .filter((group) => group.length > 0);
      expectNear(
        brier?.skillError.value,
        skill === null || groups.length < 2
          ? null
          : errorOver(groups, ({ c, s, r }) => c * (s - (1 - skill) * (r ?? 0)), over),
      );
      const parts = record.decomposition?.overall;
      if (!parts) throw new Error('no decomposition');
      expect(
        parts.reliability - parts.resolution + parts.uncertainty + parts.withinBuckets,
      ).toBeCloseTo(mean, 10);
      expect(sum(record.calibration.bear.map((bucket) => bucket.weight))).toBeCloseTo(weight, 8);
      expect(sum(record.calibration.overall.map((bucket) => bucket.weight))).toBeCloseTo(
        3 * weight,
        8,
      );
      for (const { lead, n, nEffective, brier: then, decomposition } of record.leadTimes) {
        const current = scored.flatMap(({ steps, c }) =>
          steps
            .filter((step) => isCurrent(step, Math.round(10 * (1 - lead))))
            .map((step) => ({ ...step, c })),
        );
        expect(n).toBe(current.length);
        expect(nEffective).toBeCloseTo(sum(current.map(({ c }) => c)), 10);
        const score =
          sum(current.map(({ c, forecast, outcome }) => c * scoresOf(forecast, outcome).brier)) /
          sum(current.map(({ c }) => c));
        expect(then.mean).toBeCloseTo(score, 10);
        const { reliability, resolution, uncertainty, withinBuckets } = decomposition;
        expect(reliability - resolution + uncertainty + withinBuckets).toBeCloseTo(score, 10);
      }
    }),
  );
});

const certain = (bear: number): Fractions => ({ bear, base: 1 - bear, bull: 0 });
const step = (bear: number, outcome: ForecastStep['outcome'], end = 1): ForecastStep => ({
  start: 0,
  end,
  forecast: certain(bear),
  outcome,
});
/** Each outlook on an instrument of its own. */
const recordOf = (all: readonly ForecastStep[], reference: Fractions | null = UNIFORM) =>
  trackRecordOf(
    sumsOf(all.map((one, index) => outlook([one], { instrument: `I${index}`, reference }))),
  );

describe('a record', () => {
  test('of nothing is empty', () => {
    expect(trackRecordOf(sumsOf([]))).toEqual({
      n: 0,
      nEffective: 0,
      clusters: 0,
      coverage: null,
      attainableCoverage: null,
      compared: { n: 0, nEffective: 0 },
      outcomes: { closes: 0, stated: 0 },
      scores: null,
      calibration: { bear: [], base: [], bull: [], overall: [] },
      decomposition: null,
      leadTimes: [],
    });
  });

  test('of outlooks that overlap on one instrument has no standard error, and says so', () => {
    const { scores, clusters } = trackRecordOf(
      sumsOf([
        outlook([step(0.5, 'bear')]),
        outlook([step(0.9, 'bear')], { from: 9, to: 19 }),
        outlook([step(0.9, 'base')], { from: 18, to: 20 }),
      ]),
    );
    expect(clusters).toBe(1);
    expect(scores?.brier.standardError).toEqual({
      value: null,
      reason:
        'all outlooks are in one cluster of overlapping horizons, too few for a standard error',
    });
  });

  test('has a cluster for each instrument, and for each horizon after another', () => {
    const all = [
      outlook([step(0.5, 'bear')]),
      outlook([step(0.9, 'bear')], { from: 10, to: 20 }),
      outlook([step(0.9, 'bear')], { instrument: 'SPX' }),
    ];
    expect(trackRecordOf(sumsOf(all)).clusters).toBe(3);
  });

  test('weighs an outlook by the share of its horizon that was forecast', () => {
    // By hand: Brier 0.5 for the whole horizon and 1.62 for a quarter: (0.5 + 0.25 · 1.62) / 1.25.
    const { scores, nEffective, coverage } = recordOf([step(0.5, 'bear'), step(0.1, 'bear', 0.25)]);
    expect(scores?.brier.mean.value).toBe(0.724);
    expect([nEffective, coverage]).toEqual([1.25, 0.625]);
    // Residuals ±0.224, two clusters: √(2 · 2 · 0.224²) / 1.25.
    expect(scores?.brier.standardError.value).toBe(0.3584);
    expect(scores?.brier.skill.value).toBe(-0.086);
  });

  test('of less than one whole horizon has no skill, and says why', () => {
    const { scores } = recordOf([step(0.5, 'bear', 0.3), step(0.5, 'bear', 0.3)]);
    expect(scores?.brier.mean.value).toBe(0.5);
    expect(scores?.brier.skill).toEqual({
      value: null,
      reason: 'less than one whole horizon was forecast, too little for skill',
    });
  });

  test('has no noise where there is no difference', () => {
    const third: ForecastStep = { start: 0, end: 1, forecast: { ...UNIFORM }, outcome: 'bear' };
    const { scores } = recordOf([third, { ...third, end: 0.7 }, { ...third, end: 0.1 }]);
    expect(scores?.brier.standardError.value).toBe(0);
    expect(scores?.brier.skillError.value).toBe(0);
    expect(scores?.brier.skill.value).toBe(0);
  });

  test('with an outcome of probability 0 has no mean logarithmic score, and says why', () => {
    const { scores } = recordOf([step(0.5, 'bear'), step(0.5, 'bull')]);
    expect(scores?.logarithmic.mean).toEqual({
      value: null,
      reason: '1 of 2 outlooks gave the outcome probability 0, so the mean is infinite',
    });
    expect(scores?.brier.mean.value).not.toBeNull();
  });

  test('against a reference with probability 0 for an outcome has a mean, and no skill', () => {
    const { scores } = recordOf([step(0.5, 'bear'), step(0.5, 'base')], certain(1));
    expect(scores?.logarithmic.mean.value).toBeCloseTo(Math.log(2), 11);
    expect(scores?.logarithmic.standardError.value).toBe(0);
    expect(scores?.logarithmic.skill).toEqual({
      value: null,
      reason: 'the score of the reference is infinite',
    });
    expect(scores?.brier.skill.value).toBe(0.5);
  });

  test('compares only outlooks that have the reference', () => {
    const all = [
      outlook([step(0.5, 'bear')], { instrument: 'A' }),
      outlook([step(0.1, 'bear')], { instrument: 'B', reference: null }),
    ];
    const { scores, compared, n } = trackRecordOf(sumsOf(all));
    expect([n, compared]).toEqual([2, { n: 1, nEffective: 1 }]);
    expect(scores?.brier.mean.value).toBe(1.06);
    expect(scores?.brier.skill.value).toBe(0.25);
    const { scores: none } = trackRecordOf(sumsOf(all.slice(1)));
    expect(none?.brier.skill).toEqual({
      value: null,
      reason: 'no outlook has the reference to compare with',
    });
  });

  test('has the forecast at the very end, and none that had ended', () => {
    const record = recordOf([step(0.5, 'bear'), step(0.5, 'bear', 0.45)]);
    const counts = record.leadTimes.map(({ lead, n }) => [lead, n]);
    expect(counts).toEqual([
      [1, 2],
      [0.9, 2],
      [0.8, 2],
      [0.7, 2],
      [0.6, 2],
      [0.5, 1],
      [0.4, 1],
      [0.3, 1],
      [0.2, 1],
      [0.1, 1],
      [0, 1],
    ]);
    expect(record.coverage).toBe(0.725);
  });
});

describe('the skill of an analyst', () => {
  const skillOf = (all: readonly ScoredOutlook[]) =>
    skillOfAnalyst(sumsOf(all).clusters.map(({ brier }) => brier));
  const own = (index: number, change: Partial<ScoredOutlook> = {}) =>
    outlook([step(0.5, 'bear')], { instrument: `I${index}`, ...change });

  test('rests on as many outlooks as there are clusters', () => {
    expect(skillOf([own(1), own(2), own(3), own(4)])).toEqual({ skill: 0.25, n: 4 });
    // Weights of 3 and 1 outlooks: 16 / 10.
    const { n } = skillOf([own(1), own(1), own(1), own(2)]) ?? {};
    expect(n).toBeCloseTo(1.6, 12);
  });

  test('rests on no more outlooks with those whose outcome history makes certain', () => {
    const known = { reference: { bear: 0.999, base: 0.0005, bull: 0.0005 } };
    const { n, skill } = skillOf([own(1), own(2), own(3, known), own(4, known)]) ?? {};
    expect(n).toBeCloseTo(2, 4);
    expect(skill).toBeLessThan(0.25);
  });

  test('of less than one whole horizon is missing', () => {
    expect(skillOf([])).toBeNull();
    expect(skillOf([own(1, { steps: [step(1, 'bear', 1e-9)] })])).toBeNull();
  });
});
