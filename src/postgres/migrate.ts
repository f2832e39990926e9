import { fileURLToPath } from 'node:url';
import { DrizzleQueryError } from 'drizzle-orm/errors';
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import type { Session } from './pool.ts';

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));

/** Any number, as long as all releases use the same one. */
const MIGRATION_LOCK = 5_019_202_611;

const JOURNAL: readonly MigrationMeta[] = readMigrationFiles({ migrationsFolder: MIGRATIONS });

/**
 * Brings the database to this release's schema. Instances that start together wait for each other:
 * drizzle's migrator takes no lock of its own.
 * @throws Error where a newer release, or one with another history, migrated the database, or where
 *   the database can't hold every character
 */
export async function migrateToLatest(pool: pg.Pool): Promise<void> {
  // Of its own, as a migration, or another instance's, may take longer than a request's statement.
  const client = new pg.Client({ ...pool.options, ...NO_LIMITS });
  client.on('error', () => {}); // the statement under way tells of it
  await client.connect();
  try {
    await requireUtf8(client);
    // The role or the database may have limits of its own.
    await client.query('set statement_timeout = 0; set lock_timeout = 0');
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const state = compare(await appliedMigrations(client));
    if (state === 'ahead' || state === 'differs') throw new Error(DETAILS[state]);
    // A database at the latest schema needs no right to create anything.
    if (state === 'behind') await applyMigrations(client);
    await adoptTransactions(client);
  } finally {
    await client.end(); // and with the session the lock
  }
}

async function applyMigrations(client: pg.Client): Promise<void> {
  try {
    await migrate(drizzle({ client }), { migrationsFolder: MIGRATIONS });
  } catch (error) {
    // Its message is the whole migration; its cause says what is wrong with it.
    throw error instanceof DrizzleQueryError ? error.cause : error;
  }
}

/**
 * Rows say which transaction wrote them. Where they were copied from another server (pg_dump), that may be one that is
 * yet to come here, and walks through lists would leave them out: they become this transaction's.
 */
async function adoptTransactions(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query(
    `select from outlooks where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())
      order by transaction_id desc limit 1`,
  );
  if (rowCount === 0) return;
  await client.query('begin');
  for (const table of ['outlooks', 'outlook_versions']) {
    await client.query(`alter table ${table} disable trigger user`);
    await client.query(
      `update ${table} set transaction_id = pg_current_xact_id()
        where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`,
    );
    await client.query(`alter table ${table} enable trigger user`);
  }
  await client.query('commit');
}

/** The SQL of all migrations, in their order. */
export function migrationTexts(): string[] {
  return JOURNAL.map(({ sql: statements }) => statements.join('\n'));
}

/** @throws Error where the database is not at this release's schema, no older one and no newer */
export async function requireLatest(session: Session): Promise<void> {
  const state = compare(await appliedMigrations(session));
  if (state !== 'latest') throw new Error(DETAILS[state]);
}

export const NO_LIMITS = { statement_timeout: 0, lock_timeout: 0, query_timeout: 0 };

/**
 * Why the database's schema doesn't serve this release, in one line; null where it does. One that a
 * newer release has migrated since serves on, so that instances can be replaced one by one.
 */
export async function schemaFault(session: Session): Promise<string | null> {
  const state = compare(await appliedMigrations(session));
  return state === 'behind' || state === 'differs' ? DETAILS[state] : null;
}

const DETAILS = {
  behind: 'Migrations of this release are not applied yet: start it once.',
  ahead: 'A newer release has migrated the database: start that release, or a newer one.',
  differs:
    'The migrations applied to the database are not those of this release: start the release that migrated it, or set DATABASE_URL to another database.',
};

async function requireUtf8(session: Session): Promise<void> {
  const { rows } = await session.query<{ server_encoding: string }>('show server_encoding');
  const encoding = rows[0]?.server_encoding;
  if (encoding === 'UTF8') return;
  throw new Error(`The database has the encoding ${encoding}: create one with UTF8.`);
}

type AppliedMigration = { hash: string; createdAt: number };

async function appliedMigrations(session: Session): Promise<AppliedMigration[]> {
  const exists = await session.query<{ found: boolean }>(
    `select to_regclass('drizzle.__drizzle_migrations') is not null as found`,
  );
  if (!exists.rows[0]?.found) return [];
  const { rows } = await session.query<AppliedMigration>(
    `select hash, created_at as "createdAt" from drizzle.__drizzle_migrations
      order by created_at, id`,
  );
  return rows;
}

// drizzle applies what is newer than the newest applied and says nothing of anything else, so a
// journal that took another way would be taken for up to date.
function compare(applied: readonly AppliedMigration[]): 'latest' | 'behind' | 'ahead' | 'differs' {
  const shared = JOURNAL.slice(0, applied.length);
  const isShared = shared.every(
    ({ hash, folderMillis }, index) =>
      applied[index]?.hash === hash && applied[index].createdAt === folderMillis,
  );
  if (!isShared) return 'differs';
  if (applied.length === JOURNAL.length) return 'latest';
  return applied.length < JOURNAL.length ? 'behind' : 'ahead';
}
