import type pg from 'pg';
import { findByHash, verifyLedger } from '../ledger/verification.ts';
import { print } from './run-command.ts';

/**
 * Says what of the ledger is not as it was written, and whether a hash that was noted stands.
 * @param against the hash; null where none was noted
 * @returns whether all is as it should be
 */
export async function verify(pool: pg.Pool, against: string | null): Promise<boolean> {
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
