import type { FastifyBaseLogger } from 'fastify';
import type pg from 'pg';
import { type ReadHashes, rootAt } from '../domain/merkle-tree.ts';
import { type TreeHead, vkeyOf } from '../domain/signed-note.ts';
import { confirmReads, inTransaction } from '../postgres/pool.ts';
import { newestCheckpoint, publishCheckpoint } from './checkpoints.ts';
import { type Generation, newestGeneration } from './generations.ts';
import { lockSigning } from './locks.ts';
import {
  NoState,
  readState,
  replaceState,
  signedNote,
  type SignerState,
  type SigningKey,
  StateChanged,
} from './signing-key.ts';
import { treeReader } from './tree.ts';

/** The least time between two checkpoints, in milliseconds: each waits for the disk. */
const MIN_INTERVAL = 400;
/** The least time between two tries while something is wrong, in milliseconds. */
const RETRY_INTERVAL = 2_000;

/** Why a signer does not sign: nothing yet, no state file, a tree that does not extend what it signed, or an error. */
export type SignerFault = { state: 'no-state' | 'forked' | 'failing'; reason: string };

export type SignerDeps = {
  pool: pg.Pool;
  /** The keys that sign: the current one first, then those that are being replaced. */
  keys: readonly SigningKey[];
  now: () => Date;
  log: FastifyBaseLogger;
};

/** The tree does not extend a checkpoint that was signed. The message says which. */
class Forked extends Error {}

const RUNBOOK = 'see docs/operate/runbooks/log-forked.md';
const NO_STATE =
  'The signing key has no state file that it can go on from; see docs/operate/runbooks/log-key.md';
const FAILING = 'The last try to sign failed; the service tries again, and logs the reason';

/**
 * Signs the head of the tree. It signs only a tree that extends its last checkpoint, which it finds in the state files beside
 * its keys, and the newest one in the ledger. Whatever is wrong, only signing stops, until it is right.
 */
export class Signer {
  /** Why it does not sign; null if it does. */
  fault: SignerFault | null = null;
  /** The head that it signed last, or found signed; null before. */
  signed: Generation | null = null;
  readonly #deps: SignerDeps;
  /** When it last signed, or found out why it can't, by `performance.now()`. */
  #triedAt = -Infinity;

  constructor(deps: SignerDeps) {
    this.#deps = deps;
  }

  /** Signs and publishes the head of the newest generation, unless it did. It throws nothing. */
  async sign(head: Generation): Promise<void> {
    const interval = this.fault === null ? MIN_INTERVAL : RETRY_INTERVAL;
    if (performance.now() - this.#triedAt < interval) return;
    if (this.fault === null && this.signed !== null && isSame(this.signed, head)) return;
    try {
      this.signed = await this.#signHead(head.generation);
      this.#report(null);
    } catch (error) {
      if (error instanceof StateChanged) return; // by another process with the same key; the next round sees what it signed
      this.#report(faultOf(error), error);
    }
    this.#triedAt = performance.now();
  }

  #report(fault: SignerFault | null, error?: unknown): void {
    const { log } = this.#deps;
    // Once, although the reason has a size that grows.
    if (fault !== null && fault.state !== this.fault?.state) {
      log.error({ err: error }, `the transparency log is not signed: ${fault.reason}`);
    }
    if (fault === null && this.fault !== null) log.info('the transparency log is signed again');
    this.fault = fault;
  }

  /** @returns what it signed, or null if a new generation has started in the meantime */
  async #signHead(generation: number): Promise<Generation | null> {
    const { pool, keys } = this.#deps;
    // What was signed is read before the tree, which may grow and be signed in the meantime.
    const newest = await newestCheckpoint(pool, generation);
    const states = await Promise.all(keys.map(readState));
    const head = await inTransaction(pool, async (session) => {
      const head = await newestGeneration(session);
      if (head?.generation !== generation) return null;
      for (const state of states) requireSameLog(state.head, head, newest !== null);
      const signed = states.flatMap((state) => state.head ?? []);
      const read = treeReader(session, generation);
      await requireExtension(head, newest === null ? signed : [...signed, newest], read);
      await confirmReads(session); // a standby must have what is signed
      return head;
    });
    return head && this.#publish(head, states);
  }

  async #publish(head: Generation, states: readonly SignerState[]): Promise<Generation | null> {
    const { pool, keys, now } = this.#deps;
    const note = signedNote(head, keys);
    return inTransaction(pool, async (session) => {
      await lockSigning(session);
      const current = await newestGeneration(session);
      if (current?.generation !== head.generation) return null;
      for (const [index, key] of keys.entries()) {
        const before = states[index]?.text ?? null;
        if (before !== note) await replaceState(key, before, note);
      }
      const vkeys = keys.map(({ publicKey }) => vkeyOf(head.origin, publicKey));
      await publishCheckpoint(session, { ...head, note, vkeys, signedAt: now() });
      return head;
    });
  }
}

/** @throws Forked if the tree does not extend one of the signed heads, or its tiles do not lead to its root */
async function requireExtension(
  { size, root }: Generation,
  signed: readonly { size: number; root: Buffer }[],
  read: ReadHashes,
): Promise<void> {
  for (const head of signed) {
    if (head.size > size) {
      throw new Forked(
        `The log has ${size} leaves, and ${head.size} were signed: the ledger went back to an earlier state`,
      );
    }
    if (!(await rootAt(head.size, read)).equals(head.root)) {
      throw new Forked(
        `The first ${head.size} leaves of the log are not those that were signed: the ledger went back to an earlier state, or was changed`,
      );
    }
  }
  if (!(await rootAt(size, read)).equals(root)) {
    throw new Forked('The tiles of the log do not lead to its root: they were changed');
  }
}

const isSame = (a: Generation, b: Generation): boolean =>
  a.generation === b.generation && a.size === b.size && a.root.equals(b.root);

/**
 * @throws NoState if the key signed nothing yet, but another one signed this log
 * @throws Forked if the key signed another log
 */
function requireSameLog(
  signed: TreeHead | null,
  { generation, origin }: Generation,
  isPublished: boolean,
): void {
  if (signed === null) {
    if (!isPublished) return;
    throw new NoState('the key is new, and the log has checkpoints of another one');
  }
  if (signed.origin === origin) return;
  throw new Forked(
    `The key last signed the log ${signed.origin}, and the ledger has ${origin} (generation ${generation})`,
  );
}

// Everybody may read the reasons, so they name no file and no server. The service's own log does.
function faultOf(error: unknown): SignerFault {
  if (error instanceof NoState) return { state: 'no-state', reason: NO_STATE };
  if (error instanceof Forked) return { state: 'forked', reason: `${error.message}; ${RUNBOOK}` };
  return { state: 'failing', reason: FAILING };
}

/** How the log is signed, as this instance sees it; `reason` says why it is not, and what to do. */
export type SigningState = {
  state: 'signing' | 'signed-elsewhere' | 'unsigned' | SignerFault['state'];
  reason?: string;
};

/** @param signer null if this instance has no key */
export async function signingState(pool: pg.Pool, signer: Signer | null): Promise<SigningState> {
  if (signer !== null) return signer.fault ?? { state: 'signing' };
  const log = await newestGeneration(pool);
  const isSigned = log !== null && (await newestCheckpoint(pool, log.generation)) !== null;
  return { state: isSigned ? 'signed-elsewhere' : 'unsigned' };
}
