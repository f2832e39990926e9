import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BasisPoints,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../../src/domain/probabilities.ts';
import {
  thirdsOf,
  UNIFORM_THIRDS,
  versionScores,
  versionSkill,
  WeightedScores,
} from '../../src/domain/version-scores.ts';
import { probabilities } from '../support/arbitraries.ts';
import { nearestDouble } from '../support/rationals.ts';
import { randomNumbers } from '../support/simulation.ts';

const WHOLE = 10_000n;

/** Brier and ranked probability score by their definitions (Brier 1950; Epstein 1969), times 10000². */
function worked(points: BasisPoints, outcome: ScenarioName): { brier: bigint; rps: bigint } {
  let [brier, rps, forecast, observed] = [0n, 0n, 0n, 0n];
  for (const [index, name] of SCENARIO_NAMES.entries()) {
    const [p, o] = [BigInt(points[name]), name === outcome ? WHOLE : 0n];
    brier += (p - o) ** 2n;
    [forecast, observed] = [forecast + p, observed + o];
    if (index < 2) rps += (forecast - observed) ** 2n;
  }
  return { brier, rps };
}
/** The ranked probability scores of uniform thirds, in ninths; the Brier score is 6 of them. */
const UNIFORM = { rps: { bear: 5n, base: 2n, bull: 5n } };

test('of 100,000 forecasts are the nearest doubles, and so is the skill against uniform thirds', () => {
  const random = randomNumbers(15);
  const square = WHOLE * WHOLE;
  let wrong = 0;
  for (let at = 0; at < 100_000; at += 1) {
    const [a, b] = [Math.floor(random() * 10_001), Math.floor(random() * 10_001)];
    const bear = Math.min(a, b);
    const points = { bear, base: Math.max(a, b) - bear, bull: 10_000 - Math.max(a, b) };
    const outcome = SCENARIO_NAMES[at % 3] ?? 'bear';
    const { brier, rps } = worked(points, outcome);
    const found = versionScores(thirdsOf(points), outcome);
    wrong += Number(found.brier !== nearestDouble(brier, square));
    wrong += Number(found.rankedProbability !== nearestDouble(rps, square));
    if (at % 10 > 0) continue; // ten thousand show as much of skill
    const skill = versionSkill(thirdsOf(points), UNIFORM_THIRDS, outcome);
    // 1 − S ÷ (R ÷ 9) = (R − 9 S) ÷ R
    const [full, referred] = [6n * square, UNIFORM.rps[outcome] * square];
    wrong += Number(skill.brier.value !== nearestDouble(full - 9n * brier, full));
    wrong += Number(skill.rankedProbability.value !== nearestDouble(referred - 9n * rps, referred));
  }
  expect(wrong).toBe(0);
}, 60_000);

test('of each basis point has the nearest double to its logarithm', () => {
  const Digits = Decimal.clone({ precision: 40 });
  const scoreOf = (bear: number) =>
    versionScores(thirdsOf({ bear, base: 10_000 - bear, bull: 0 }), 'bear').logarithmic;
  let wrong = 0;
  for (let points = 1; points <= 10_000; points += 1) {
    const exact = new Digits(points).div(10_000).ln().neg().toNumber();
    wrong += Number(scoreOf(points) !== exact + 0);
  }
  expect(wrong).toBe(0);
  expect(scoreOf(0)).toBe(Infinity);
  expect(versionScores(UNIFORM_THIRDS, 'base').logarithmic).toBe(1.0986122886681098); // ln 3
}, 60_000);

test.each([
  ['bear', 0.755, 0.5525, 1.203973, -0.1325, 0.0055],
  ['base', 0.455, 0.1525, 0.798508, 0.3175, 0.31375],
  ['bull', 0.855, 0.6525, 1.386294, -0.2825, -0.1745],
] as const)('of .30, .45, .25 by %s are as worked by hand, without noise', (outcome, ...row) => {
  const forecast = thirdsOf({ bear: 3000, base: 4500, bull: 2500 });
  const { brier, rankedProbability, logarithmic } = versionScores(forecast, outcome);
  const skill = versionSkill(forecast, UNIFORM_THIRDS, outcome);
  expect([
    brier,
    rankedProbability,
    Number(logarithmic.toFixed(6)),
    skill.brier.value,
    skill.rankedProbability.value,
  ]).toEqual(row);
});

