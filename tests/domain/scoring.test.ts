import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Fractions,
  fractionsOf,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../../src/domain/probabilities.ts';
import {
  byScore,
  finite,
  SCORE_NAMES,
  scoresOf,
  skillOf,
  UNIFORM,
} from '../../src/domain/scoring.ts';
import { sharesOf } from '../../src/domain/time-weighting.ts';
import { probabilities } from '../support/arbitraries.ts';

type Vector = {
  forecast: Fractions;
  outcome: ScenarioName;
  brier: number;
  logarithmic: number | null;
  rankedProbability: number;
  brierSkill: number;
  rpsSkill: number;
};
// Computed with 40 digits by mpmath; the first six are worked by hand elsewhere to six digits.
const { scores: VECTORS } = JSON.parse(
  readFileSync(new URL('../vectors/scores.json', import.meta.url), 'utf8'),
) as { scores: Vector[] };

test.each(VECTORS)('$forecast scores for $outcome', (vector) => {
  const { forecast, outcome } = vector;
  const scores = scoresOf(forecast, outcome);
  const uniform = scoresOf(UNIFORM, outcome);
  expect(scores.brier).toBeCloseTo(vector.brier, 12);
  expect(scores.rankedProbability).toBeCloseTo(vector.rankedProbability, 12);
  // toBeCloseTo accepts Infinity only for Infinity.
  expect(scores.logarithmic).toBeCloseTo(vector.logarithmic ?? Infinity, 12);
  expect(skillOf(scores.brier, uniform.brier).value).toBeCloseTo(vector.brierSkill, 12);
  expect(skillOf(scores.rankedProbability, uniform.rankedProbability).value).toBeCloseTo(
    vector.rpsSkill,
    12,
  );
});

test.each([
  ['bear', 0.755, 0.5525, 1.203973, -0.1325, 0.0055],
  ['base', 0.455, 0.1525, 0.798508, 0.3175, 0.31375],
  ['bull', 0.855, 0.6525, 1.386294, -0.2825, -0.1745],
] as const)('bear .30, base .45, bull .25 by %s, as worked by hand', (outcome, ...worked) => {
  const forecast = { bear: 0.3, base: 0.45, bull: 0.25 };
  const { brier, rankedProbability, logarithmic } = scoresOf(forecast, outcome);
  const uniform = scoresOf(UNIFORM, outcome);
  const found = [
    brier,
    rankedProbability,
    logarithmic,
    skillOf(brier, uniform.brier).value,
    skillOf(rankedProbability, uniform.rankedProbability).value,
  ];
  expect(found.map((value) => Math.round((value ?? NaN) * 1e6) / 1e6)).toEqual(worked);
});

test('all scores of uniform thirds are as published', () => {
  for (const outcome of SCENARIO_NAMES) {
    const { brier, logarithmic, rankedProbability } = scoresOf(UNIFORM, outcome);
    expect(brier).toBeCloseTo(2 / 3, 12);
    expect(logarithmic).toBeCloseTo(Math.log(3), 12);
    expect(rankedProbability).toBeCloseTo(outcome === 'base' ? 2 / 9 : 5 / 9, 12);
  }
});

const expectation = (forecast: Fractions, truth: Fractions) =>
  byScore((name) =>
    SCENARIO_NAMES.reduce(
      (sum, outcome) =>
        truth[outcome] === 0 ? sum : sum + truth[outcome] * scoresOf(forecast, outcome)[name],
      0,
    ),
  );

test('each is proper: its expectation is best at the true distribution', () => {
  fc.assert(
    fc.property(probabilities, probabilities, (p, q) => {
      const [truth, other] = [fractionsOf(p), fractionsOf(q)];
      const [honest, dishonest] = [expectation(truth, truth), expectation(other, truth)];
      for (const name of SCORE_NAMES) {
        expect(honest[name]).toBeLessThanOrEqual(dishonest[name] + 1e-12);
      }
      // Strictly better if they differ by a basis point or more.
      const differs = truth.bear !== other.bear || truth.base !== other.base;
      const isStrict = SCORE_NAMES.map((name) => honest[name] < dishonest[name]);
      expect(isStrict).toEqual(SCORE_NAMES.map(() => differs));
    }),
    { numRuns: 500 },
  );
});

test('each lies within its bounds', () => {
  fc.assert(
    fc.property(probabilities, fc.constantFrom(...SCENARIO_NAMES), (p, outcome) => {
      const { brier, logarithmic, rankedProbability } = scoresOf(fractionsOf(p), outcome);
      for (const [score, most] of [
        [brier, 2],
        [logarithmic, Infinity],
        [rankedProbability, 2],
      ] as const) {
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(most);
      }
    }),
  );
});

