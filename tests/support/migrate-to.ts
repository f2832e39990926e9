import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import type pg from 'pg';

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));

/**
 * Brings an empty database to the schema of an earlier release.
 * @param release how many migrations it has
 */
export async function migrateTo(pool: pg.Pool, release: number): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'outlook-ledger-release-'));
  try {
    await cp(MIGRATIONS, folder, { recursive: true });
    const file = path.join(folder, 'meta/_journal.json');
    const journal = JSON.parse(await readFile(file, 'utf8')) as { entries: unknown[] };
    const entries = journal.entries.slice(0, release);
    await writeFile(file, JSON.stringify({ ...journal, entries }));
    await migrate(drizzle({ client: pool }), { migrationsFolder: folder });
  } finally {
    await rm(folder, { recursive: true });
  }
}
