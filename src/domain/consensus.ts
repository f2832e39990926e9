import {
  byScenario,
  type ByScenario,
  type Fractions,
  fractionsOf,
  inBasisPoints,
  type Probabilities,
  SCENARIO_NAMES,
  type ScenarioName,
  WHOLE,
} from './probabilities.ts';
import { distanceOf } from './scoring.ts';

export const POOL_METHODS = ['linear', 'logarithmic'] as const;
export type PoolMethod = (typeof POOL_METHODS)[number];
export const POOL_WEIGHTS = ['equal', 'recency', 'skill'] as const;
/** How views are weighted; see {@link recencyWeights} and {@link skillWeights}. */
export type PoolWeights = (typeof POOL_WEIGHTS)[number];

export const VIEW_KINDS = ['held', 'withdrawn'] as const;
/** What a version of a view does: the analyst holds the probabilities, or has withdrawn the view. */
export type ViewKind = (typeof VIEW_KINDS)[number];

/** A view this many days older than the newest one has half its weight. */
export const HALF_LIFE_DAYS = 30;
/** Shrinks an analyst's skill: with this many independent outlooks, it counts half. */
export const SKILL_SHRINKAGE = 10;

const DAY = 86_400_000;

/** The time that lies a number of days of 24 hours after another one; before it, if the number is negative. */
export const daysAfter = (time: Date, days: number): Date => new Date(time.getTime() + days * DAY);

/**
 * 2^(−age / {@link HALF_LIFE_DAYS}), where the age is relative to the newest view. So the weights depend
 * only on the views, not on the time of the request.
 */
export function recencyWeights(recordedAt: readonly Date[]): number[] {
  const newest = Math.max(...recordedAt.map(Number));
  return recordedAt.map((at) => 2 ** (-(newest - at.getTime()) / (HALF_LIFE_DAYS * DAY)));
}

/**
 * max(0, skill) · n / (n + {@link SKILL_SHRINKAGE}), by `skillOfAnalyst`. An analyst who did no better than the
 * reference or was never scored gets weight 0.
 * @param records null for an analyst who was never scored
 */
export function skillWeights(records: readonly ({ n: number; skill: number } | null)[]): number[] {
  return records.map((record) =>
    record === null ? 0 : (Math.max(0, record.skill) * record.n) / (record.n + SKILL_SHRINKAGE),
  );
}

/** Weights scaled to sum to 1; null if all are 0. */
export function normalised(weights: readonly number[]): number[] | null {
  const sum = weights.reduce((a, b) => a + b, 0);
  return sum > 0 ? weights.map((weight) => weight / sum) : null;
}

/**
 * Pools distributions by weights that sum to 1.
 * - `linear`: Σ w_i p_i (Stone 1961)
 * - `logarithmic`: ∝ Π p_ik^w_i, renormalised (Genest and Zidek 1986). A view with a positive weight and probability 0 for a
 *   scenario rules that scenario out; a view with weight 0 has no effect.
 * @returns null if the logarithmic pool does not exist, because the views rule out every scenario
 */
export function pool(
  method: PoolMethod,
  views: readonly Readonly<Fractions>[],
  weights: readonly number[],
): Fractions | null {
  if (method === 'linear') {
    return byScenario((name) =>
      views.reduce((sum, view, index) => sum + (weights[index] ?? 0) * view[name], 0),
    );
  }
  // With weights that sum to 1, no product of positive factors underflows to 0.
  const raised = byScenario((name) =>
    views.reduce((product, view, index) => product * view[name] ** (weights[index] ?? 0), 1),
  );
  const sum = raised.bear + raised.base + raised.bull;
  return sum === 0 ? null : byScenario((name) => raised[name] / sum);
}

/** How far the views differ in the probability of a scenario, as fractions. */
export type Spread = { min: number; max: number; standardDeviation: number };

export type Consensus = {
  /** The pooled probabilities, unrounded. */
  exact: Fractions;
  probabilities: Probabilities;
  /** Per scenario; the standard deviation is weighted and around the linear pool. */
  spread: ByScenario<Spread>;
  /** Per view, in their order: the total variation distance to the pool, 0–1. */
  distances: number[];
};

/**
 * The consensus of views.
 * @param views at least one
 * @param weights of the views, which sum to 1
 * @returns null as {@link pool}
 */
export function consensusOf(
  method: PoolMethod,
  views: readonly Probabilities[],
  weights: readonly number[],
): Consensus | null {
  const held = views.map(fractionsOf);
  const exact = pool(method, held, weights);
  if (!exact) return null;
  return {
    exact,
    probabilities: inBasisPoints(exact),
    spread: byScenario((name) => {
      const values = held.map((view) => view[name]);
      const weighted = (of: (value: number) => number) =>
        values.reduce((sum, value, index) => sum + (weights[index] ?? 0) * of(value), 0);
      const mean = weighted((value) => value);
      const standardDeviation = Math.sqrt(weighted((value) => (value - mean) ** 2));
      return { min: Math.min(...values), max: Math.max(...values), standardDeviation };
    }),
    distances: held.map((view) => distanceOf(view, exact)),
  };
}

/** The fewest views whose pool is shown without a key: of two, each analyst could compute the other's view. */
export const FEWEST_PUBLIC_VIEWS = 3;

/**
 * What anyone may know of the views of an outlook: sums over all of them, in whole percents. The least and the greatest
 * view are left out, because each of them is one analyst's. A standard deviation is not: three views have many triples
 * with the same mean and deviation.
 */
export type PublicPool = {
  /** How many views there are. */
  n: number;
  /** The linear pool with equal weights, in whole percents that sum to 100, by the largest remainder. */
  percents: ByScenario<number>;
  /** The standard deviation around that pool, in whole percents. */
  deviations: ByScenario<number>;
};

/** @returns null for fewer than {@link FEWEST_PUBLIC_VIEWS} views */
export function publicPoolOf(views: readonly Probabilities[]): PublicPool | null {
  const n = views.length;
  if (n < FEWEST_PUBLIC_VIEWS) return null;
  const sum = (name: ScenarioName, of: (points: number) => number) =>
    views.reduce((total, view) => total + of(view[name]), 0);
  // Whole numbers, so that no noise of doubles decides how a half is rounded.
  const sums = byScenario((name) => sum(name, (points) => points));
  const percents = byScenario((name) => Math.floor(sums[name] / (n * PERCENT)));
  const left = 100 - percents.bear - percents.base - percents.bull;
  const remainder = (name: ScenarioName) => sums[name] % (n * PERCENT);
  const byRemainder = [...SCENARIO_NAMES].sort((a, b) => remainder(b) - remainder(a));
  for (const name of byRemainder.slice(0, left)) percents[name] += 1;
  const deviations = byScenario((name) => {
    const squares = n * sum(name, (points) => points ** 2) - sums[name] ** 2;
    return Math.round(Math.sqrt(squares) / (n * PERCENT));
  });
  return { n, percents, deviations };
}

/** Basis points in a percent. */
const PERCENT = WHOLE / 100;

/**
 * How long after midnight the new pool is shown, in milliseconds. A view that was recorded just before midnight, by
 * whichever instance, is committed by then, so the pool does not change until the next one.
 */
const SETTLING = 300_000;

/** The midnight (UTC) as of which the views are pooled for those without a key. */
export function publicPoolTime(now: Date): Date {
  const settled = now.getTime() - SETTLING;
  return new Date(settled - (settled % DAY));
}

/** When the next pool is shown to those without a key. */
export function nextPublicPool(now: Date): Date {
  return new Date(daysAfter(publicPoolTime(now), 1).getTime() + SETTLING);
}
