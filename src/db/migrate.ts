import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import type pg from 'pg';
import type { Db } from './client.ts';

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));

/** Any number, as long as all releases use the same one. */
const MIGRATION_LOCK = 5_019_202_611;

/**
 * Brings the database to this release's schema. Instances that start together wait for each other:
 * drizzle's migrator takes no lock of its own.
 * @throws Error where the database was migrated by another history than this release knows
 */
export async function migrateToLatest(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  try {
    const db = drizzle({ client });
    // A migration or another instance's may take longer than a request's statement.
    await db.execute(sql`set statement_timeout = 0`);
    await db.execute(sql`set lock_timeout = 0`);
    await db.execute(sql`select pg_advisory_lock(${MIGRATION_LOCK})`);
    const found = journalFault(await appliedMigrations(db));
    if (found && found.kind !== 'behind') throw new Error(found.detail);
    await migrate(db, { migrationsFolder: MIGRATIONS });
  } finally {
    client.release(true); // ends the session, and with it the lock and the settings
  }
}

/** Why the database is not at this release's schema, in one line; null where it is. */
export async function schemaFault(db: Db): Promise<string | null> {
  return journalFault(await appliedMigrations(db))?.detail ?? null;
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
function journalFault(
  applied: readonly AppliedMigration[],
): { kind: 'behind' | 'differs'; detail: string } | null {
  const journal: MigrationMeta[] = readMigrationFiles({ migrationsFolder: MIGRATIONS });
  for (const [index, { hash, createdAt }] of applied.entries()) {
    const known = journal[index];
    if (known?.hash !== hash || known.folderMillis !== createdAt) {
      return {
        kind: 'differs',
        detail:
          `Migration ${index + 1} applied to the database is not migration ${index + 1} of this release: ` +
          'start the release that migrated it, or a newer one.',
      };
    }
  }
  const missing = journal.length - applied.length;
  if (missing === 0) return null;
  return { kind: 'behind', detail: `${missing} migrations are not applied yet.` };
}
