import pg from 'pg';
import { LedgerClient } from './client.ts';
import {
  RETRY_POLICY,
  retryWhileBlocked,
  type Runner,
  runOutsideTransaction,
  withMigrationLock,
} from './migration-locks.ts';
import { appliedMigrations, faultOf, JOURNAL, type Migration, schemaState } from './migrations.ts';
import type { Session } from './pool.ts';
import { missingGrants } from './privileges.ts';
import { requireGuardedRole, serviceRole } from './service-role.ts';

type Migrating = Partial<Pick<Runner, 'log' | 'journal' | 'retryPolicy'>>;

export const NO_LIMITS = {
  statement_timeout: 0,
  lock_timeout: 0,
  idle_in_transaction_session_timeout: 0,
  query_timeout: 0,
};

/**
 * Brings the database to this release's schema, and grants the service's role its rights.
 *
 * It runs the files that drizzle-kit writes and keeps drizzle's journal. It does not use drizzle's migrator, which applies
 * all files in one transaction, takes no lock of its own, and waits for locks silently and without a limit. Here each
 * migration has its own transaction. If that waits for locks longer than a second, it rolls back and tries again.
 * @param owner connects as the owner of the tables
 * @param service connects as the service's role; the owner's role unless given
 * @throws Error if a newer release that this one can't work with, or one with another history, migrated the database, if
 *   the database's encoding is not UTF8, if the service's role could switch the ledger's guards off, or if another session
 *   holds a lock for too long
 */
export async function migrateToLatest(
  owner: pg.Pool,
  service = owner,
  { log = () => {}, journal = JOURNAL, retryPolicy = RETRY_POLICY }: Migrating = {},
): Promise<void> {
  const pool = new pg.Pool({ ...owner.options, ...NO_LIMITS, Client: LedgerClient, max: 3 });
  pool.on('error', () => {}); // the running statement reports it
  const runner = { pool, log, journal, retryPolicy };
  try {
    await requireUtf8(pool);
    await applyMigrations(runner);
    await ownerOnly(adoptTransactions(runner));
    if (service !== owner) await prepareServiceRole(runner, service.options);
  } finally {
    await pool.end();
  }
}

async function applyMigrations(runner: Runner): Promise<void> {
  const readState = () => schemaState(runner.pool, runner.journal);
  let state = await readState();
  // A database at the latest schema needs no lock, and no right to create anything.
  if (state === 'behind') {
    await ownerOnly(retryWhileBlocked(runner, () => createJournal(runner)));
    while (await ownerOnly(retryWhileBlocked(runner, () => applyNext(runner))));
    state = await readState(); // a newer release may have migrated meanwhile
  }
  const fault = faultOf(state);
  if (fault !== null) throw new Error(fault);
  if (state === 'supported') {
    runner.log('a newer release has migrated the database; this one works with its schema');
  }
}

/** Creates what is missing of drizzle's journal, as drizzle's migrator does. If nothing is, that takes no right. */
async function createJournal(runner: Runner): Promise<void> {
  await withMigrationLock(runner, async (session, run) => {
    const { rows } = await session.query<{ hasSchema: boolean; hasTable: boolean }>(
      `select to_regnamespace('drizzle') is not null as "hasSchema",
        to_regclass('drizzle.__drizzle_migrations') is not null as "hasTable"`,
    );
    if (!rows[0]?.hasSchema) await run('create schema drizzle');
    if (rows[0]?.hasTable) return;
    await run(
      'create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)',
    );
  });
}

/** @returns whether it applied any */
async function applyNext(runner: Runner): Promise<boolean> {
  return withMigrationLock(runner, async (session, run) => {
    if ((await schemaState(session, runner.journal)) !== 'behind') return false;
    const next = nextMigrations((await appliedMigrations(session)).length, runner.journal);
    for (const migration of next) {
      for (const statement of migration.statements) {
        await (migration.isOutsideTransaction
          ? runOutsideTransaction(runner, statement)
          : run(statement));
      }
      await record(session, migration);
    }
    return next.length > 0;
  });
}

/**
 * The migrations that the next transaction applies: one, or all of those from before 0015, because no release works with
 * the schema between them.
 */
function nextMigrations(applied: number, journal: readonly Migration[]): readonly Migration[] {
  const missing = journal.slice(applied);
  const before = missing.findIndex(({ runsWith }) => runsWith !== null);
  return missing.slice(0, before === 0 ? 1 : before === -1 ? undefined : before);
}

async function record(session: Session, { number, hash, createdAt, runsWith }: Migration) {
  await session.query(
    'insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)',
    [hash, createdAt],
  );
  if (runsWith === null) return;
  await session.query('insert into drizzle.release_support values ($1, $2)', [number, runsWith]);
}

/**
 * Awaits work that only the owner of the tables may do.
 * @throws Error with what to set if the role lacks a right
 */
export async function ownerOnly<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if ((error as pg.DatabaseError).code !== '42501') throw error;
    const { message } = error as Error;
    throw new Error(
      `the role may not do this: set DATABASE_MIGRATION_URL to the URL of the owner of the tables, with the rights that docs/operate/deploying.md lists (${message})`,
      { cause: error },
    );
  }
}

/**
 * Rows hold the id of the transaction that wrote them. Rows copied from another server (pg_dump) may hold ids that this
 * server has not reached, and paging through lists would skip them. They get the id of this transaction.
 */
async function adoptTransactions(runner: Runner): Promise<void> {
  const { rowCount } = await runner.pool.query(
    `select from outlooks where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())
      order by transaction_id desc limit 1`,
  );
  if (rowCount === 0) return;
  await retryWhileBlocked(runner, () =>
    withMigrationLock(runner, async (_, run) => {
      for (const table of ['outlooks', 'outlook_versions']) {
        await run(`alter table ${table} disable trigger user`);
        await run(
          `update ${table} set transaction_id = pg_current_xact_id()
            where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`,
        );
        await run(`alter table ${table} enable trigger user`);
      }
    }),
  );
}

/**
 * Creates the service's role if it is missing, and gives it exactly the rights that it needs.
 * @throws Error if the role could switch the ledger's guards off
 */
async function prepareServiceRole(runner: Runner, service: pg.PoolConfig): Promise<void> {
  const role = await serviceRole(runner.pool, service);
  // The instances of a newer release work as the same role.
  const keepsOthers = (await schemaState(runner.pool, runner.journal)) === 'supported';
  const grants = async (session: Session) =>
    (await missingGrants(session, role, keepsOthers)).filter(({ isGrantable }) => isGrantable);
  if ((await grants(runner.pool)).length > 0) {
    await retryWhileBlocked(runner, () =>
      withMigrationLock(runner, async (session, run) => {
        for (const { statement } of await grants(session)) await run(statement);
      }),
    );
  }
  await requireGuardedRole(runner.pool, role);
}

async function requireUtf8(session: Session): Promise<void> {
  const { rows } = await session.query<{ server_encoding: string }>('show server_encoding');
  const encoding = rows[0]?.server_encoding;
  if (encoding === 'UTF8') return;
  throw new Error(`The database has the encoding ${encoding}: create one with UTF8.`);
}
