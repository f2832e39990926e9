import {
  type ByScenario,
  type Fractions,
  SCENARIO_NAMES,
  type ScenarioName,
} from './probabilities.ts';

export const SCORE_NAMES = ['brier', 'logarithmic', 'rankedProbability'] as const;
export type ScoreName = (typeof SCORE_NAMES)[number];

/**
 * Three proper scoring rules for a forecast and its outcome; for each, lower is better and 0 is best.
 * - `brier`: multi-category, Σ_k (p_k − o_k)², 0–2 (Brier 1950)
 * - `logarithmic`: −ln p of the outcome; infinite if its probability was 0 (Good 1952)
 * - `rankedProbability`: Σ_{k<K} (F_k − O_k)² of the cumulative distributions in the order bear < base < bull,
 *   0–2 (Epstein 1969; Murphy 1971)
 */
export type Scores = Readonly<Record<ScoreName, number>>;

/** The forecast without any knowledge: a third for each scenario. */
export const UNIFORM: Fractions = { bear: 1 / 3, base: 1 / 3, bull: 1 / 3 };

/**
 * Scores a forecast, fractions that sum to 1, against the outcome, in floating point. The scores of a version are
 * exact: see version-scores.ts.
 */
export function scoresOf(forecast: Readonly<Fractions>, outcome: ScenarioName): Scores {
  return {
    ...errorsOf(forecast, 1, outcome),
    logarithmic: -Math.log(forecast[outcome]) + 0, // + 0 turns -0 into 0
  };
}

/**
 * The Brier and the ranked probability score of a forecast whose parts sum to `whole`, times `whole`².
 * @param forecast in whole numbers, the result is whole, too
 */
export function errorsOf(
  forecast: ByScenario<number>,
  whole: number,
  outcome: ScenarioName,
): Omit<Scores, 'logarithmic'> {
  const { bear, base, bull } = forecast;
  // Differences between the (cumulative) probabilities and the outcome.
  const dBear = outcome === 'bear' ? bear - whole : bear;
  const dBase = outcome === 'base' ? base - whole : base;
  const dBull = outcome === 'bull' ? bull - whole : bull;
  const dUntilBase = dBear + dBase;
  return {
    brier: dBear * dBear + dBase * dBase + dBull * dBull,
    rankedProbability: dBear * dBear + dUntilBase * dUntilBase,
  };
}

/** A score, or why it is missing: it is infinite or undefined. */
export type Scored = { value: number; reason: null } | { value: null; reason: string };

const none = (reason: string): Scored => ({ value: null, reason });
export const some = (value: number): Scored => ({ value, reason: null });

/**
 * A computed figure, rounded to twelve decimals: sums of weighted doubles are exact to about fourteen, and what lies beyond
 * would read as a difference where there is none.
 */
export const figure = (value: number): number => Math.round(value * 1e12) / 1e12 + 0; // + 0 turns -0 into 0

/** A score as JSON can write it. */
export function finite(score: number): Scored {
  if (Number.isFinite(score)) return some(score);
  return none('the forecast gave the outcome probability 0, so the logarithmic score is infinite');
}

/**
 * The skill score 1 − S/S_ref of a score against that of a reference (Murphy 1988): 1 is perfect, 0 is as
 * good as the reference, below 0 is worse.
 */
export function skillOf(score: number, reference: number): Scored {
  if (!Number.isFinite(reference)) return none('the score of the reference is infinite');
  if (reference === 0) return none('the reference has a perfect score, so skill is undefined');
  if (!Number.isFinite(score)) return finite(score);
  // One rounding for whole numbers, which 1 − S/S_ref would round twice.
  return some((reference - score) / reference);
}

/** The scores and skill of a forecast that cannot be scored. */
export function unscored(reason: string): Record<ScoreName, Scored> {
  const missing = none(reason);
  return { brier: missing, logarithmic: missing, rankedProbability: missing };
}

/** One value per scoring rule. */
export function byScore<Value>(of: (name: ScoreName) => Value): Record<ScoreName, Value> {
  const [brier, logarithmic, rankedProbability] = SCORE_NAMES.map(of) as [Value, Value, Value];
  return { brier, logarithmic, rankedProbability };
}

/** Σ_k |p_k − q_k| / 2: the total variation distance of two distributions, 0–1. */
export function distanceOf(a: Readonly<Fractions>, b: Readonly<Fractions>): number {
  return SCENARIO_NAMES.reduce((sum, name) => sum + Math.abs(a[name] - b[name]), 0) / 2;
}
