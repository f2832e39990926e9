import type { Horizon } from './framework.ts';
import type { ByScenario, ScenarioName } from './probabilities.ts';
import type { ScoreName, Scores } from './scoring.ts';

/** The first moment of a day in UTC, in milliseconds since 1970. */
export const startOf = (day: string): number => Date.parse(`${day}T00:00:00.000Z`);

/**
 * The part of the whole horizon that each version stood, a fraction: from its publication, or the first moment
 * of the horizon, until the next one, the moment the outlook was closed or the horizon's end.
 * @param publishedAt moments in ascending order
 * @param closedAt null for an outlook that is open
 */
export function sharesOf(
  publishedAt: readonly Date[],
  horizon: Horizon,
  closedAt: Date | null,
): number[] {
  const [from, to] = [startOf(horizon.from), startOf(horizon.to)];
  const end = closedAt === null ? to : Math.min(to, closedAt.getTime());
  return publishedAt.map((at, index) => {
    const next = publishedAt[index + 1]?.getTime() ?? end;
    const stood = Math.min(next, end) - Math.max(at.getTime(), from);
    return Math.max(0, stood) / (to - from);
  });
}

/**
 * Sums up scores over the time that each forecast stood. `timeWeighted` is Σ score × share of the whole horizon
 * (Metaculus), to be read with the `coverage`, the sum of the shares: what is not covered adds nothing.
 * `mean` is its quotient by the coverage, which compares across outlooks; NaN where nothing is covered.
 */
export class StandingScores {
  coverage = 0;
  readonly timeWeighted = { brier: 0, logarithmic: 0, rankedProbability: 0 };

  /** @param share of the horizon that the forecast stood; one that never did weighs nothing */
  add(share: number, { brier, logarithmic, rankedProbability }: Scores): void {
    if (share === 0) return; // else what is infinite would count, too
    this.addSum(share, {
      brier: share * brier,
      logarithmic: share * logarithmic,
      rankedProbability: share * rankedProbability,
    });
  }

  /** Adds scores that are weighted and summed up already. */
  addSum(share: number, scores: Scores): void {
    this.coverage += share;
    this.timeWeighted.brier += scores.brier;
    this.timeWeighted.logarithmic += scores.logarithmic;
    this.timeWeighted.rankedProbability += scores.rankedProbability;
  }

  mean(name: ScoreName): number {
    return this.timeWeighted[name] / this.coverage;
  }
}

/**
 * What forecasts that stood within a horizon sum up to, whatever came about: with the shares w of the whole
 * horizon that they stood, Σ w and, of each scenario, Σ w p, Σ w p² and −Σ w ln p.
 */
export type ForecastSums = {
  share: number;
  weighted: ByScenario<number>;
  squared: ByScenario<number>;
  surprise: ByScenario<number>;
};

/** Σ w × score of such forecasts by an outcome, by the definitions of {@link scoresOf} multiplied out. */
export function scoresOfSums(
  { share, weighted, squared, surprise }: ForecastSums,
  outcome: ScenarioName,
): Scores {
  // Σ w (F − 1)² where the event is within F, else Σ w F²; the second F is 1 − p of bull.
  const untilBear = errorOf(squared.bear, weighted.bear, share, outcome === 'bear');
  const untilBase = errorOf(squared.bull, weighted.bull, share, outcome === 'bull');
  return {
    brier: squared.bear + squared.base + squared.bull - 2 * weighted[outcome] + share,
    logarithmic: surprise[outcome],
    rankedProbability: untilBear + untilBase,
  };
}

/** Σ w (p − o)². */
export function errorOf(
  squared: number,
  weighted: number,
  share: number,
  happened: boolean,
): number {
  return happened ? squared - 2 * weighted + share : squared;
}
