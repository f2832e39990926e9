import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Calibration, summed } from '../../src/domain/calibration.ts';
import { fractionsOf, SCENARIO_NAMES } from '../../src/domain/probabilities.ts';
import { SCORE_NAMES, scoresOf, UNIFORM } from '../../src/domain/scoring.ts';
import { scoresOfSums, TimeWeightedScores } from '../../src/domain/time-weighting.ts';
import { TrackRecorder } from '../../src/domain/track-record.ts';
import { probabilities } from '../support/arbitraries.ts';
import { type ForecastStep, sumsOf } from '../support/forecast-sums.ts';

const added = (...events: [p: number, happened: number][]) => {
  const calibration = new Calibration();
  for (const [p, happened] of events) calibration.addEvent(p, happened);
  return calibration;
};

describe('buckets', () => {
  test.each([
    [0, 0],
    [0.0999, 0],
    [0.1, 0.1],
    [0.3, 0.3],
    [0.6, 0.6],
    [0.7, 0.7],
    [0.9999, 0.9],
    [1, 0.9],
  ])('%d lies in the one from %d', (p, from) => {
    expect(added([p, 1]).buckets()).toEqual([expect.objectContaining({ from, n: 1 })]);
  });

  test('have the mean prediction and the observed rate', () => {
    const [bucket] = added([0.31, 1], [0.33, 0], [0.35, 0], [0.37, 1]).buckets();
    expect(bucket).toMatchObject({ n: 4, weight: 4, realisedRate: 0.5 });
    expect(bucket?.predictedMean).toBeCloseTo(0.34, 12);
    // Wilson's interval of 2 in 4, as tables have it.
    expect(bucket?.interval.low).toBeCloseTo(0.15004, 4);
    expect(bucket?.interval.high).toBeCloseTo(0.84996, 4);
  });

  test('count an outlook once, however many of its parts they contain', () => {
    const calibration = new Calibration();
    for (let part = 0; part < 100; part += 1) calibration.add(3, 0.01, 0.0035, 1);
    calibration.endOutlook(1);
    calibration.add(3, 0.25, 0.0875, 0);
    calibration.add(7, 0.25, 0.1875, 0);
    calibration.endOutlook(0.5);
    const [low, high] = calibration.buckets();
    expect([low?.n, high?.n]).toEqual([2, 1]);
    expect(low?.weight).toBeCloseTo(1.5, 12);
    expect(low?.realisedRate).toBeCloseTo(1 / 1.5, 12);
    // Kish: (1 + 0.5)² / (1 + 0.25) is 1.8 outlooks. Wilson's interval of that many, worked out.
    const [z2, rate] = [1.959963984540054 ** 2, 2 / 3];
    const centre = (rate + z2 / 3.6) / (1 + z2 / 1.8);
    const half = Math.sqrt(z2 * ((rate * (1 - rate)) / 1.8 + z2 / (4 * 1.8 ** 2))) / (1 + z2 / 1.8);
    expect(low?.interval.low).toBeCloseTo(centre - half, 10);
    expect(low?.interval.high).toBeCloseTo(Math.min(1, centre + half), 10);
  });
});

const events = fc.array(
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1)),
  { minLength: 1, maxLength: 60 },
);

test("Murphy's parts add up to the mean of (p − o)²", () => {
  fc.assert(
    fc.property(events, (all) => {
      const parts = added(...all).decomposition();
      if (!parts) throw new Error('nothing was added');
      const mean = all.reduce((sum, [p, o]) => sum + (p - o) ** 2, 0) / all.length;
      const { reliability, resolution, uncertainty, withinBuckets } = parts;
      expect(reliability - resolution + uncertainty + withinBuckets).toBeCloseTo(mean, 12);
      for (const part of [reliability, resolution, uncertainty]) {
        expect(part).toBeGreaterThanOrEqual(-1e-15);
      }
      expect(uncertainty).toBeLessThanOrEqual(0.25 + 1e-12);
    }),
  );
});

test('forecasts that are equal within their buckets leave no variation', () => {
  const all: [number, number][] = [
    [0.25, 0],
    [0.25, 1],
    [0.25, 0],
    [0.25, 0],
    [0.75, 1],
    [0.75, 1],
    [0.75, 0],
    [0.75, 1],
  ];
  const parts = added(...all).decomposition();
  expect(parts?.reliability).toBeCloseTo(0, 12);
  expect(parts?.resolution).toBeCloseTo(0.0625, 12);
  expect(parts?.uncertainty).toBeCloseTo(0.25, 12);
  expect(parts?.withinBuckets).toBeCloseTo(0, 12);
});

