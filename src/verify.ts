import { parseArgs } from 'node:util';
import type pg from 'pg';
import { readConfig } from './config.ts';
import { openDatabase } from './db/database.ts';
import { findByHash, verifyLedger } from './db/verification.ts';
import { loadEnvFile } from './env-file.ts';
import { inOneLine } from './one-line.ts';

const USAGE = `Usage:
  npm run verify [-- --against sha256:…]

Recomputes the hash chain of every outlook and looks for whatever else the ledger holds to be true. With
--against, also looks for a hash that was noted earlier: where it still stands in an untouched chain, nothing up
to its version was rewritten since.

The database is the one that DATABASE_URL names, or else the embedded one in DATA_DIR, whether the
service is running or not. Exits with 1 where anything is wrong.`;

class UsageError extends Error {}

function readHash(args: string[]): string | null {
  const { values } = parseArgs({ args, options: { against: { type: 'string' } } });
  const { against = null } = values;
  if (against === null || /^sha256:[0-9a-f]{64}$/.test(against)) return against;
  throw new UsageError('--against takes a hash as versions show it: sha256: and 64 digits.');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Whether all is as it should be. */
async function verify(pool: pg.Pool, against: string | null): Promise<boolean> {
  const { versions, faults } = await verifyLedger(pool);
  for (const { slug, version, fault } of faults) print(`${slug}, version ${version} ${fault}.`);
  print(
    faults.length === 0
      ? `${versions} versions are as the ledger wrote them.`
      : `${versions} versions; ${faults.length} outlooks are not as the ledger wrote them.`,
  );
  if (against === null) return faults.length === 0;
  const found = await findByHash(pool, against);
  if (!found) {
    print(`No version has the hash ${against}.`);
    return false;
  }
  const broken = faults.find(({ slug }) => slug === found.slug);
  const stands = broken === undefined || broken.version > found.version;
  print(
    stands
      ? `${against} is version ${found.version} of ${found.slug}: nothing up to it was rewritten.`
      : `${against} is version ${found.version} of ${found.slug}, whose chain is broken.`,
  );
  return faults.length === 0 && stands;
}

async function run(): Promise<void> {
  const against = readHash(process.argv.slice(2));
  loadEnvFile();
  const config = readConfig(process.env);
  const fail = (error: Error | string) => process.stderr.write(`${String(error)}\n`);
  const database = await openDatabase(
    { ...config, databasePoolMax: 1 },
    { onConnectionError: fail, onEmbeddedLog: () => {}, onEmbeddedExit: fail },
    { join: true },
  );
  try {
    if (!(await verify(database.pool, against))) process.exitCode = 1;
  } finally {
    await database.close();
  }
}

try {
  await run();
} catch (error) {
  const isUsage =
    error instanceof UsageError ||
    (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
  process.stderr.write(`${inOneLine(error)}\n`);
  if (isUsage) process.stderr.write(`\n${USAGE}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
