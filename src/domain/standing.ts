import type { Horizon } from './framework.ts';
import { byScore, type ScoreName, type Scores } from './scoring.ts';

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
 * Scores over the time that each forecast stood. `timeWeighted` is Σ score × share of the whole horizon
 * (Metaculus), to be read with the `coverage`, the sum of the shares: what is not covered adds nothing.
 * `mean` is its quotient by the coverage, which compares across outlooks; NaN where nothing is covered.
 */
export type StandingScores = {
  coverage: number;
  timeWeighted: Record<ScoreName, number>;
  mean: Record<ScoreName, number>;
};

/** @param forecasts each with the share of the horizon that it stood; one that never stood weighs nothing */
export function standingScores(
  forecasts: readonly { share: number; scores: Scores }[],
): StandingScores {
  const stood = forecasts.filter(({ share }) => share > 0);
  const coverage = stood.reduce((sum, { share }) => sum + share, 0);
  const timeWeighted = byScore((name) =>
    stood.reduce((sum, { share, scores }) => sum + share * scores[name], 0),
  );
  return { coverage, timeWeighted, mean: byScore((name) => timeWeighted[name] / coverage) };
}
