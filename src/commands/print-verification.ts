import pg from 'pg';
import type { TreeHead } from '../domain/signed-note.ts';
import { compareBackup } from '../ledger/compare-backup.ts';
import { findByHash, type VersionFault, verifyVersions } from '../ledger/verification.ts';
import { type LogVerification, verifyLog } from '../log/verification/verify-log.ts';
import { LedgerClient } from '../postgres/client.ts';
import { NO_LIMITS } from '../postgres/migrate.ts';
import { BEGIN_SNAPSHOT, inTransaction, type Session } from '../postgres/pool.ts';
import { print } from './run-command.ts';

/** What the ledger must still have: a hash such as `sha256:9f86…`, the tree of a checkpoint, or the versions of a backup. */
export type Against = { hash: string } | { checkpoint: TreeHead } | { backup: string };

/** How often a long verification says how far it is, in milliseconds. */
const PROGRESS_EVERY = 5_000;

/**
 * Verifies the ledger and its log, and prints what was altered, and what it lacks.
 * @param against what it must have; null for nothing
 * @returns whether nothing was altered, and nothing is missing
 */
export async function printVerification(pool: pg.Pool, against: Against | null): Promise<boolean> {
  const noted = against && 'checkpoint' in against ? against.checkpoint : null;
  const onProgress = progressPrinter();
  const { chain, log } = await inSnapshot(pool, async (session) => ({
    chain: await verifyVersions(session, (versions) => onProgress('versions', versions)),
    log: await verifyLog(session, noted, onProgress),
  }));
  printChain(chain);
  printLog(log);
  const isIntact = chain.faults.length === 0 && log.faults.length === 0;
  if (against === null) return isIntact;
  return (await printAgainst(pool, against, { faults: chain.faults, log })) && isIntact;
}

/** Runs `work` in a transaction that sees one snapshot, however long its statements take. */
async function inSnapshot<Result>(
  { options }: pg.Pool,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const pool = new pg.Pool({ ...options, ...NO_LIMITS, Client: LedgerClient, max: 1 });
  pool.on('error', () => {}); // the running statement reports it
  try {
    return await inTransaction(pool, work, BEGIN_SNAPSHOT);
  } finally {
    await pool.end();
  }
}

/** Says on standard error what is being verified, now and then. */
function progressPrinter(): (step: string, done: number) => void {
  let due = performance.now() + PROGRESS_EVERY;
  return (step, done) => {
    if (performance.now() < due) return;
    due = performance.now() + PROGRESS_EVERY;
    process.stderr.write(`Verifying ${step}: ${done.toLocaleString('en')}\n`);
  };
}

function printChain({ versions, faults }: { versions: number; faults: VersionFault[] }): void {
  for (const { slug, version, fault } of faults) print(`${slug}, version ${version} ${fault}.`);
  print(
    faults.length === 0
      ? `Verified versions: ${versions}. All are as the ledger wrote them.`
      : `Verified versions: ${versions}. Outlooks that are not as the ledger wrote them: ${faults.length}.`,
  );
}

function printLog(log: LogVerification): void {
  for (const sentence of log.sentences) print(sentence);
  print(
    log.faults.length === 0
      ? `Verified rows: ${log.rows}. All are as the log has them.`
      : `Verified rows: ${log.rows}. Kinds of rows that are not as the log has them: ${log.faults.length}.`,
  );
  for (const { generation, origin, size, root } of log.generations) {
    print(`Log ${generation}: ${origin}, leaves: ${size}, root: ${root.toString('base64')}.`);
  }
  if (log.undigested > 0) {
    print(`Rows that the log has yet to digest: ${log.undigested}.`);
  }
  if (log.erased + log.erasedEvents > 0) {
    print(
      `Erased with names, so only hashes are left: events: ${log.erasedEvents}, rows: ${log.erased}.`,
    );
  }
}

/** Prints whether the ledger has what it must have, and returns it. */
function printAgainst(
  pool: pg.Pool,
  against: Against,
  { faults, log }: { faults: readonly VersionFault[]; log: LogVerification },
): Promise<boolean> | boolean {
  if ('hash' in against) return printHash(pool, against.hash, faults);
  if ('backup' in against) return printComparison(pool, against.backup);
  return printNoted(against.checkpoint, log);
}

/** Prints how the log of today compares with a noted checkpoint, and returns whether it extends it. */
function printNoted({ origin, size }: TreeHead, { noted, generations }: LogVerification): boolean {
  const at = generations.findIndex((one) => one.origin === origin);
  const own = generations[at];
  if (!own || noted === 'unknown-origin') {
    print(`The checkpoint is of the log ${origin}, which this ledger does not have.`);
    return false;
  }
  if (noted === 'same') {
    print(
      `The log ${origin} still has the tree of the checkpoint: none of its ${size} leaves was rewritten.`,
    );
    return true;
  }
  print(
    noted === 'larger'
      ? `The checkpoint of ${origin} has ${size} leaves, but the log has only ${own.size}: its end is missing.`
      : `The log ${origin} has another tree than the checkpoint had at ${size} leaves: it was rewritten since.`,
  );
  const next = generations[at + 1];
  if (next)
    print(
      `The log ${next.origin} says that the two agree on the first ${next.afterPosition} events only.`,
    );
  return false;
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