const RELABELLINGS = [
  ['bear', 'bull', 'base'],
  ['base', 'bear', 'bull'],
  ['base', 'bull', 'bear'],
  ['bull', 'bear', 'base'],
  ['bull', 'base', 'bear'],
] as const;
const relabelled = (
  p: Fractions,
  [bear, base, bull]: (typeof RELABELLINGS)[number],
): Fractions => ({
  bear: p[bear],
  base: p[base],
  bull: p[bull],
});

describe('relabelling', () => {
  test('bear and bull changes no score: the order is only reversed', () => {
    fc.assert(
      fc.property(probabilities, (points) => {
        const p = fractionsOf(points);
        const turned = relabelled(p, ['bull', 'base', 'bear']);
        const mirror = { bear: 'bull', base: 'base', bull: 'bear' } as const;
        for (const outcome of SCENARIO_NAMES) {
          const [here, there] = [scoresOf(p, outcome), scoresOf(turned, mirror[outcome])];
          for (const name of SCORE_NAMES) expect(there[name]).toBeCloseTo(here[name], 12);
        }
      }),
    );
  });

  test('anything else does not change the Brier and the logarithmic score', () => {
    fc.assert(
      fc.property(probabilities, fc.constantFrom(...RELABELLINGS), (points, labels) => {
        const p = fractionsOf(points);
        for (const outcome of SCENARIO_NAMES) {
          const renamed = SCENARIO_NAMES[labels.indexOf(outcome)];
          if (!renamed) throw new Error('not a relabelling');
          const [here, there] = [scoresOf(p, outcome), scoresOf(relabelled(p, labels), renamed)];
          expect(there.brier).toBeCloseTo(here.brier, 12);
          expect(there.logarithmic).toBeCloseTo(here.logarithmic, 12);
        }
      }),
    );
  });

  test('only the ranked probability score distinguishes a near miss from a far one', () => {
    const near = { bear: 0, base: 1, bull: 0 };
    const far = { bear: 0, base: 0, bull: 1 };
    const [a, b] = [scoresOf(near, 'bear'), scoresOf(far, 'bear')];
    expect([a.brier, b.brier]).toEqual([2, 2]);
    expect([a.logarithmic, b.logarithmic]).toEqual([Infinity, Infinity]);
    expect([a.rankedProbability, b.rankedProbability]).toEqual([1, 2]);
  });
});

describe('a missing score', () => {
  test('is null with a reason', () => {
    expect(finite(Infinity)).toEqual({ value: null, reason: expect.stringContaining('infinite') });
    expect(skillOf(0.5, 0)).toEqual({ value: null, reason: expect.stringContaining('perfect') });
    expect(skillOf(1, Infinity)).toEqual({
      value: null,
      reason: expect.stringContaining('reference is infinite'),
    });
    expect(skillOf(Infinity, 1)).toEqual(finite(Infinity));
    expect(finite(0)).toEqual({ value: 0, reason: null });
  });
});

const HORIZON = { from: '2026-01-01', to: '2026-01-11' };
const day = (n: number) => new Date(Date.UTC(2026, 0, 1) + n * 86_400_000);

describe('the share of a horizon', () => {
  test('runs from the publication to the next one, within the horizon', () => {
    expect(sharesOf([day(-5), day(-1), day(2), day(2), day(7), day(11)], HORIZON, null)).toEqual([
      0, 0.2, 0, 0.5, 0.3, 0,
    ]);
    expect(sharesOf([day(12)], HORIZON, null)).toEqual([0]);
  });

  test('ends when the outlook is closed', () => {
    expect(sharesOf([day(0), day(4)], HORIZON, day(5))).toEqual([0.4, 0.1]);
    expect(sharesOf([day(0), day(4)], HORIZON, day(3))).toEqual([0.3, 0]);
    expect(sharesOf([day(0)], HORIZON, day(-1))).toEqual([0]);
    expect(sharesOf([day(0)], HORIZON, day(50))).toEqual([1]);
  });

  const moments = fc
    .array(fc.integer({ min: -20 * 86_400, max: 40 * 86_400 }), { minLength: 1, maxLength: 30 })
    .map((seconds) => seconds.toSorted((a, b) => a - b).map((at) => day(at / 86_400)));

  test('of all versions sums to the coverage', () => {
    fc.assert(
      fc.property(moments, fc.option(fc.integer({ min: -5, max: 15 })), (published, closed) => {
        const closedAt = closed === null ? null : day(closed);
        const shares = sharesOf(published, HORIZON, closedAt);
        const end = Math.min(10, closed ?? 10);
        const start = Math.max(
          0,
          ((published[0]?.getTime() ?? NaN) - day(0).getTime()) / 86_400_000,
        );
        const covered = Math.max(0, end - start) / 10;
        expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(covered, 12);
        for (const share of shares) expect(share).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
