import { asc, eq, gt } from 'drizzle-orm';
import { DomainError } from '../domain/errors.ts';
import type { Frequency } from '../domain/series.ts';
import type { Db } from '../postgres/pool.ts';
import { series } from '../postgres/tables/series.ts';

/** A time series, in FRED's words. */
export type Series = {
  key: string;
  name: string;
  unit: string;
  frequency: Frequency;
  source: string;
};

const columns = {
  key: series.key,
  name: series.name,
  unit: series.unit,
  frequency: series.frequency,
  source: series.source,
};

/** @throws DomainError `series-taken` */
export async function createSeries(db: Db, created: Series, now: Date): Promise<void> {
  const inserted = await db
    .insert(series)
    .values({ ...created, createdAt: now })
    .onConflictDoNothing({ target: series.key })
    .returning({ id: series.id });
  if (inserted.length > 0) return;
  throw new DomainError('series-taken', `The series "${created.key}" already exists.`, [
    { path: ['key'], detail: 'is taken; use that series or another key' },
  ]);
}

/** @throws DomainError `series-not-found` */
export async function readSeries(db: Db, key: string): Promise<Series> {
  const [found] = await db.select(columns).from(series).where(eq(series.key, key));
  if (!found) throw new DomainError('series-not-found', `There is no series "${key}".`);
  return found;
}

/** Series by key, those behind `after` first; at most `limit`. */
export async function listSeries(
  db: Db,
  page: { after: string | null; limit: number },
): Promise<Series[]> {
  return db
    .select(columns)
    .from(series)
    .where(page.after === null ? undefined : gt(series.key, page.after))
    .orderBy(asc(series.key))
    .limit(page.limit);
}
