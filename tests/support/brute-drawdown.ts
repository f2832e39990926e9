import type { Drawdown, DrawdownEpisode } from '../../src/domain/drawdown.ts';
import type { Observation } from '../../src/domain/series.ts';

/** Calendar days between two days, by counting. */
function daysBetween(from: string, to: string): number {
  let days = 0;
  for (const day = new Date(from); day.toISOString().slice(0, 10) < to; days += 1) {
    day.setUTCDate(day.getUTCDate() + 1);
  }
  return days;
}

/**
 * Drawdowns directly from their definition, however slow: D_t = P_t / max_{s ≤ t} P_s − 1 for each day,
 * and an episode for each run of days with D_t < 0.
 */
export function bruteDrawdown(closes: readonly Observation[]): Drawdown | null {
  const counted = closes.slice(closes.findIndex(({ value }) => value > 0));
  const last = counted.at(-1);
  if (!closes.some(({ value }) => value > 0) || !last) return null;
  const peakUntil = (at: number) => Math.max(...counted.slice(0, at + 1).map(({ value }) => value));
  const drawdowns = counted.map(({ value }, at) => value / peakUntil(at) - 1);
  const under = drawdowns.map((drawdown) => drawdown < 0);
  const starts = [...under.keys()].filter((at) => under[at] && !under[at - 1]);
  const episodes = starts.map((start): DrawdownEpisode => {
    const after = under.findIndex((isUnder, at) => at > start && !isUnder);
    const run = counted.slice(start, after < 0 ? undefined : after);
    const lowest = Math.min(...run.map(({ value }) => value));
    const trough = run.find(({ value }) => value === lowest) ?? last;
    const peak = counted[start - 1] ?? last;
    const recoveryDate = counted[after]?.date ?? null;
    return {
      peakDate: peak.date,
      peakValue: peakUntil(start),
      troughDate: trough.date,
      troughValue: lowest,
      recoveryDate,
      depth: 1 - lowest / peakUntil(start),
      daysToTrough: daysBetween(peak.date, trough.date),
      daysUnderWater: daysBetween(peak.date, recoveryDate ?? last.date),
    };
  });
  const highest = peakUntil(counted.length - 1);
  const peak = counted.findLast(({ value }) => value === highest) ?? last;
  const deepest = episodes.toSorted((a, b) => b.depth - a.depth)[0] ?? null;
  const current = episodes.find(({ recoveryDate }) => recoveryDate === null) ?? null;
  return { last, peak, depth: -(drawdowns.at(-1) ?? 0), current, deepest, episodes };
}
