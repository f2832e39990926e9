import type pg from 'pg';
import type { Desks } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { Instrument } from '../domain/instrument.ts';
import type { Session } from '../postgres/pool.ts';
import { noteContradictions } from './contradictions.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

const READ = `select i.symbol, i.name, i.kind, s.key as closes
  from instruments i left join series s on s.id = i.closes_id`;

/**
 * Adds an instrument, which all desks share.
 * @param desks that the caller acts for
 * @throws DomainError `symbol-taken`, or `unknown-series` also if the series is internal
 */
export async function createInstrument(
  session: Session,
  { symbol, name, kind, closes }: Instrument,
  desks: Desks,
  now: Date,
): Promise<void> {
  const closesId = closes === null ? null : await seriesId(session, closes, desks);
  const { rowCount } = await session.query(
    `insert into instruments (symbol, name, kind, closes_id, created_at)
     values ($1, $2, $3, $4, $5) on conflict (symbol) do nothing`,
    [symbol, name, kind, closesId, now.toISOString()],
  );
  if (rowCount === 1) return;
  throw new DomainError('symbol-taken', `The instrument "${symbol}" already exists.`, [
    { path: ['symbol'], detail: 'is taken; use that instrument or another symbol' },
  ]);
}

/** The id of a series of closes, which is public, as instruments are. */
async function seriesId(session: Session, key: string, desks: Desks): Promise<number> {
  const { rows } = await session.query<{ id: number; isPublic: boolean }>(
    `select s.id, s.internal_to is null as "isPublic" from series s
      where s.key = $1 and ${visibleTo('s', '$2')}`,
    [key, visibleDesks({ hasKey: true, desks })],
  );
  const [found] = rows;
  if (found?.isPublic) return found.id;
  const detail = found
    ? `"${key}" is internal; instruments are for all desks, so their closes must be in a public series`
    : `"${key}" is unknown; create it with POST /v1/series`;
  throw new DomainError('unknown-series', `No public series has the key "${key}".`, [
    { path: ['closes'], detail },
  ]);
}

/**
 * Names the series that holds the closes of an instrument, for good, and notes which resolutions its closes contradict.
 * Call it in a transaction.
 * @throws DomainError `instrument-not-found`, `unknown-series`, or `closes-named` if the instrument already names
 *   another series
 */
export async function setCloses(
  session: pg.PoolClient,
  symbol: string,
  closes: string,
  desks: Desks,
  now: Date,
): Promise<Instrument> {
  const closesId = await seriesId(session, closes, desks);
  // A writer of closes who comes later sees the instrument, and one who came before is seen here.
  await session.query('select from series where id = $1 for no key update', [closesId]);
  // Of two callers at once, the second waits for the first and then changes nothing.
  const { rows } = await session.query<{ id: number }>(
    'update instruments set closes_id = $2 where symbol = $1 and closes_id is null returning id',
    [symbol, closesId],
  );
  for (const { id } of rows) {
    const { rows: closed } = await session.query<{ id: number }>(
      `select id from outlooks where instrument_id = $1 and status <> 'open'
        order by id for no key update`,
      [id],
    );
    const ids = closed.map((outlook) => outlook.id);
    await noteContradictions(session, ids, { series: { id: closesId }, recordedAt: now });
  }
  const instrument = await readInstrument(session, symbol);
  if (instrument.closes === closes) return instrument;
  throw new DomainError(
    'closes-named',
    `The closes of "${symbol}" are in the series "${instrument.closes}". That cannot change.`,
    [{ path: ['closes'], detail: `is already "${instrument.closes}"` }],
  );
}

/** @throws DomainError `instrument-not-found` */
export async function readInstrument(session: Session, symbol: string): Promise<Instrument> {
  const { rows } = await session.query<Instrument>(`${READ} where i.symbol = $1`, [symbol]);
  const [found] = rows;
  if (!found) throw new DomainError('instrument-not-found', `There is no instrument "${symbol}".`);
  return found;
}

/** Instruments in the order of their symbols, those after `after`; at most `limit`. */
export async function listInstruments(
  session: Session,
  { after, limit }: { after: string | null; limit: number },
): Promise<Instrument[]> {
  const { rows } = await session.query<Instrument>(
    `${READ} where $1::text is null or i.symbol collate "C" > $1 order by i.symbol collate "C" limit $2`,
    [after, limit],
  );
  return rows;
}
