import type pg from 'pg';
import type { Session } from '../postgres/pool.ts';
import { lockSeries, type Recorded, recordObservations } from './observations.ts';
import { lockOutRuleChanges } from './rules.ts';

/** The value of a day, as a provider has it. */
export type PulledObservation = { date: string; value: number };

// Of a day that was corrected or retracted by hand since its source last wrote it, all later vintages count.
const KNOWN = `
  select date from json_to_recordset($2) as pulled (date date, value float8)
   where exists (
     select from observations o
      where o.series_id = $1 and o.date = pulled.date and o.value = pulled.value
        and o.recorded_at >= coalesce((
          select max(l.recorded_at) from observations l
           where l.series_id = $1 and l.date = pulled.date and l.note = $3), '-infinity'))`;

/**
 * Records the values of a source, at most one a day. It adds new days, revises days for which the source has a new value, and
 * retracts nothing. A day that somebody corrected or retracted stays so until the source publishes a value that the day has
 * not had since. Call it in a transaction; see {@link recordObservations}.
 * @param note names the source, on each observation
 */
export async function recordPulled(
  session: pg.PoolClient,
  key: string,
  pulled: readonly PulledObservation[],
  { note, clock }: { note: string; clock: () => Date },
): Promise<Recorded> {
  await lockOutRuleChanges(session);
  const { id } = await lockSeries(session, key, 'all');
  const known = await knownDays(session, id, pulled, note);
  const fresh = pulled.filter(({ date }) => !known.has(date));
  const sent = fresh.map((one) => ({ ...one, provenance: 'sourced' as const, note }));
  const recorded = await recordObservations(session, key, 'all', sent, clock);
  return { ...recorded, unchanged: recorded.unchanged + known.size };
}

async function knownDays(
  session: Session,
  seriesId: number,
  pulled: readonly PulledObservation[],
  note: string,
): Promise<Set<string>> {
  const { rows } = await session.query<{ date: string }>(KNOWN, [
    seriesId,
    JSON.stringify(pulled),
    note,
  ]);
  return new Set(rows.map(({ date }) => date));
}
