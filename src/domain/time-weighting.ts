import type { Horizon } from './framework.ts';

/** The start of a day in UTC, in milliseconds since 1970. */
export const startOf = (day: string): number => Date.parse(`${day}T00:00:00.000Z`);

/**
 * The share of the horizon during which each version was current, a fraction: from its publication, or the
 * start of the horizon, until the next version, the closing of the outlook or the end of the horizon.
 * @param publishedAt times in ascending order
 * @param closedAt when the outcome became known, or the outlook was withdrawn; null for an open outlook
 */
export function sharesOf(
  publishedAt: readonly Date[],
  horizon: Horizon,
  closedAt: Date | null,
): number[] {
  const { from, to, end } = scoredTime(horizon, closedAt);
  return publishedAt.map((at, index) => {
    const next = publishedAt[index + 1]?.getTime() ?? end;
    const current = Math.min(next, end) - Math.max(at.getTime(), from);
    return Math.max(0, current) / (to - from);
  });
}

/**
 * The start and end of the horizon, and the `end` of its scored part, in milliseconds since 1970.
 * @param closedAt as in {@link sharesOf}
 */
export function scoredTime(
  horizon: Horizon,
  closedAt: Date | null,
): { from: number; to: number; end: number } {
  const [from, to] = [startOf(horizon.from), startOf(horizon.to)];
  return { from, to, end: closedAt === null ? to : Math.min(to, closedAt.getTime()) };
}

/** The share of a horizon that lies before the outcome became known: the most that forecasts can cover. */
export function attainableShare(horizon: Horizon, knownAt: Date): number {
  const [from, to] = [startOf(horizon.from), startOf(horizon.to)];
  return Math.min(Math.max(0, knownAt.getTime() - from) / (to - from), 1);
}
