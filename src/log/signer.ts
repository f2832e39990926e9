import type { FastifyBaseLogger } from 'fastify';
import type pg from 'pg';
import { rootAt } from '../domain/merkle-tree.ts';
import { type TreeHead, vkeyOf } from '../domain/signed-note.ts';
import { confirmReads, inTransaction, reasonOf } from '../postgres/pool.ts';
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
const HOW_TO_ADOPT = 'see docs/operate/runbooks/log-key.md';

/**
 * Signs the head of the tree. It signs only a tree that extends its last checkpoint, which it finds in the state files beside
 * its keys, and the newest one in the ledger. Whatever is wrong, only signing stops, until it is right.
 */
export class Signer {
  /** Why it does not sign; null if it does. */
  fault: SignerFault | null = null;
  readonly #deps: SignerDeps;
  /** When it last signed, or found out why it can't, by `performance.now()`; null before. */
  #triedAt: number | null = null;
  #running: Promise<void> | null = null;

  constructor(deps: SignerDeps) {
    this.#deps = deps;
  }

  /** Signs and publishes the head of the tree if it has grown. Call it after each round of the tree; it throws nothing. */
  async sign(): Promise<void> {
    this.#running ??= this.#sign().finally(() => (this.#running = null));
    await this.#running;
  }

  async #sign(): Promise<void> {
    const interval = this.fault === null ? MIN_INTERVAL : RETRY_INTERVAL;
    if (this.#triedAt !== null && performance.now() - this.#triedAt < interval) return;
    try {
      if (await this.#signIfGrown()) this.#triedAt = performance.now();
      this.#report(null);
    } catch (error) {
      if (error instanceof StateChanged) return; // by another process with the same key; the next round sees what it signed
      this.#triedAt = performance.now();
      this.#report(faultOf(error), error);
    }
  }

  #report(fault: SignerFault | null, error?: unknown): void {
    const { log } = this.#deps;
    if (fault !== null && fault.reason !== this.fault?.reason) {
      log.error({ err: error }, `no checkpoints of the log are signed: ${fault.reason}`);
    }
    if (fault === null && this.fault !== null) log.info('checkpoints of the log are signed again');
    this.fault = fault;
  }

  /** @returns whether it signed */
  async #signIfGrown(): Promise<boolean> {
    const { pool, keys } = this.#deps;
    const generation = await newestGeneration(pool);
    if (generation === null) return false;
    const newest = await newestCheckpoint(pool, generation.generation);
    // What is published was checked when it was signed, except at the start and after a fault.
    const isChecked = this.#triedAt !== null && this.fault === null;
    if (isChecked && newest?.size === generation.size) return false;
    const states = await Promise.all(keys.map(readState));
    for (const { head } of states) {
      requireState(head, newest !== null);
      if (head !== null) requireOrigin(head, generation);
    }
    const signed = states.flatMap(({ head }) => head ?? []);
    await this.#requireExtension(generation, newest === null ? signed : [...signed, newest]);
    await this.#publish(generation, states);
    return true;
  }

  /**
   * Checks the tree against heads that were signed, and that a standby has it.
   * @throws Forked if the tree does not extend one of them, or its tiles are not those of its root
   */
  async #requireExtension(
    { generation, size, root }: Generation,
    signed: readonly { size: number; root: Buffer }[],
  ): Promise<void> {
    await inTransaction(this.#deps.pool, async (session) => {
      const read = treeReader(session, generation);
      for (const head of signed) {
        if (head.size > size) {
          throw new Forked(
            `the log has ${size} leaves, and ${head.size} were signed: the ledger went back to an earlier state`,
          );
        }
        if (!(await rootAt(head.size, read)).equals(head.root)) {
          throw new Forked(
            `the first ${head.size} leaves of the log are not those that were signed: the ledger went back to an earlier state, or was changed`,
          );
        }
      }
      if (!(await rootAt(size, read)).equals(root)) {
        throw new Forked(`the tiles of the log do not lead to its root: they were changed`);
      }
      await confirmReads(session);
    });
  }

  async #publish(generation: Generation, states: readonly SignerState[]): Promise<void> {
    const { pool, keys, now } = this.#deps;
    const note = signedNote(generation, keys);
    await inTransaction(pool, async (session) => {
      await lockSigning(session);
      const current = await newestGeneration(session);
      if (current?.generation !== generation.generation) return;
      for (const [index, key] of keys.entries()) {
        const before = states[index]?.text ?? null;
        if (before !== note) await replaceState(key, before, note);
      }
      const vkeys = keys.map(({ publicKey }) => vkeyOf(generation.origin, publicKey));
      await publishCheckpoint(session, { ...generation, note, vkeys, signedAt: now() });
    });
  }
}

/** @throws NoState if the key signed nothing, but another one did */
function requireState(head: TreeHead | null, isPublished: boolean): void {
  if (head !== null || !isPublished) return;
  throw new NoState('the key is new, and the log has checkpoints of another one');
}

/** @throws Forked if the key signed another log */
function requireOrigin(head: TreeHead, { generation, origin }: Generation): void {
  if (head.origin === origin) return;
  throw new Forked(
    `the key last signed the log ${head.origin}, and that of the ledger is ${origin} (generation ${generation})`,
  );
}

function faultOf(error: unknown): SignerFault {
  const reason = reasonOf(error);
  if (error instanceof NoState) return { state: 'no-state', reason: `${reason}; ${HOW_TO_ADOPT}` };
  if (error instanceof Forked) return { state: 'forked', reason: `${reason}; ${RUNBOOK}` };
  return { state: 'failing', reason };
}
