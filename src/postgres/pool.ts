import { DrizzleQueryError } from 'drizzle-orm/errors';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import type { NodePgQueryResultHKT } from 'drizzle-orm/node-postgres';
import type { PgDatabase } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { TYPE_PARSERS } from './type-parsers.ts';

/**
 * The pool or a transaction. Every query takes one as its first parameter and captures none, so a
 * query that is meant for a transaction but runs outside it can be seen.
 */
export type Db = PgDatabase<NodePgQueryResultHKT>;

/**
 * A pool, or the connection of a transaction, for the statements of the hot paths: named, so that
 * Postgres parses and plans each once a connection, and built once, which costs drizzle more than
 * Postgres takes to answer them.
 */
export type Session = Pick<pg.ClientBase, 'query'>;

export type Database = { db: NodePgDatabase; pool: pg.Pool };

// How long a statement may run, wait for a lock, or leave its transaction open, in milliseconds.
// Every statement of this service takes a few at the most; what takes longer hangs.
const LIMITS = {
  statement_timeout: 15_000,
  // Well below the wait for a connection: writers that queue at one stuck outlook give theirs back
  // before the readers of all others are refused.
  lock_timeout: 2_000,
  idle_in_transaction_session_timeout: 15_000,
  // Kept on this side, for a connection that is gone without a word.
  query_timeout: 20_000,
};

/**
 * A pool of connections; none is opened before the first query. A connection that breaks is
 * reported to `onError` and replaced.
 */
export function connect(
  settings: { max: number } & Pick<
    pg.PoolConfig,
    'connectionString' | 'host' | 'port' | 'user' | 'database'
  >,
  onError: (error: Error) => void,
): Database {
  const pool = new pg.Pool({
    ...settings,
    ...LIMITS,
    types: TYPE_PARSERS,
    application_name: 'outlook-ledger',
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  });
  // Without a handler of both, a connection lost inside a transaction ends the process.
  pool.on('error', onError);
  pool.on('connect', (client) => client.on('error', onError));
  return { pool, db: drizzle({ client: pool }) };
}

/** The database is too busy, or too far away, to be asked now. */
export class Busy extends Error {}

/**
 * Runs `work` in one transaction: committed when it settles, rolled back when it throws. A connection
 * that breaks on the way is not given back to the pool.
 */
export async function inTransaction<Result>(
  pool: pg.Pool,
  work: (session: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  const session = await pool.connect();
  let broken = false;
  try {
    await session.query('begin');
    const result = await work(session);
    await session.query('commit');
    return result;
  } catch (error) {
    // What doesn't answer won't answer to this either, and what takes no writes may have been a primary.
    if (isBeyondRollback(error)) broken = true;
    else await session.query('rollback').catch(() => (broken = true));
    throw error;
  } finally {
    session.release(broken);
  }
}

/** What went wrong, where drizzle only says in which query. */
export function causeOf(error: unknown): unknown {
  return error instanceof DrizzleQueryError ? error.cause : error;
}

const READ_ONLY = '25006';

function isBeyondRollback(error: unknown): boolean {
  const cause = causeOf(error);
  if (!(cause instanceof Error)) return false;
  return cause.message === 'Query read timeout' || (cause as { code?: string }).code === READ_ONLY;
}

/** The query builder on the connection of a transaction. */
export function onSession(session: pg.PoolClient): Db {
  return drizzle({ client: session });
}

/** What Postgres, or the way to it, says is wrong; without the query's parameters, which may be secret. */
export function reasonOf(error: unknown): string {
  const cause = causeOf(error);
  if (cause !== undefined && cause !== error) return reasonOf(cause);
  // A name with several addresses fails once for each.
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
