import type { Fault } from './errors.ts';
import type { Horizon } from './framework.ts';
import { type BaseBand, type HorizonReturn, outcomeOfHorizonReturn } from './outcome.ts';
import type { ScenarioName } from './probabilities.ts';
import { startOf } from './time-weighting.ts';

const DAY = 86_400_000;

/** What the time at which an outcome became known depends on. */
export type OutcomeTiming = {
  horizon: Horizon;
  /** Of the current framework; null if it has no return bands. */
  band: BaseBand | null;
  /** The day of the newest close, and when the last close of the horizon was recorded; null without closes. */
  closes: { newestOn: string; endRecordedAt: Date } | null;
  /** When the outcome became known by the resolutions that it corrects; null if they don't say. */
  knownAt: Date | null;
};
/** The return that the closes decide by the time of the request. */
export type RequestFacts = { computed: HorizonReturn | null; now: Date };

/**
 * Checks the time at which an outcome became known, as a request states it.
 * @returns its faults, and why it requires a reason; null if it requires none
 */
export function knownAtFaults(
  outlook: OutcomeTiming,
  { outcome, knownAt }: { outcome: ScenarioName | 'void'; knownAt: Date | null },
  facts: RequestFacts,
): { faults: Fault[]; ground: string | null } {
  const fault = (detail: string) => ({ faults: [{ path: ['knownAt'], detail }], ground: null });
  if (knownAt === null) return { faults: [], ground: null };
  if (outcome === 'void') return fault('must be left out, because a void outlook has no outcome');
  const { latest, why } = latestKnownAt(outlook, outcome, facts);
  if (knownAt > latest) return fault(`must not be after ${latest.toISOString()}, when ${why}`);
  if (knownAt >= latest) return { faults: [], ground: null };
  const from = new Date(startOf(outlook.horizon.from));
  if (knownAt < from) {
    return fault(
      `must not be before ${from.toISOString()}, the start of the horizon; if the outcome was known before, resolve the outlook as void`,
    );
  }
  return { faults: [], ground: `knownAt is before ${latest.toISOString()}, when ${why}` };
}

/** The latest time at which the outcome can have become known. The function latest_known_at() in Postgres says the same. */
function latestKnownAt(
  { band, closes, knownAt }: OutcomeTiming,
  outcome: ScenarioName,
  { computed, now }: RequestFacts,
): { latest: Date; why: string } {
  if (computed && closes && band && outcomeOfHorizonReturn(band, computed) === outcome) {
    const nextDay = startOf(computed.end.date) + DAY;
    const latest = Math.min(nextDay, closes.endRecordedAt.getTime(), now.getTime());
    return { latest: new Date(latest), why: `the close of ${computed.end.date} was known` };
  }
  if (knownAt === null) return { latest: now, why: 'the outcome is recorded' };
  return { latest: knownAt, why: 'the outcome was known by the resolution that this corrects' };
}
