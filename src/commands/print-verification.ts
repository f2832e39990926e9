import type pg from 'pg';
import { compareBackup } from '../ledger/compare-backup.ts';
import { findByHash, type VersionFault, verifyLedger } from '../ledger/verification.ts';
import { print } from './run-command.ts';

/** What the ledger must still have: a hash such as `sha256:9f86…`, or the versions of a backup. */
export type Against = { hash: string } | { file: string };

/**
 * Verifies the ledger and prints what was altered, and what it lacks.
 * @param against what it must have; null for nothing
 * @returns whether nothing was altered, and nothing is missing
 */
export async function printVerification(pool: pg.Pool, against: Against | null): Promise<boolean> {
  const { versions, faults } = await verifyLedger(pool);
  for (const { slug, version, fault } of faults) print(`${slug}, version ${version} ${fault}.`);
  print(
    faults.length === 0
      ? `Verified versions: ${versions}. All are as the ledger wrote them.`
      : `Verified versions: ${versions}. Outlooks that are not as the ledger wrote them: ${faults.length}.`,
  );
  if (against === null) return faults.length === 0;
  const holds =
    'hash' in against
      ? await printHash(pool, against.hash, faults)
      : await printComparison(pool, against.file);
  return holds && faults.length === 0;
}

/** Prints whether an intact chain has a hash, and returns it. */
async function printHash(
  pool: pg.Pool,
  hash: string,
  faults: readonly VersionFault[],
): Promise<boolean> {
  const found = await findByHash(pool, hash);
  if (!found) {
    print(`No version has the hash ${hash}.`);
    return false;
  }
  const broken = faults.find(({ slug }) => slug === found.slug);
  const isIntact = broken === undefined || broken.version > found.version;
  print(
    isIntact
      ? `${hash} is version ${found.version} of ${found.slug}: nothing up to it was rewritten.`
      : `${hash} is version ${found.version} of ${found.slug}, whose chain is broken.`,
  );
  return isIntact;
}

/** Prints whether the ledger has every version of a backup, and returns it. */
async function printComparison(pool: pg.Pool, file: string): Promise<boolean> {
  const { versions, faults } = await compareBackup(pool, file);
  for (const { slug, version, count, fault } of faults) {
    const state = fault === 'missing' ? 'missing' : 'different';
    print(`${slug}, version ${version} of the backup is ${state}; such versions: ${count}.`);
  }
  print(
    faults.length === 0
      ? `Versions in the backup: ${versions}. The ledger has all of them.`
      : `Versions in the backup: ${versions}. Outlooks that differ from it: ${new Set(faults.map(({ slug }) => slug)).size}.`,
  );
  return faults.length === 0;
}
