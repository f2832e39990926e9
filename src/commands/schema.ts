import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDatabase } from '../postgres/database.ts';
import { dumpSchema } from '../postgres/schema-dump.ts';

const FILE = new URL('../../migrations/schema.sql', import.meta.url);

// A new embedded PostgreSQL, because what pg_get_constraintdef and its like write differs between versions.
const dataDir = mkdtempSync(path.join(tmpdir(), 'outlook-ledger-schema-'));
try {
  chmodSync(dataDir, 0o755); // for the user that PostgreSQL runs as when root starts it
  const report = (error: Error | string) => process.stderr.write(`${String(error)}\n`);
  const database = await openDatabase(
    {
      databaseUrl: null,
      directDatabaseUrl: null,
      databaseMigrationUrl: null,
      dataDir,
      databasePoolMax: 1,
    },
    {
      onPrivilegedRole: report,
      onNotice: report,
      onMigration: report,
      onConnectionError: report,
      onEmbeddedLog: () => {},
      onEmbeddedExit: report,
    },
  );
  try {
    writeFileSync(FILE, await dumpSchema(database.pool));
  } finally {
    await database.close();
  }
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
