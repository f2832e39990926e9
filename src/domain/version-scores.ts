import { exact, nearestLogarithm, nearestQuotient } from './decimals.ts';
import {
  type BasisPoints,
  byScenario,
  type ByScenario,
  type ScenarioName,
  WHOLE,
} from './probabilities.ts';
import {
  byScore,
  errorsOf,
  type Scored,
  type ScoreName,
  type Scores,
  skillOf,
  some,
} from './scoring.ts';

/**
 * A forecast in thirds of basis points, 30,000 in all. Every version and uniform thirds are whole numbers of them,
 * so their scores are decided in integers.
 */
export type Thirds = ByScenario<number>;
const ONE = 3 * WHOLE;

export const UNIFORM_THIRDS: Thirds = { bear: WHOLE, base: WHOLE, bull: WHOLE };

export const thirdsOf = (points: BasisPoints): Thirds => byScenario((name) => 3 * points[name]);

/** What the scores of {@link countedScoresOf} count: a Brier score of 1 is 30000². */
const UNITS: Scores = { brier: ONE * ONE, logarithmic: 1, rankedProbability: ONE * ONE };

/**
 * The scores of a forecast (see {@link Scores}), each as the double nearest to its exact value.
 */
export function versionScores(forecast: Thirds, outcome: ScenarioName): Scores {
  const counted = countedScoresOf(forecast, outcome);
  return byScore((name) => counted[name] / UNITS[name]);
}

/** The skill of a forecast against another one (see {@link skillOf}), each as the nearest double. */
export function versionSkill(
  forecast: Thirds,
  reference: Thirds,
  outcome: ScenarioName,
): Record<ScoreName, Scored> {
  const [own, referred] = [countedScoresOf(forecast, outcome), countedScoresOf(reference, outcome)];
  return byScore((name) => skillOf(own[name], referred[name]));
}

/** Brier and ranked probability scores are whole numbers here, of which a double holds each. */
function countedScoresOf(forecast: Thirds, outcome: ScenarioName): Scores {
  return { ...errorsOf(forecast, ONE, outcome), logarithmic: surpriseOf(forecast[outcome]) };
}

const surprises = new Map<number, number>();

/** −ln of thirds of basis points, the nearest double. Math.log(0.3859) is 1.6 units in the last place off. */
function surpriseOf(thirds: number): number {
  if (thirds === 0) return Infinity;
  const known = surprises.get(thirds);
  if (known !== undefined) return known;
  const surprise = 0 - nearestLogarithm(exact(thirds), exact(ONE));
  // Only whole basis points come again and again, and there are 10,000 of them.
  if (thirds % 3 === 0) surprises.set(thirds, surprise);
  return surprise;
}

// With this factor, each score of basis points is a whole number: the smallest logarithmic score above 0,
// −ln 0.9999, is a multiple of 2^−66.
const SCALE = 2 ** 66;

/**
 * The mean score of forecasts, weighted by the whole milliseconds that each was current. Sums are integers, so a
 * single version has exactly its own score as the mean, and nothing depends on the order.
 */
export class WeightedScores {
  /** In milliseconds. */
  weight = 0;
  readonly #sums = byScore(() => 0n);
  #isInfinite = false;

  add(weight: number, forecast: Thirds, outcome: ScenarioName): void {
    if (weight === 0) return; // otherwise an infinite score would count
    this.weight += weight;
    const scores = countedScoresOf(forecast, outcome);
    for (const [name, score] of Object.entries(scores) as [ScoreName, number][]) {
      if (score === Infinity) this.#isInfinite = true;
      else this.#sums[name] += BigInt(weight) * BigInt(Math.round(score * SCALE));
    }
  }

  /** Σ weight × score ÷ `total`, the nearest double. */
  over(total: number, name: ScoreName): number {
    if (name === 'logarithmic' && this.#isInfinite) return Infinity;
    const divisor = BigInt(total) * BigInt(UNITS[name]) * BigInt(SCALE);
    return nearestQuotient(exact(this.#sums[name]), exact(divisor));
  }

  mean(name: ScoreName): number {
    return this.over(this.weight, name);
  }

  /** The skill against the scores of a reference with the same weights, the nearest double. */
  skillAgainst(reference: WeightedScores, name: ScoreName): Scored {
    const rough = skillOf(this.mean(name), reference.mean(name));
    if (rough.reason !== null) return rough;
    const referred = reference.#sums[name];
    return some(nearestQuotient(exact(referred - this.#sums[name]), exact(referred)));
  }
}
