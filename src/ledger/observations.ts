import type pg from 'pg';
import { deskOf } from '../access/desks.ts';
import { type Desk, type Desks, requireDesk } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { Provenance } from '../domain/framework.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import type { Session } from '../postgres/pool.ts';
import { noteContradictions, OUTLOOKS_BETWEEN_CLOSES } from './contradictions.ts';
import { evaluateDrawdowns } from './drawdowns.ts';
import { evaluateConditions } from './evaluate-conditions.ts';
import type { Arrival } from './figures.ts';
import { lockOutRuleChanges } from './rules.ts';

/** An observation of a day, or its retraction. */
export type NewObservation = {
  date: string;
  /** Null retracts the value of the day. */
  value: number | null;
  provenance: Provenance;
  note: string | null;
};

/** How many days of each kind a batch has. */
export type Counts = { added: number; revised: number; retracted: number; unchanged: number };

export type Recorded = Counts & {
  /** Null if nothing was new. */
  recordedAt: Date | null;
  /** The outlooks with a condition or a drawdown label that changed. */
  slugs: readonly string[];
};

/**
 * Records observations of a series, at most one a day. A new day gets its first vintage; a day with another value,
 * provenance or note gets its next one; an unchanged day stays as it is, so sending the same again changes nothing. A
 * retraction is a vintage without a value. Call it in a transaction: it also evaluates the conditions that watch the
 * series, and the drawdowns of the instruments whose closes it holds.
 * @param desks that the caller acts for
 * @throws DomainError `series-not-found`, `wrong-desk`, or `nothing-to-retract` if a day to retract has no observation
 */
export async function recordObservations(
  session: pg.PoolClient,
  key: string,
  desks: Desks,
  sent: readonly NewObservation[],
  clock: () => Date,
): Promise<Recorded> {
  await lockOutRuleChanges(session);
  const series = await lockSeries(session, key, desks);
  const { current, fresh, counts } = await compareWithStored(session, series, sent);
  if (fresh.length === 0) return { ...counts, recordedAt: null, slugs: [] };
  const recordedAt = await appendVintages(session, series.id, fresh, clock());
  const changed = fresh.map(({ date, value }) => ({
    date,
    before: current.get(date)?.value ?? null,
    value,
  }));
  const slugs = await evaluateArrival(session, { series, changed, recordedAt });
  return { ...counts, recordedAt, slugs };
}

/**
 * Compares observations with what is stored.
 * @throws DomainError `nothing-to-retract` if a day to retract has no observation
 */
export async function compareWithStored(
  session: Session,
  series: { id: number; key: string },
  sent: readonly NewObservation[],
): Promise<{
  /** What is stored of the days that were sent. */
  current: ReadonlyMap<string, NewObservation>;
  fresh: NewObservation[];
  counts: Counts;
}> {
  const current = await readDays(session, series.id, sent);
  requireRetractable(series.key, sent, current);
  const fresh = sent.filter((one) => {
    const before = current.get(one.date);
    return (
      !before ||
      before.value !== one.value ||
      before.provenance !== one.provenance ||
      before.note !== one.note
    );
  });
  const added = fresh.filter(({ date }) => !current.has(date)).length;
  const retracted = fresh.filter(({ value }) => value === null).length;
  const revised = fresh.length - added - retracted;
  const unchanged = sent.length - fresh.length;
  return { current, fresh, counts: { added, revised, retracted, unchanged } };
}

/**
 * Locks a series against observations and other changes of its source until the transaction ends, for those who act for its
 * desk.
 * @throws DomainError `series-not-found` or `wrong-desk`
 */
export async function lockSeries(
  session: Session,
  key: string,
  desks: Desks,
): Promise<Arrival['series']> {
  const { rows } = await session.query<Arrival['series'] & { desk: Desk & { id: number } }>(
    `select s.id, s.key, s.frequency, s.dated,
        json_build_object('id', d.id, 'slug', d.slug, 'name', d.name) as desk
       from series s join ${deskOf('s')} where s.key = $1 for no key update of s`,
    [key],
  );
  const [found] = rows;
  if (!found) throw new DomainError('series-not-found', `There is no series "${key}".`);
  const { desk, ...series } = found;
  requireDesk(desks, desk, `The series "${key}"`);
  return series;
}

function requireRetractable(
  key: string,
  sent: readonly NewObservation[],
  current: ReadonlyMap<string, NewObservation>,
): void {
  const faults = sent.flatMap(({ date, value }, index) => {
    if (value !== null || current.has(date)) return [];
    const detail = `there is nothing to retract: ${key} has no observation of ${date}`;
    return [{ path: ['observations', index, 'value'], detail }];
  });
  if (faults.length === 0) return;
  const detail = 'Only a day with an observation can be retracted. Nothing was stored.';
  throw new DomainError('nothing-to-retract', detail, faults);
}

async function readDays(
  session: Session,
  seriesId: number,
  sent: readonly NewObservation[],
): Promise<Map<string, NewObservation>> {
  const { rows } = await session.query<NewObservation>(
    `select date, value, provenance, note from observations
      where series_id = $1 and superseded_at is null and date = any($2::date[])`,
    [seriesId, sent.map(({ date }) => date)],
  );
  return new Map(rows.map((row) => [row.date, row]));
}

// Later than every other vintage of the series even if the clock went back, so that as-of reads tell them apart.
async function appendVintages(
  session: Session,
  seriesId: number,
  fresh: readonly NewObservation[],
  now: Date,
): Promise<Date> {
  const { rows } = await session.query<{ at: Date }>(
    `select greatest($2::timestamptz(3), max(recorded_at) + interval '1 millisecond') as at
       from observations where series_id = $1`,
    [seriesId, now.toISOString()],
  );
  const recordedAt = rows[0]?.at ?? now;
  await session.query(
    `insert into observations (series_id, date, recorded_at, value, provenance, note)
     select $1, date, $2, value, provenance, note
       from json_to_recordset($3) as sent (date date, value float8, provenance text, note text)`,
    [seriesId, recordedAt.toISOString(), JSON.stringify(fresh)],
  );
  return recordedAt;
}

async function evaluateArrival(session: Session, arrival: Arrival): Promise<string[]> {
  // Locked in the order of ids, which avoids deadlocks. A revision waits, and then sees the new states. A resolution waits
  // or was there first: the status is the one after the lock.
  const { rows } = await session.query<{ id: number; status: OutlookStatus }>(
    `select id, status from outlooks
      where id in (
        select o.id from condition_comparisons p
          join frameworks f on f.id = p.framework_id
          join outlooks o on o.id = f.outlook_id and o.framework_id = f.id
         where p.series_id = $1 and o.status = 'open'
        union
        select o.id from instruments i join outlooks o on o.instrument_id = i.id
         where i.closes_id = $1 and o.status = 'open'
        union
        ${OUTLOOKS_BETWEEN_CLOSES})
      order by id for no key update`,
    [arrival.series.id, arrival.changed.map(({ date }) => date)],
  );
  const open = rows.filter(({ status }) => status === 'open').map(({ id }) => id);
  const closed = rows.filter(({ status }) => status !== 'open').map(({ id }) => id);
  const slugs = await noteContradictions(session, closed, arrival);
  if (open.length === 0) return slugs;
  slugs.push(...(await evaluateConditions(session, open, arrival)));
  slugs.push(...(await evaluateDrawdowns(session, open, arrival)));
  return [...new Set(slugs)];
}
