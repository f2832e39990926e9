import type pg from 'pg';
import { findByHash, verifyLedger } from '../ledger/verification.ts';
import { print } from './run-command.ts';

/**
 * Verifies the ledger and prints what was altered, and whether the chains contain a hash.
 * @param against the hash, such as `sha256:9f86…`; null for none
 * @returns whether nothing was altered and the hash, if any, is in an intact chain
 */
export async function printVerification(pool: pg.Pool, against: string | null): Promise<boolean> {
  const { versions, faults } = await verifyLedger(pool);
  for (const { slug, version, fault } of faults) print(`${slug}, version ${version} ${fault}.`);
  print(
    faults.length === 0
      ? `Verified versions: ${versions}. All are as the ledger wrote them.`
      : `Verified versions: ${versions}. Outlooks that are not as the ledger wrote them: ${faults.length}.`,
  );
  if (against === null) return faults.length === 0;
  const found = await findByHash(pool, against);
  if (!found) {
    print(`No version has the hash ${against}.`);
    return false;
  }
  const broken = faults.find(({ slug }) => slug === found.slug);
  const isIntact = broken === undefined || broken.version > found.version;
  print(
    isIntact
      ? `${against} is version ${found.version} of ${found.slug}: nothing up to it was rewritten.`
      : `${against} is version ${found.version} of ${found.slug}, whose chain is broken.`,
  );
  return faults.length === 0 && isIntact;
}
