import type { Audience } from '../domain/desks.ts';
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
};

/** @throws DomainError `series-taken` */
export async function createSeries(
  session: Session,
  { key, name, unit, frequency, dated, source }: Series,
  now: Date,
): Promise<void> {
  const { rowCount } = await session.query(
    `insert into series (key, name, unit, frequency, dated, source, created_at)
     values ($1, $2, $3, $4, $5, $6, $7) on conflict (key) do nothing`,
    [key, name, unit, frequency, dated, source, now.toISOString()],
  );
  if (rowCount === 1) return;
  throw new DomainError('series-taken', `The series "${key}" already exists.`, [
    { path: ['key'], detail: 'is taken; use that series or another key' },
  ]);
}

/** @throws DomainError `series-not-found` */
export async function readSeries(session: Session, key: string): Promise<Series> {
  const { rows } = await session.query<Series>(
    'select key, name, unit, frequency, dated, source from series where key = $1',
    [key],
  );
  const [found] = rows;
  if (!found) throw new DomainError('series-not-found', `There is no series "${key}".`);
  return found;
}

/** The series that an audience may see, in the order of their keys, those after `after`; at most `limit`. */
export async function listSeries(
  session: Session,
  { after, limit, audience }: { after: string | null; limit: number; audience: Audience },
): Promise<Series[]> {
  const { rows } = await session.query<Series>(
    `select key, name, unit, frequency, dated, source from series s
      where ($1::text is null or key collate "C" > $1) and ${visibleTo('s', '$3')}
      order by key collate "C" limit $2`,
    [after, limit, visibleDesks(audience)],
  );
  return rows;
}
