import type { Fault } from './errors.ts';
import { outcomeOfReturnOver } from './outcome.ts';
import type { ScenarioName } from './probabilities.ts';
import type { Asked, Moment, Resolvable } from './resolution.ts';
import { startOf } from './time-weighting.ts';

const DAY = 86_400_000;

/** What is wrong with the time at which the outcome became known by a request, and why it takes a reason; null if not. */
export function knownFaults(
  outlook: Resolvable,
  { outcome, knownAt }: Asked,
  moment: Moment,
): { faults: Fault[]; ground: string | null } {
  const fault = (detail: string) => ({ faults: [{ path: ['knownAt'], detail }], ground: null });
  if (knownAt === null) return { faults: [], ground: null };
  if (outcome === 'void') return fault('must be left out, because a void outlook has no outcome');
  const { latest, why } = latestKnownAt(outlook, outcome, moment);
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
  { band, closes, knownAt }: Resolvable,
  outcome: ScenarioName,
  { computed, now }: Moment,
): { latest: Date; why: string } {
  if (computed && closes && band && outcomeOfReturnOver(band, computed) === outcome) {
    const nextDay = startOf(computed.end.date) + DAY;
    const latest = Math.min(nextDay, closes.endRecordedAt.getTime(), now.getTime());
    return { latest: new Date(latest), why: `the close of ${computed.end.date} was known` };
  }
  if (knownAt === null) return { latest: now, why: 'the outcome is recorded' };
  return { latest: knownAt, why: 'the outcome was known by the resolution that this corrects' };
}