test('nothing has no decomposition', () => {
  expect(new Calibration().decomposition()).toBeNull();
  expect(summed([null, null])).toBeNull();
});

type Outlook = ForecastStep[];
/** Each step in a sum of its own, which must make no difference. */
function addAll(recorder: TrackRecorder, steps: Outlook): void {
  for (const each of steps) recorder.add(sumsOf([each]), each.outcome);
  recorder.endOutlook();
}
const outlooks: fc.Arbitrary<Outlook[]> = fc.array(
  fc
    .tuple(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), probabilities), {
        minLength: 1,
        maxLength: 6,
      }),
      fc.constantFrom(...SCENARIO_NAMES),
      fc.integer({ min: 0, max: 30 }),
    )
    .map(([parts, outcome, late]) => {
      let at = late;
      return parts.map(([length, points]): ForecastStep => {
        const step = { start: at / 400, end: (at + length) / 400 };
        at += length;
        return { ...step, forecast: fractionsOf(points), outcome };
      });
    }),
  { minLength: 2, maxLength: 25 },
);

test('scores of sums are the sums of scores', () => {
  fc.assert(
    fc.property(outlooks, fc.constantFrom(...SCENARIO_NAMES), (all, outcome) => {
      for (const steps of all) {
        const standing = new TimeWeightedScores();
        for (const { start, end, forecast } of steps) {
          standing.add(end - start, scoresOf(forecast, outcome));
        }
        const summed = scoresOfSums(sumsOf(steps), outcome);
        for (const name of SCORE_NAMES) {
          expect(summed[name]).toBeCloseTo(standing.timeWeighted[name], 12);
        }
      }
    }),
  );
});

test('a record agrees with its definitions, computed independently', () => {
  fc.assert(
    fc.property(outlooks, (all) => {
      const recorder = new TrackRecorder(UNIFORM);
      for (const steps of all) addAll(recorder, steps);
      const record = recorder.result();
      const share = ({ start, end }: ForecastStep) => end - start;
      const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
      const means = all.map((steps) => {
        const covered = sum(steps.map(share));
        return sum(
          steps.map(
            (step) => (share(step) / covered) * scoresOf(step.forecast, step.outcome).brier,
          ),
        );
      });
      const mean = sum(means) / all.length;
      const deviation = Math.sqrt(sum(means.map((one) => (one - mean) ** 2)) / (all.length - 1));
      expect(record.n).toBe(all.length);
      expect(record.scores?.brier.mean.value).toBeCloseTo(mean, 10);
      expect(record.scores?.brier.standardError.value).toBeCloseTo(
        deviation / Math.sqrt(all.length),
        8,
      );
      expect(record.scores?.brier.skill.value).toBeCloseTo(1 - mean / (2 / 3), 10);
      const residuals = means.map((one) => one - mean); // the reference is the same for each
      const spread = Math.sqrt(sum(residuals.map((one) => one ** 2)) / (all.length - 1));
      expect(record.scores?.brier.skillError.value).toBeCloseTo(
        spread / Math.sqrt(all.length) / (2 / 3),
        8,
      );
      const { overall } = record.decomposition ?? {};
      if (!overall) throw new Error('no decomposition');
      expect(
        overall.reliability - overall.resolution + overall.uncertainty + overall.withinBuckets,
      ).toBeCloseTo(mean, 10);
      expect(sum(record.calibration.bear.map(({ weight }) => weight))).toBeCloseTo(all.length, 8);
      expect(sum(record.calibration.overall.map(({ weight }) => weight))).toBeCloseTo(
        3 * all.length,
        8,
      );
      for (const { lead, n, brier, decomposition } of record.leadTimes) {
        const standing = all.flatMap((steps) =>
          steps.filter(({ start, end }) => start <= 1 - lead + 1e-12 && 1 - lead + 1e-12 < end),
        );
        expect(n).toBe(standing.length);
        const then = sum(standing.map((one) => scoresOf(one.forecast, one.outcome).brier)) / n;
        expect(brier.mean).toBeCloseTo(then, 10);
        const { reliability, resolution, uncertainty, withinBuckets } = decomposition;
        expect(reliability - resolution + uncertainty + withinBuckets).toBeCloseTo(then, 10);
      }
    }),
  );
});

