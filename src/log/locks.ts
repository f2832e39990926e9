import type { Session } from '../postgres/pool.ts';

const lock = (name: string): string => `pg_advisory_xact_lock(hashtextextended('${name}', 0))`;

/** Keeps a new generation from starting until the transaction ends. */
export async function lockSigning(session: Session): Promise<void> {
  await session.query(`select ${lock('outlook-ledger log signing')}`);
}

/** Keeps everyone else from extending the tree, and from signing it, until the transaction ends. */
export async function lockLog(session: Session): Promise<void> {
  // While the tree of a large, older ledger is built, a round takes some seconds.
  await session.query(`set local lock_timeout = '15s'`);
  await session.query(`select ${lock('outlook-ledger log')}`);
  await lockSigning(session);
}
