import { asc, eq, gt } from 'drizzle-orm';
import { DomainError } from '../domain/errors.ts';
import type { Instrument } from '../domain/instrument.ts';
import type { Db } from '../postgres/pool.ts';
import { instruments } from '../postgres/tables/instruments.ts';
import { series } from '../postgres/tables/series.ts';

const columns = {
  symbol: instruments.symbol,
  name: instruments.name,
  kind: instruments.kind,
  closes: series.key,
};

/** @throws DomainError `symbol-taken` or `unknown-series` */
export async function createInstrument(db: Db, instrument: Instrument, now: Date): Promise<void> {
  const { closes, ...named } = instrument;
  const closesId = closes === null ? null : await seriesId(db, closes);
  const inserted = await db
    .insert(instruments)
    .values({ ...named, closesId, createdAt: now })
    .onConflictDoNothing({ target: instruments.symbol })
    .returning({ id: instruments.id });
  if (inserted.length === 0) {
    throw new DomainError('symbol-taken', `The instrument "${instrument.symbol}" already exists.`, [
      { path: ['symbol'], detail: 'is taken; use that instrument or another symbol' },
    ]);
  }
}

async function seriesId(db: Db, key: string): Promise<number> {
  const [found] = await db.select({ id: series.id }).from(series).where(eq(series.key, key));
  if (found) return found.id;
  throw new DomainError('unknown-series', `There is no series "${key}".`, [
    { path: ['closes'], detail: `"${key}" is unknown; create it with POST /v1/series` },
  ]);
}

/**
 * Names the series that holds the closes of an instrument, for good. Call it in a transaction.
 * @throws DomainError `instrument-not-found`, `unknown-series`, or `closes-named` where it is another
 */
export async function nameCloses(db: Db, symbol: string, closes: string): Promise<Instrument> {
  const closesId = await seriesId(db, closes);
  const [locked] = await db
    .select({ id: instruments.id, closesId: instruments.closesId })
    .from(instruments)
    .where(eq(instruments.symbol, symbol))
    .for('no key update');
  if (locked && locked.closesId === null) {
    await db.update(instruments).set({ closesId }).where(eq(instruments.id, locked.id));
  }
  const instrument = await readInstrument(db, symbol);
  if (instrument.closes === closes) return instrument;
  throw new DomainError(
    'closes-named',
    `The closes of "${symbol}" are in the series "${instrument.closes}". That cannot change.`,
    [{ path: ['closes'], detail: `is already "${instrument.closes}"` }],
  );
}

/** @throws DomainError `instrument-not-found` */
export async function readInstrument(db: Db, symbol: string): Promise<Instrument> {
  const [found] = await db
    .select(columns)
    .from(instruments)
    .leftJoin(series, eq(series.id, instruments.closesId))
    .where(eq(instruments.symbol, symbol));
  if (!found) throw new DomainError('instrument-not-found', `There is no instrument "${symbol}".`);
  return found;
}

/** Instruments by symbol, those behind `after` first; at most `limit`. */
export async function listInstruments(
  db: Db,
  page: { after: string | null; limit: number },
): Promise<Instrument[]> {
  return db
    .select(columns)
    .from(instruments)
    .leftJoin(series, eq(series.id, instruments.closesId))
    .where(page.after === null ? undefined : gt(instruments.symbol, page.after))
    .orderBy(asc(instruments.symbol))
    .limit(page.limit);
}
