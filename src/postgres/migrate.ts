import { fileURLToPath } from 'node:url';
import { DrizzleQueryError } from 'drizzle-orm/errors';
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import type pg from 'pg';
import { BEGIN, LedgerClient } from './client.ts';
import type { Session } from './pool.ts';
import { prepareServiceRole } from './service-role.ts';

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));

/** Any number, but the same in all releases. */
const MIGRATION_LOCK = 5_019_202_611;

const JOURNAL: readonly MigrationMeta[] = readMigrationFiles({ migrationsFolder: MIGRATIONS });

/**
 * Brings the database to this release's schema, and grants the service's role its rights. Instances that start together
 * wait for each other: drizzle's migrator takes no lock of its own.
 * @param owner connects as the owner of the tables
 * @param service connects as the service's role; the owner's role unless given
 * @throws Error if a newer release, or one with another history, migrated the database, if the database's encoding is not
 *   UTF8, or if the service's role could switch the ledger's guards off
 */
export async function migrateToLatest(owner: pg.Pool, service = owner): Promise<void> {
  // A connection without the pool's limits: a migration, or the wait for another instance's, may take long.
  const client = new LedgerClient({ ...owner.options, ...NO_LIMITS });
  await client.connect();
  try {
    await requireUtf8(client);
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const state = await schemaState(client);
    if (state !== 'latest' && state !== 'behind') throw new Error(DETAILS[state]);
    // A database at the latest schema needs no right to create anything.
    if (state === 'behind') await ownerOnly(applyMigrations(client));
    await ownerOnly(adoptTransactions(client));
    if (service !== owner) await prepareServiceRole(client, service.options);
  } finally {
    await client.end(); // releases the lock with the session
  }
}

async function applyMigrations(client: pg.Client): Promise<void> {
  try {
    await migrate(drizzle({ client }), { migrationsFolder: MIGRATIONS });
  } catch (error) {
    // Its message quotes the whole migration; its cause says what went wrong.
    throw error instanceof DrizzleQueryError ? error.cause : error;
  }
}

/**
 * Awaits work that only the owner of the database may do.
 * @throws Error with what to set if the role lacks a right
 */
export async function ownerOnly(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if ((error as pg.DatabaseError).code !== '42501') throw error;
    const { message } = error as Error;
    throw new Error(
      `only the owner of the database may do this: set DATABASE_MIGRATION_URL to its URL (${message})`,
      { cause: error },
    );
  }
}

/**
 * Rows hold the id of the transaction that wrote them. Rows copied from another server (pg_dump) may hold ids that this
 * server has not reached, and paging through lists would skip them. They get the id of this transaction.
 */
async function adoptTransactions(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query(
    `select from outlooks where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())
      order by transaction_id desc limit 1`,
  );
  if (rowCount === 0) return;
  await client.query(BEGIN);
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

/** @throws Error if the database is not at exactly this release's schema */
export async function requireLatest(session: Session): Promise<void> {
  const state = await schemaState(session);
  if (state !== 'latest') throw new Error(DETAILS[state]);
}

export const NO_LIMITS = { statement_timeout: 0, lock_timeout: 0, query_timeout: 0 };

/**
 * Why this release can't run on the database's schema, in one line; null if it can. It can on the schema of a newer
 * release, so that instances can be replaced one by one.
 */
export async function schemaFault(session: Session): Promise<string | null> {
  const state = await schemaState(session);
  return state === 'latest' || state === 'ahead' ? null : DETAILS[state];
}

const DETAILS = {
  behind: 'Migrations of this release are not applied yet: start it once.',
  ahead: 'A newer release has migrated the database: start that release, or a newer one.',
  differs:
    'The migrations applied to the database are not those of this release: start the release that migrated it, or set DATABASE_URL to another database.',
  unreadable:
    "The role in DATABASE_URL has no rights on the ledger's tables: start the service with DATABASE_MIGRATION_URL, or run `npm run migrate`.",
};

async function requireUtf8(session: Session): Promise<void> {
  const { rows } = await session.query<{ server_encoding: string }>('show server_encoding');
  const encoding = rows[0]?.server_encoding;
  if (encoding === 'UTF8') return;
  throw new Error(`The database has the encoding ${encoding}: create one with UTF8.`);
}

type AppliedMigration = { hash: string; createdAt: number };

async function schemaState(session: Session): Promise<'latest' | keyof typeof DETAILS> {
  const { rows: tables } = await session.query<{ isReadable: boolean }>(
    `select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as "isReadable"
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'drizzle' and c.relname = '__drizzle_migrations'`,
  );
  if (!tables[0]) return compare([]);
  if (!tables[0].isReadable) return 'unreadable';
  const { rows } = await session.query<AppliedMigration>(
    `select hash, created_at as "createdAt" from drizzle.__drizzle_migrations
      order by created_at, id`,
  );
  return compare(rows);
}

// drizzle applies whatever is newer than the newest applied migration and compares nothing else: it would take a journal
// of other migrations for up to date.
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
