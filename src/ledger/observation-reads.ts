import type { Provenance } from '../domain/framework.ts';
import { DomainError } from '../domain/errors.ts';
import type { Session } from '../postgres/pool.ts';

// Every query reads the index observations_standing, which has one entry a day, so earlier vintages cost nothing. The
// value known at a given time takes one step down the primary key for each day. A retracted day has no value.

/** One recorded value of a day, or its retraction by null; a later vintage supersedes it. */
export type Vintage = {
  date: string;
  value: number | null;
  provenance: Provenance;
  note: string | null;
  recordedAt: Date;
  supersededAt: Date | null;
};

/** The values of series $1 that were known at $3, of the days from $2 on. */
const FROM_KNOWN = `
  from observations o cross join lateral (
    select k.value, k.provenance, k.note, k.recorded_at from observations k
     where k.series_id = o.series_id and k.date = o.date and k.recorded_at <= $3
     order by k.recorded_at desc limit 1) k
 where o.series_id = $1 and o.superseded_at is null and k.value is not null and o.date >= $2::date`;

/** Which vintages to list: days in [from, to), those after `after`; at most `limit`. */
export type VintagePage = {
  from: string;
  to: string;
  after: { date: string; recordedAt: Date } | null;
  limit: number;
};

const COLUMNS = `o.date, o.value, o.provenance, o.note, o.recorded_at as "recordedAt",
  o.superseded_at as "supersededAt"`;

/**
 * The observations of a series in the order of their dates: the newest ones, those known at a given time, or all vintages.
 * @throws DomainError `series-not-found`
 */
export async function listObservations(
  session: Session,
  key: string,
  which: 'newest' | 'vintages' | { asOf: Date },
  { from, to, after, limit }: VintagePage,
): Promise<Vintage[]> {
  const found = await session.query<{ id: number }>('select id from series where key = $1', [key]);
  const seriesId = found.rows[0]?.id;
  if (seriesId === undefined)
    throw new DomainError('series-not-found', `There is no series "${key}".`);
  const behind = after ? after.date : null;
  if (which === 'vintages') {
    const { rows } = await session.query<Vintage>(
      `select ${COLUMNS} from observations o
        where o.series_id = $1 and o.date >= $2::date and o.date < $3::date
          and ($4::date is null or (o.date, o.recorded_at) > ($4::date, $5::timestamptz))
        order by o.date, o.recorded_at limit $6`,
      [seriesId, from, to, behind, after?.recordedAt.toISOString() ?? null, limit],
    );
    return rows;
  }
  if (which === 'newest') {
    const { rows } = await session.query<Vintage>(
      `select ${COLUMNS} from observations o
        where o.series_id = $1 and o.superseded_at is null and o.value is not null
          and o.date >= $2::date and o.date < $3::date and ($4::date is null or o.date > $4::date)
        order by o.date limit $5`,
      [seriesId, from, to, behind, limit],
    );
    return rows;
  }
  const { rows } = await session.query<Vintage>(
    `select o.date, k.value, k.provenance, k.note, k.recorded_at as "recordedAt",
        null as "supersededAt" ${FROM_KNOWN} and o.date < $4::date and ($5::date is null or o.date > $5::date)
      order by o.date limit $6`,
    [seriesId, from, which.asOf.toISOString(), to, behind, limit],
  );
  return rows;
}
