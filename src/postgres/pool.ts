import { createConnection } from 'node:net';
import pg from 'pg';
import { BEGIN, LedgerClient } from './client.ts';
import { TYPE_PARSERS } from './type-parsers.ts';
import { meterPool } from './work-meter.ts';

/**
 * A pool, or the connection of a transaction. Every query takes one as its first parameter and captures none, so a
 * query that belongs in a transaction but runs outside it shows. Hot statements have names: Postgres parses and plans
 * them once a connection.
 */
export type Session = Pick<pg.ClientBase, 'query'>;

// How long a statement may run, wait for a lock, or leave its transaction open, in milliseconds. Every statement of this
// service takes a few milliseconds; one that takes longer hangs.
const LIMITS = {
  statement_timeout: 15_000,
  // Well below the wait for a connection: writers that queue for one stuck outlook return their connections before
  // readers of other outlooks are refused.
  lock_timeout: 2_000,
  idle_in_transaction_session_timeout: 15_000,
  // Measured by the client, for a connection that broke silently.
  query_timeout: 20_000,
};

/**
 * A pool of connections, opened as queries need them. It calls `onError` if a connection breaks, and replaces it.
 */
export function connect(
  settings: { max: number } & Pick<
    pg.PoolConfig,
    'connectionString' | 'host' | 'port' | 'user' | 'database'
  >,
  onError: (error: Error) => void,
): pg.Pool {
  const pool = new pg.Pool({
    ...settings,
    ...LIMITS,
    Client: LedgerClient,
    types: TYPE_PARSERS,
    application_name: 'outlook-ledger',
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  });
  // Without both handlers, a connection lost inside a transaction ends the process.
  pool.on('error', onError);
  pool.on('connect', (client) => client.on('error', onError));
  meterPool(pool);
  return pool;
}

/** The database is too busy, or unreachable, to take the query now. */
export class Busy extends Error {}

/** Starts a transaction that reads one snapshot and writes nothing. */
export const BEGIN_SNAPSHOT = 'begin isolation level repeatable read, read only';

/**
 * Runs `work` in one transaction: commits when it resolves, rolls back when it throws. A connection that breaks does not
 * return to the pool.
 * @param begin the statement that starts the transaction
 */
export async function inTransaction<Result>(
  pool: pg.Pool,
  work: (session: pg.PoolClient) => Promise<Result>,
  begin = BEGIN,
): Promise<Result> {
  const session = await pool.connect();
  let broken = false;
  try {
    await session.query(begin);
    const result = await work(session);
    await commit(session);
    return result;
  } catch (error) {
    // A connection that timed out answers nothing more; one that turned read-only may lead to a former primary.
    if (isBeyondRollback(error)) {
      broken = true;
      cancel(session);
    } else await session.query('rollback').catch(() => (broken = true));
    throw error;
  } finally {
    session.release(broken);
  }
}

/**
 * Commits.
 * @throws Busy if the commit no longer waits for the synchronous standby, because someone cancelled it. PostgreSQL commits on
 *   the primary then, reports success, and only warns (synchronous_commit in its chapter on the write-ahead log); a failover
 *   could still lose the commit.
 */
async function commit(session: pg.ClientBase): Promise<void> {
  let isUnconfirmed = false;
  const onNotice = ({ code = '' }: { code?: string | undefined }) => {
    if (code === WARNING) isUnconfirmed = true;
  };
  session.on('notice', onNotice);
  try {
    await session.query('commit');
  } finally {
    session.off('notice', onNotice);
  }
  if (isUnconfirmed) throw new Busy('the standby may lack the commit');
}

/**
 * Makes the commit of a transaction that only reads wait for the synchronous standby as if it wrote: once it is through, the
 * standby has all that the transaction read. After a crash or a cancelled wait, the primary shows commits that the standby
 * lacks. Without a synchronous standby it costs one small commit.
 */
export async function confirmReads(session: Session): Promise<void> {
  await session.query(`select pg_logical_emit_message(true, 'outlook-ledger', '')`);
}

/**
 * Ends whatever the server still does for a connection. A commit that waits for a standby notices neither a timeout nor that
 * its client is gone: it would hold its locks, and one of the server's connections, until a standby is back.
 */
function cancel(session: pg.PoolClient): void {
  const { host, port, processID, secretKey } = session as unknown as CancelKey;
  if (!Number.isInteger(processID) || !Number.isInteger(secretKey)) return;
  const message = Buffer.alloc(CANCEL_LENGTH);
  [CANCEL_LENGTH, CANCEL_REQUEST, processID, secretKey].forEach((word, index) =>
    message.writeInt32BE(word, 4 * index),
  );
  const socket = host.startsWith('/')
    ? createConnection(`${host}/.s.PGSQL.${port}`)
    : createConnection(port, host);
  socket.setTimeout(5_000, () => socket.destroy());
  socket.on('error', () => {}); // the server is gone, and the statement with it
  socket.end(message);
}

/** What identifies a connection in a CancelRequest (PostgreSQL's chapter on its protocol, 55.2.8 and 55.7). */
type CancelKey = { host: string; port: number; processID: number; secretKey: number };
const CANCEL_LENGTH = 16;
const CANCEL_REQUEST = 80_877_102;

/** The SQLSTATE of a warning; its text depends on the language of the server. */
const WARNING = '01000';
const READ_ONLY = '25006';

function isBeyondRollback(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.message === 'Query read timeout' || (error as { code?: string }).code === READ_ONLY;
}

/** The message of an error; of a failed connection, the messages for each address that was tried. */
export function reasonOf(error: unknown): string {
  // A host name with several addresses fails once for each.
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