test('of a certain forecast are 0, and its skill is 1', () => {
  const certain = thirdsOf({ bear: 0, base: 10_000, bull: 0 });
  const perfect = { brier: 0, logarithmic: 0, rankedProbability: 0 };
  expect(versionScores(certain, 'base')).toEqual(perfect);
  const { brier, logarithmic } = versionSkill(certain, UNIFORM_THIRDS, 'base');
  expect([brier.value, logarithmic.value]).toEqual([1, 1]);
  const missing = versionSkill(UNIFORM_THIRDS, certain, 'base');
  expect(missing.brier.reason).toContain('perfect score');
  expect(versionSkill(UNIFORM_THIRDS, certain, 'bull').logarithmic.reason).toContain('infinite');
});

describe('weighted by time', () => {
  const YEAR = 365 * 86_400_000;
  const outcome = fc.constantFrom(...SCENARIO_NAMES);

  test('one version has its own scores as the mean, and all of its time', () => {
    fc.assert(
      fc.property(
        probabilities,
        outcome,
        fc.integer({ min: 1, max: YEAR }),
        (points, name, time) => {
          const scored = new WeightedScores();
          scored.add(time, thirdsOf(points), name);
          const own = versionScores(thirdsOf(points), name);
          expect(scored.weight).toBe(time);
          expect(scored.mean('brier')).toBe(own.brier);
          expect(scored.mean('logarithmic')).toBe(own.logarithmic);
          expect(scored.over(time, 'rankedProbability')).toBe(own.rankedProbability);
        },
      ),
    );
  });

  test('several have the nearest doubles to the exact means and skill', () => {
    const version = fc.tuple(fc.integer({ min: 0, max: YEAR }), probabilities, probabilities);
    fc.assert(
      fc.property(fc.array(version, { minLength: 1, maxLength: 20 }), outcome, (versions, name) => {
        const [scored, referred] = [new WeightedScores(), new WeightedScores()];
        let [own, other, time] = [0n, 0n, 0n];
        for (const [weight, points, before] of versions) {
          scored.add(weight, thirdsOf(points), name);
          referred.add(weight, thirdsOf(before), name);
          own += BigInt(weight) * worked(points, name).brier;
          other += BigInt(weight) * worked(before, name).brier;
          time += BigInt(weight);
        }
        fc.pre(time > 0n && other > 0n);
        expect(scored.mean('brier')).toBe(nearestDouble(own, time * WHOLE ** 2n));
        expect(scored.over(20 * YEAR, 'brier')).toBe(
          nearestDouble(own, BigInt(20 * YEAR) * WHOLE ** 2n),
        );
        expect(scored.skillAgainst(referred, 'brier').value).toBe(
          nearestDouble(other - own, other),
        );
      }),
    );
  });

  test('no time adds nothing, however bad the score, and any time of an infinite one is infinite', () => {
    const wrong = thirdsOf({ bear: 0, base: 10_000, bull: 0 });
    const scored = new WeightedScores();
    scored.add(0, wrong, 'bear');
    scored.add(1, UNIFORM_THIRDS, 'bear');
    expect(scored.mean('logarithmic')).toBe(1.0986122886681098);
    scored.add(1, wrong, 'bear');
    expect(scored.mean('logarithmic')).toBe(Infinity);
    expect(scored.mean('brier')).toBe(nearestDouble(8n, 6n)); // (2/3 + 2) ÷ 2
  });
});

describe('scores weighted by time', () => {
  test('have a sum over the horizon and a mean over the time forecast', () => {
    const scored = new WeightedScores();
    scored.add(2, thirdsOf({ bear: 5000, base: 5000, bull: 0 }), 'bear');
    scored.add(3, thirdsOf({ bear: 10_000, base: 0, bull: 0 }), 'bear');
    expect(scored.weight).toBe(5);
    expect(scored.over(10, 'brier')).toBe(0.1);
    expect(scored.mean('brier')).toBe(0.2);
    expect(scored.over(10, 'logarithmic')).toBeCloseTo(0.2 * Math.log(2), 12);
  });

  test('leave out a forecast of no time, however bad its score', () => {
    const scored = new WeightedScores();
    scored.add(0, thirdsOf({ bear: 0, base: 10_000, bull: 0 }), 'bear');
    expect(scored.weight).toBe(0);
    scored.add(5, UNIFORM_THIRDS, 'bear');
    expect(scored.mean('logarithmic')).toBeCloseTo(Math.log(3), 12);
  });
});
