import { asc, eq, gt } from 'drizzle-orm';
import { DomainError } from '../domain/errors.ts';
import type { Instrument } from '../domain/instrument.ts';
import type { Db } from './client.ts';
import { instruments } from './schema/instruments.ts';

const columns = { symbol: instruments.symbol, name: instruments.name, kind: instruments.kind };

/** @throws DomainError `symbol-taken` */
export async function createInstrument(db: Db, instrument: Instrument, now: Date): Promise<void> {
  const inserted = await db
    .insert(instruments)
    .values({ ...instrument, createdAt: now })
    .onConflictDoNothing({ target: instruments.symbol })
    .returning({ id: instruments.id });
  if (inserted.length === 0) {
    throw new DomainError(
      'symbol-taken',
      `There already is an instrument "${instrument.symbol}".`,
      [{ path: ['symbol'], detail: 'is taken; use that instrument or another symbol' }],
    );
  }
}

/** @throws DomainError `instrument-not-found` */
export async function readInstrument(db: Db, symbol: string): Promise<Instrument> {
  const [found] = await db.select(columns).from(instruments).where(eq(instruments.symbol, symbol));
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
    .where(page.after === null ? undefined : gt(instruments.symbol, page.after))
    .orderBy(asc(instruments.symbol))
    .limit(page.limit);
}