const step = (bear: number, outcome: ForecastStep['outcome'], end = 1): ForecastStep => ({
  start: 0,
  end,
  forecast: { bear, base: 1 - bear, bull: 0 },
  outcome,
});

describe('a record', () => {
  test('of nothing is empty', () => {
    expect(new TrackRecorder(UNIFORM).result()).toEqual({
      n: 0,
      coverage: null,
      scores: null,
      calibration: { bear: [], base: [], bull: [], overall: [] },
      decomposition: null,
      leadTimes: [],
    });
  });

  test('of one outlook has no standard error, and says so', () => {
    const recorder = new TrackRecorder(UNIFORM);
    addAll(recorder, [step(0.5, 'bear')]);
    const { scores } = recorder.result();
    expect(scores?.brier.mean.value).toBeCloseTo(0.5, 12);
    expect(scores?.brier.standardError).toEqual({
      value: null,
      reason: 'one outlook is too few for a standard error',
    });
  });

  test('with an outcome of probability 0 has no mean logarithmic score, and says why', () => {
    const recorder = new TrackRecorder(UNIFORM);
    addAll(recorder, [step(0.5, 'bear')]);
    addAll(recorder, [step(0.5, 'bull')]);
    const { scores } = recorder.result();
    expect(scores?.logarithmic.mean).toEqual({
      value: null,
      reason: '1 of 2 outlooks gave the outcome probability 0, so the mean is infinite',
    });
    expect(scores?.brier.mean.value).not.toBeNull();
  });

  test('against a reference with probability 0 for an outcome has a mean, and no skill', () => {
    const recorder = new TrackRecorder({ bear: 1, base: 0, bull: 0 });
    addAll(recorder, [step(0.5, 'bear')]);
    addAll(recorder, [step(0.5, 'base')]);
    const { scores } = recorder.result();
    expect(scores?.logarithmic.mean.value).toBeCloseTo(Math.log(2), 12);
    expect(scores?.logarithmic.standardError.value).toBeCloseTo(0, 12);
    expect(scores?.logarithmic.skill).toEqual({
      value: null,
      reason: 'the score of the reference is infinite',
    });
    expect(scores?.brier.skill.value).toBeCloseTo(1 - 0.5, 12);
  });

  test('has the forecast at the very end, and none that had ended', () => {
    const recorder = new TrackRecorder(UNIFORM);
    addAll(recorder, [step(0.5, 'bear')]);
    addAll(recorder, [step(0.5, 'bear', 0.45)]);
    const counts = recorder.result().leadTimes.map(({ lead, n }) => [lead, n]);
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
    expect(recorder.result().coverage).toBeCloseTo(0.725, 12);
  });

  test('has an error of its skill if the reference varies with the outcome', () => {
    const reference = { bear: 0.6, base: 0.3, bull: 0.1 };
    const forecasts = [
      [0.5, 'bear'],
      [0.8, 'base'],
      [0.3, 'bear'],
      [0.9, 'bear'],
      [0.1, 'base'],
    ] as const;
    const recorder = new TrackRecorder(reference);
    const pairs = forecasts.map(([bear, outcome]) => {
      addAll(recorder, [step(bear, outcome)]);
      const { brier } = scoresOf({ bear, base: 1 - bear, bull: 0 }, outcome);
      return [brier, scoresOf(reference, outcome).brier] as const;
    });
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const ours = mean(pairs.map(([a]) => a));
    const theirs = mean(pairs.map(([, b]) => b));
    const residuals = pairs.map(([a, b]) => a - (ours / theirs) * b);
    const squares = residuals.reduce((sum, one) => sum + one ** 2, 0);
    const { skill, skillError } = recorder.result().scores?.brier ?? {};
    expect(skill?.value).toBeCloseTo(1 - ours / theirs, 12);
    expect(skillError?.value).toBeCloseTo(Math.sqrt(squares / 4 / 5) / theirs, 12);
  });

  test('measures skill against the given reference', () => {
    const recorder = new TrackRecorder({ bear: 0.5, base: 0.5, bull: 0 });
    for (const outcome of ['bear', 'base'] as const) addAll(recorder, [step(0.5, outcome)]);
    expect(recorder.result().scores?.brier.skill.value).toBeCloseTo(0, 12);
  });
});
