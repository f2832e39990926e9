import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import type { Db } from './pool.ts';

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
    const db = drizzle({ client });
    await requireUtf8(db);
    // The role or the database may have limits of its own.
    await db.execute(sql`set statement_timeout = 0`);
    await db.execute(sql`set lock_timeout = 0`);
    await db.execute(sql`select pg_advisory_lock(${MIGRATION_LOCK})`);
    const standing = compare(await appliedMigrations(db));
    if (standing === 'ahead' || standing === 'differs') throw new Error(DETAILS[standing]);
    // At the latest nothing is asked for the right to create anything.
    if (standing === 'behind') await migrate(db, { migrationsFolder: MIGRATIONS });
    await adoptTransactions(db);
  } finally {
    await client.end(); // and with the session the lock
  }
}

/**
 * Rows say which transaction wrote them. Where they were copied from another server (pg_dump), that may be one that is
 * yet to come here, and walks through lists would leave them out: they become this transaction's.
 */
async function adoptTransactions(db: NodePgDatabase): Promise<void> {
  const { rowCount } = await db.execute(
    sql`select from outlooks where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())
         order by transaction_id desc limit 1`,
  );
  if (rowCount === 0) return;
  await db.transaction(async (tx) => {
    for (const table of ['outlooks', 'outlook_versions']) {
      const name = sql.identifier(table);
      await tx.execute(sql`alter table ${name} disable trigger user`);
      await tx.execute(
        sql`update ${name} set transaction_id = pg_current_xact_id()
             where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())`,
      );
      await tx.execute(sql`alter table ${name} enable trigger user`);
    }
  });
}

/** The SQL of all migrations, in their order. */
export function migrationTexts(): string[] {
  return JOURNAL.map(({ sql: statements }) => statements.join('\n'));
}

/** @throws Error where the database is not at this release's schema, no older one and no newer */
export async function requireLatest(client: pg.Client): Promise<void> {
  const standing = compare(await appliedMigrations(drizzle({ client })));
  if (standing !== 'latest') throw new Error(DETAILS[standing]);
}

export const NO_LIMITS = { statement_timeout: 0, lock_timeout: 0, query_timeout: 0 };

/**
 * Why the database's schema doesn't serve this release, in one line; null where it does. One that a
 * newer release has migrated since serves on, so that instances can be replaced one by one.
 */
export async function schemaFault(db: Db): Promise<string | null> {
  const standing = compare(await appliedMigrations(db));
  return standing === 'behind' || standing === 'differs' ? DETAILS[standing] : null;
}

const DETAILS = {
  behind: 'Migrations of this release are not applied yet: start it once.',
  ahead: 'A newer release has migrated the database: start that release, or a newer one.',
  differs:
    'The migrations applied to the database are not those of this release: start the release that migrated it, or set DATABASE_URL to another database.',
};

async function requireUtf8(db: Db): Promise<void> {
  const { rows } = await db.execute<{ server_encoding: string }>(sql`show server_encoding`);
  const encoding = rows[0]?.server_encoding;
  if (encoding === 'UTF8') return;
  throw new Error(`The database has the encoding ${encoding}: create one with UTF8.`);
}

type AppliedMigration = { hash: string; createdAt: number };

async function appliedMigrations(db: Db): Promise<AppliedMigration[]> {
  const exists = await db.execute<{ found: boolean }>(
    sql`select to_regclass('drizzle.__drizzle_migrations') is not null as found`,
  );
  if (!exists.rows[0]?.found) return [];
  const applied = await db.execute<{ hash: string; created_at: string }>(
    sql`select hash, created_at::text from drizzle.__drizzle_migrations order by created_at, id`,
  );
  return applied.rows.map((row) => ({ hash: row.hash, createdAt: Number(row.created_at) }));
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
