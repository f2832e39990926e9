import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { type Blockers, blockersOf, holderOf } from './blockers.ts';
import type { Migration } from './migrations.ts';
import { inTransaction, type Session } from './pool.ts';

/** Any number, but the same in all releases. */
const MIGRATION_LOCK = 5_019_202_611;

/** How long a migration waits for locks, and how often it tries again; in milliseconds. */
type RetryPolicy = {
  /** How long a transaction waits for locks in all. Others wait as long for what it has locked. */
  lockTimeout: number;
  /** How long it waits for a lock once `lockTimeout` is over. */
  minLockTimeout: number;
  /** The pause before it tries again, which doubles each time up to the longest. */
  firstPause: number;
  longestPause: number;
  /** How long it tries. */
  givesUpAfter: number;
};

export const RETRY_POLICY: RetryPolicy = {
  lockTimeout: 1_000,
  minLockTimeout: 50,
  firstPause: 250,
  longestPause: 5_000,
  givesUpAfter: 10 * 60_000,
};

export type Runner = {
  /** Connections of the tables' owner, without the limits of the service's. */
  pool: pg.Pool;
  journal: readonly Migration[];
  /** Takes a line for the operator, such as what the migration waits for. */
  log: (line: string) => void;
  retryPolicy: RetryPolicy;
};

/** Another session holds a lock that is needed. */
class Blocked extends Error {
  readonly remedy: string;

  constructor(what: string, blockers: Blockers | null) {
    super(`${what} ${blockers?.text ?? 'a session that is gone'}`);
    this.remedy = blockers?.remedy ?? '';
  }
}

/** @throws Error that names the blocker if the work stays blocked for too long */
export async function retryWhileBlocked<Result>(
  { retryPolicy, log }: Runner,
  work: () => Promise<Result>,
): Promise<Result> {
  const start = performance.now();
  for (
    let pause = retryPolicy.firstPause;
    ;
    pause = Math.min(2 * pause, retryPolicy.longestPause)
  ) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Blocked)) throw error;
      if (performance.now() - start >= retryPolicy.givesUpAfter) throw gaveUp(error, retryPolicy);
      log(`${error.message}; trying again in ${pause / 1_000} s`);
    }
    await delay(pause);
  }
}

function gaveUp({ message, remedy }: Blocked, { givesUpAfter }: RetryPolicy): Error {
  return new Error(
    `gave up after ${givesUpAfter / 1_000} s: ${message}. Start again once it is done, or end it: ${remedy}`,
  );
}

type Run = (statement: string) => Promise<void>;

/**
 * Runs work in a transaction that holds the lock of all migrations.
 * @param work takes the session, and a function that runs a statement which may wait for locks
 * @throws Blocked if another instance holds the lock, or another session one that a statement needs
 */
export async function withMigrationLock<Result>(
  runner: Runner,
  work: (session: Session, run: Run) => Promise<Result>,
): Promise<Result> {
  return inTransaction(runner.pool, async (session) => {
    // An index that is built outside this transaction waits for snapshots: at `read committed`, this one holds none.
    const { rows } = await session.query<{ isFree: boolean }>(
      'select pg_try_advisory_xact_lock($1) as "isFree"',
      [MIGRATION_LOCK],
    );
    if (!rows[0]?.isFree) {
      throw new Blocked(
        'waiting for the migration of another instance:',
        await holderOf(session, MIGRATION_LOCK),
      );
    }
    const start = performance.now();
    return work(session, (statement) => runInTransaction(runner, session, statement, start));
  });
}

const BLOCKED = 'waiting for a lock that is held by';

/** Whether PostgreSQL refused a lock: lock_not_available or deadlock_detected (its documentation, appendix A). */
function isOutOfLocks(error: unknown): boolean {
  return ['55P03', '40P01'].includes((error as pg.DatabaseError).code ?? '');
}

async function runInTransaction(
  { pool, retryPolicy }: Runner,
  session: Session,
  statement: string,
  start: number,
): Promise<void> {
  const left = Math.ceil(retryPolicy.lockTimeout - (performance.now() - start));
  const wait = Math.max(left, retryPolicy.minLockTimeout);
  await session.query(`set local lock_timeout = ${wait}`);
  // PostgreSQL can say who blocks the statement only while it waits.
  const ended = new AbortController();
  const blockers = delay(wait / 2, undefined, { signal: ended.signal })
    .then(() => blockersOf(pool, statement))
    .catch(() => null);
  try {
    await session.query(statement);
  } catch (error) {
    throw isOutOfLocks(error) ? new Blocked(BLOCKED, await blockers) : error;
  } finally {
    ended.abort();
  }
}

/**
 * Runs a statement outside a transaction, such as CREATE INDEX CONCURRENTLY, which locks out neither readers nor writers. It
 * may wait for others as long as the migration may.
 * @throws Blocked if PostgreSQL refuses it a lock: run it again
 * @throws Error that names the blocker if others block it for too long
 */
export async function runOutsideTransaction(runner: Runner, statement: string): Promise<void> {
  const end = new AbortController();
  const watching = watch(runner, statement, end.signal);
  try {
    await Promise.race([watching, runner.pool.query(statement)]);
  } catch (error) {
    // The watch cancels the statement, which may report that before the watch says why.
    end.abort();
    await watching;
    // The role may have limits of its own.
    throw isOutOfLocks(error) ? new Blocked(BLOCKED, null) : error;
  } finally {
    end.abort();
  }
}

/**
 * Logs from time to time what a statement is waiting for.
 * @throws Error if others block it for too long; then it is cancelled
 */
async function watch(runner: Runner, statement: string, end: AbortSignal): Promise<void> {
  const { pool, retryPolicy, log } = runner;
  let blockedSince: number | null = null;
  for (let pause = retryPolicy.longestPause; ; pause = Math.min(2 * pause, 60_000)) {
    await delay(pause, undefined, { signal: end }).catch(() => {});
    if (end.aborted) return;
    const blockers = await blockersOf(pool, statement);
    blockedSince = blockers === null ? null : (blockedSince ?? performance.now());
    if (blockers === null) {
      log('building an index; reads and writes go on meanwhile');
      continue;
    }
    const blocked = new Blocked('building an index waits for', blockers);
    log(blocked.message);
    if (performance.now() - (blockedSince ?? 0) < retryPolicy.givesUpAfter) continue;
    await cancel(pool, statement);
    throw gaveUp(blocked, retryPolicy);
  }
}

async function cancel(session: Session, statement: string): Promise<void> {
  await session.query(
    `select pg_cancel_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and state = 'active'
        and starts_with($1, left(query, 80))`,
    [statement],
  );
}
