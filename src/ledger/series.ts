import { deskOf, deskOfNew } from '../access/desks.ts';
import type { Audience, Desk, Desks, Visibility } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { Dating, Frequency } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

/** A time series, in FRED's words. */
export type Series = {
  key: string;
  name: string;
  unit: string;
  frequency: Frequency;
  dated: Dating;
  source: string;
  desk: Desk;
  visibility: Visibility;
};

/** A series that a request describes; its desk may be left out if the caller acts for only one. */
export type NewSeries = Omit<Series, 'desk'> & { desk?: string | undefined };

const READ = `select s.key, s.name, s.unit, s.frequency, s.dated, s.source,
    json_build_object('slug', d.slug, 'name', d.name) as desk,
    case when s.internal_to is null then 'public' else 'internal' end as visibility
  from series s join ${deskOf('s')}`;

/** @throws DomainError `wrong-desk`, `desk-refused` or `series-taken` */
export async function createSeries(
  session: Session,
  { key, name, unit, frequency, dated, source, visibility, desk: sent }: NewSeries,
  desks: Desks,
  now: Date,
): Promise<Series> {
  const { desk, fault } = await deskOfNew(session, desks, sent);
  if (!desk) throw new DomainError('desk-refused', 'The series needs a desk.', [fault]);
  const { rowCount } = await session.query(
    `insert into series (key, name, unit, frequency, dated, source, created_at, desk_id, is_internal)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (key) do nothing`,
    [
      key,
      name,
      unit,
      frequency,
      dated,
      source,
      now.toISOString(),
      desk.id,
      visibility === 'internal',
    ],
  );
  if (rowCount === 1) {
    const { slug, name: title } = desk;
    return { key, name, unit, frequency, dated, source, desk: { slug, name: title }, visibility };
  }
  throw new DomainError('series-taken', `The series "${key}" already exists.`, [
    { path: ['key'], detail: 'is taken; use that series or another key' },
  ]);
}

/** The error for a key that no series has. */
export function seriesNotFound(key: string): DomainError {
  return new DomainError('series-not-found', `There is no series "${key}".`);
}

/** @throws DomainError `series-not-found` */
export async function readSeries(session: Session, key: string): Promise<Series> {
  const { rows } = await session.query<Series>(`${READ} where s.key = $1`, [key]);
  const [found] = rows;
  if (!found) throw seriesNotFound(key);
  return found;
}

/**
 * The series that an audience may see, of all desks or of one, in the order of their keys, those after `after`; at most
 * `limit`.
 */
export async function listSeries(
  session: Session,
  page: { after: string | null; limit: number; desk: string | null; audience: Audience },
): Promise<Series[]> {
  const { after, limit, desk, audience } = page;
  const { rows } = await session.query<Series>(
    `${READ} where ($1::text is null or s.key collate "C" > $1)
        and ($3::text is null or d.slug = $3) and ${visibleTo('s', '$4')}
      order by s.key collate "C" limit $2`,
    [after, limit, desk, visibleDesks(audience)],
  );
  return rows;
}
