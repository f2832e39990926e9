import { DomainError } from '../domain/errors.ts';
import { STALE_AFTER_DAYS } from '../domain/outcome.ts';
import type { Dating, Frequency, Observation } from '../domain/series.ts';
import { startOf } from '../domain/time-weighting.ts';
import type pg from 'pg';
import { inTransaction, type Session } from '../postgres/pool.ts';

// A close is dated by the day for which it stands: the last day of its period. Every query reads the index
// observations_standing; a period that ends on a day or later begins at most a year before it.

/** A series that holds closes. */
export type ClosesSeries = { id: number; frequency: Frequency; dated: Dating };

/** @throws DomainError `no-closes` if the instrument names no series of closes */
export async function requireCloses(
  session: Session,
  symbol: string,
): Promise<ClosesSeries & { key: string }> {
  const { rows } = await session.query<ClosesSeries & { key: string }>(
    `select s.id, s.key, s.frequency, s.dated from instruments i join series s on s.id = i.closes_id
      where i.symbol = $1`,
    [symbol],
  );
  const [series] = rows;
  if (series) return series;
  throw new DomainError('no-closes', `The instrument "${symbol}" has no series of closes.`);
}

// The closes of the series $1, each with its day, as known now or at $6. $2 is its frequency, $3 its dating.
const NOW = `
  select period_end(o.date, $2, $3) as date, o.value from observations o
   where o.series_id = $1 and o.superseded_at is null and o.value is not null`;
const KNOWN = `
  select period_end(o.date, $2, $3) as date, k.value from observations o cross join lateral (
      select k.value from observations k
       where k.series_id = o.series_id and k.date = o.date and k.recorded_at <= $6
       order by k.recorded_at desc limit 1) k
   where o.series_id = $1 and o.superseded_at is null and k.value is not null`;

const FROM_DAY = `
     and o.date >= $4::date - case $3 when 'start' then 366 else 0 end and period_end(o.date, $2, $3) >= $4::date
   order by o.date limit $5`;
const BEFORE_DAY = `
     and o.date < $4::date and period_end(o.date, $2, $3) < $4::date order by o.date desc limit $5`;

function closesQuery(
  { id, frequency, dated }: ClosesSeries,
  [which, days]: ['since' | 'before', string],
  { asOf, limit }: { asOf: Date | null; limit: number | null },
) {
  const known = asOf === null ? [] : [asOf.toISOString()];
  return {
    name: `read-closes-${which}${asOf === null ? '' : '-as-of'}`,
    text: (asOf === null ? NOW : KNOWN) + (which === 'since' ? FROM_DAY : BEFORE_DAY),
    values: [id, frequency, dated, days, limit, ...known],
  };
}

/** The closes from a day on, as known now or at a given time, oldest first; at most `limit`, null for all. */
export async function readCloses(
  session: Session,
  series: ClosesSeries,
  { from, asOf, limit }: { from: string; asOf: Date | null; limit: number | null },
): Promise<Observation[]> {
  const { rows } = await session.query<Observation>(
    closesQuery(series, ['since', from], { asOf, limit }),
  );
  return rows;
}

/** How many closes are read at once. Parsing them takes a few milliseconds of the event loop. */
const PAGE = 5_000;

/** As {@link readCloses}, from one snapshot, but in pages, so that the event loop can serve others in between. */
export async function readClosesInPages(
  pool: pg.Pool,
  series: ClosesSeries,
  { from, asOf, limit }: { from: string; asOf: Date | null; limit: number },
): Promise<Observation[]> {
  const first = await readCloses(pool, series, { from, asOf, limit: PAGE });
  if (first.length < PAGE) return first;
  return inTransaction(pool, async (session) => {
    const { text, values } = closesQuery(series, ['since', from], { asOf, limit });
    await session.query(`declare closes no scroll cursor for ${text}`, values);
    const closes: Observation[] = [];
    for (;;) {
      const { rows } = await session.query<Observation>(`fetch ${PAGE} from closes`);
      closes.push(...rows);
      if (rows.length < PAGE) return closes;
    }
  });
}

/** The last close before a day, as known now or at a given time. */
export async function lastCloseBefore(
  session: Session,
  series: ClosesSeries,
  day: string,
  asOf: Date | null = null,
): Promise<Observation | null> {
  const { rows } = await session.query<Observation>(
    closesQuery(series, ['before', day], { asOf, limit: 1 }),
  );
  return rows[0] ?? null;
}

/** When the value of a close was first recorded. */
export async function closeRecordedAt(
  session: Session,
  { id, frequency, dated }: ClosesSeries,
  { date, value }: Observation,
): Promise<Date> {
  const { rows } = await session.query<{ at: Date }>(
    `select min(recorded_at) as at from observations
      where series_id = $1 and date between $4::date - case $3 when 'start' then 366 else 0 end and $4::date
        and period_end(date, $2, $3) = $4::date and value = $5`,
    [id, frequency, dated, date, value],
  );
  if (!rows[0]) throw new Error(`the close of ${date} is missing`);
  return rows[0].at;
}

const DAY = 86_400_000;

/**
 * The close from which an outlook's drawdown counts, as its return does: the last one before its horizon, unless it is
 * stale by then.
 */
export async function baseClose(
  session: Session,
  series: ClosesSeries,
  from: string,
  asOf: Date | null = null,
): Promise<Observation | null> {
  const last = await lastCloseBefore(session, series, from, asOf);
  const oldest = startOf(from) - STALE_AFTER_DAYS[series.frequency] * DAY;
  return last !== null && startOf(last.date) >= oldest ? last : null;
}
