import { setMaxListeners } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type pg from 'pg';
import { consistencyProof } from '../domain/merkle-tree.ts';
import { parseSignatureLine, verifyCosignature, type Vkey } from '../domain/signed-note.ts';
import type { Resolve } from '../outbound/addresses.ts';
import { describeFailure, exchange, withTimeout } from '../outbound/exchange.ts';
import { inTransaction } from '../postgres/pool.ts';
import { type Checkpoint, newestCheckpoint } from './checkpoints.ts';
import { type Cosignature, newestCosignatures, storeCosignature } from './cosignatures.ts';
import { newestGeneration } from './generations.ts';
import { lockSigning } from './locks.ts';
import { treeReader } from './tree.ts';

/** How often the newest checkpoint is looked for, in milliseconds. */
const POLL_EVERY = 1_000;
/** The least time between two submissions, in milliseconds. */
const INTERVAL = 10_000;
/** How long a submission may take, in milliseconds, from the look-up of the name to the last byte of the response. */
const TIMEOUT = 5_000;
/** The most bytes that are read of a response, which may have several signatures of about 5 kB. */
const MOST_BYTES = 32_768;
/** How far the clock of a witness may be from ours, in milliseconds. */
const CLOCK_TOLERANCE = 300_000;

/** A witness that the operator names. */
export type WitnessSettings = {
  name: string;
  /** Its verifier key as text, and parsed. */
  vkey: string;
  key: Vkey;
  /** Where it takes checkpoints. */
  url: URL;
};

export type WitnessesDeps = {
  pool: pg.Pool;
  witnesses: readonly WitnessSettings[];
  now: () => Date;
  log: FastifyBaseLogger;
  resolve: Resolve;
  userAgent: string;
  /** In milliseconds; ten seconds unless given. */
  interval?: number;
  /** In milliseconds; five seconds unless given. */
  timeout?: number;
};

/** A witness did not cosign. The message follows its name. */
class WitnessFault extends Error {
  /** Whether the witness saw another tree than that of this ledger. */
  readonly isFork: boolean;

  constructor(message: string, { isFork = false } = {}) {
    super(message);
    this.isFork = isFork;
  }
}

/**
 * Asks witnesses to cosign checkpoints (c2sp.org/tlog-witness): all of them the same checkpoint, the newest, at most every ten
 * seconds. Whatever a witness does, it delays nothing else.
 */
export class Witnesses {
  readonly #deps: WitnessesDeps;
  readonly #faults = new Map<string, string>();
  readonly #stop = new AbortController();
  #round: Promise<void> | null = null;
  /** By `performance.now()`. */
  #submittedAt = -Infinity;
  #hasFailed = false;

  constructor(deps: WitnessesDeps) {
    this.#deps = deps;
    setMaxListeners(0, this.#stop.signal); // every submission under way listens
  }

  /** Why witnesses did not cosign the last checkpoint that they were sent, by their names. */
  get faults(): ReadonlyMap<string, string> {
    return this.#faults;
  }

  /** Submits checkpoints from when the app listens until it closes, if there are witnesses. */
  runWith(app: FastifyInstance): void {
    if (this.#deps.witnesses.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    app.addHook('onListen', async () => {
      timer = setInterval(() => this.#wake(), POLL_EVERY).unref();
    });
    app.addHook('preClose', async () => {
      clearInterval(timer);
      this.#stop.abort();
      await this.#round;
    });
  }

  /** Submits the newest checkpoint to each witness that has not cosigned it yet. It throws nothing. */
  async submit(): Promise<void> {
    this.#round ??= this.#submit().finally(() => (this.#round = null));
    await this.#round;
  }

  #wake(): void {
    const { interval = INTERVAL } = this.#deps;
    if (performance.now() - this.#submittedAt >= interval) void this.submit();
  }

  async #submit(): Promise<void> {
    const { pool, witnesses } = this.#deps;
    try {
      const generation = await newestGeneration(pool);
      const checkpoint = generation && (await newestCheckpoint(pool, generation.generation));
      if (!checkpoint || checkpoint.size === 0) return;
      const cosigned = await newestCosignatures(pool, checkpoint.generation);
      const sizeOf = ({ name }: WitnessSettings) => cosigned.get(name)?.size ?? 0;
      const behind = witnesses.filter((witness) => sizeOf(witness) < checkpoint.size);
      if (behind.length === 0) return;
      this.#submittedAt = performance.now();
      const results = await Promise.allSettled(
        behind.map((one) => this.#submitTo(one, checkpoint, sizeOf(one))),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
      this.#hasFailed = false;
    } catch (error) {
      // Logged once, not each second while the database is away.
      if (!this.#hasFailed && !this.#stop.signal.aborted) {
        this.#deps.log.warn({ err: error }, 'could not ask witnesses for cosignatures');
      }
      this.#hasFailed = true;
    }
  }

  async #submitTo(witness: WitnessSettings, checkpoint: Checkpoint, size: number): Promise<void> {
    const { pool, timeout = TIMEOUT } = this.#deps;
    let cosignature: Cosignature;
    try {
      cosignature = await withTimeout(timeout, this.#stop.signal, (signal) =>
        this.#cosignatureOf(witness, checkpoint, { oldSize: size, signal }),
      );
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#report(witness, error);
      return;
    }
    await inTransaction(pool, async (session) => {
      await lockSigning(session);
      await storeCosignature(session, cosignature);
    });
    if (this.#faults.delete(witness.name)) {
      this.#deps.log.info({ witness: witness.name }, 'the witness cosigns again');
    }
  }

  /** A fault is logged once, until it changes. */
  #report({ name }: WitnessSettings, error: unknown): void {
    const reason = error instanceof WitnessFault ? error.message : describeFailure(error);
    if (this.#faults.get(name) === reason) return;
    this.#faults.set(name, reason);
    const level = error instanceof WitnessFault && error.isFork ? 'error' : 'warn';
    this.#deps.log[level]({ witness: name, reason }, 'the witness did not cosign a checkpoint');
  }

  /**
   * Asks for the cosignature of a checkpoint, and once more if the witness has another size than we know.
   * @throws WitnessFault if the witness gives none, or whatever goes wrong with the connection
   */
  async #cosignatureOf(
    witness: WitnessSettings,
    checkpoint: Checkpoint,
    { oldSize, signal }: { oldSize: number; signal: AbortSignal },
  ): Promise<Cosignature> {
    const answer = await this.#post(witness, checkpoint, { oldSize, signal });
    if (answer.status !== 409) return this.#cosignatureIn(answer, witness, checkpoint);
    const known = sizeIn(answer);
    const current = known <= checkpoint.size ? checkpoint : await this.#newestOf(checkpoint, known);
    const again = await this.#post(witness, current, { oldSize: known, signal });
    return this.#cosignatureIn(again, witness, current);
  }

  /**
   * The newest checkpoint by now, where a witness has cosigned a newer one than it was sent: anyone may send it checkpoints.
   * @throws WitnessFault if the ledger has none of that size
   */
  async #newestOf({ generation, size: sent }: Checkpoint, known: number): Promise<Checkpoint> {
    const newest = await newestCheckpoint(this.#deps.pool, generation);
    if (newest !== null && known <= newest.size) return newest;
    throw new WitnessFault(
      `it cosigned ${known} leaves, and the log has ${newest?.size ?? sent}: the ledger went back to an earlier state, or another one has the same key`,
      { isFork: true },
    );
  }

  async #post(
    { url }: WitnessSettings,
    { generation, size, note }: Checkpoint,
    { oldSize, signal }: { oldSize: number; signal: AbortSignal },
  ): Promise<WitnessAnswer> {
    const { pool, resolve, userAgent } = this.#deps;
    const proof = await consistencyProof(oldSize, size, treeReader(pool, generation));
    const lines = [`old ${oldSize}`, ...proof.map((hash) => hash.toString('base64')), '', note];
    const headers = { 'content-type': 'text/plain; charset=utf-8', 'user-agent': userAgent };
    // The operator names the witness, so it may be in a private network.
    const policy = { resolve, allowsPrivate: true };
    const sent = { method: 'POST', headers, body: lines.join('\n'), signal } as const;
    const response = await exchange(url, policy, sent);
    return {
      status: response.statusCode ?? 0,
      type: response.headers['content-type'] ?? '',
      body: await bodyOf(response),
    };
  }

  /** @throws WitnessFault if the answer has no valid cosignature of the checkpoint by this witness, of about now */
  #cosignatureIn(
    { status, body }: WitnessAnswer,
    { name, key }: WitnessSettings,
    { generation, size, note, signedAt }: Checkpoint,
  ): Cosignature {
    if (status !== 200) throw refusalOf(status);
    const text = note.slice(0, note.lastIndexOf('\n\n') + 1);
    for (const line of body.split('\n')) {
      const signature = parseSignatureLine(line);
      const seconds = signature && verifyCosignature(text, signature, key);
      if (seconds === null) continue;
      const time = seconds * 1000;
      const latest = this.#deps.now().getTime() + CLOCK_TOLERANCE;
      if (time > latest || time < signedAt.getTime() - CLOCK_TOLERANCE) {
        throw new WitnessFault(
          'its clock is wrong: the time of its cosignature is not between that of the checkpoint and now',
        );
      }
      return { generation, size, witness: name, signature: line, cosignedAt: new Date(time) };
    }
    throw new WitnessFault('it answered without a valid cosignature of its key');
  }
}

type WitnessAnswer = { status: number; type: string; body: string };

/** The size that a witness cosigned last, from its 409. */
function sizeIn({ type, body }: WitnessAnswer): number {
  const digits = /^(0|[1-9]\d{0,15})\n$/.exec(body)?.[1];
  if (type.split(';', 1)[0] !== 'text/x.tlog.size' || digits === undefined) {
    throw new WitnessFault('it answered 409 without the size that it cosigned');
  }
  return Number(digits);
}

const REFUSALS: Readonly<Record<number, string>> = {
  403: 'it does not accept the signature (403): it needs the current verifier key of the log',
  404: 'it does not know the log (404): give its operator the verifier key of the log',
  409: 'it answered 409 twice: another instance may submit checkpoints, too',
};

function refusalOf(status: number): WitnessFault {
  if (status !== 422) return new WitnessFault(REFUSALS[status] ?? `it answered ${status}`);
  return new WitnessFault(
    'it refuses the checkpoint (422): the log does not extend the one that it cosigned, so the ledger was changed or went back',
    { isFork: true },
  );
}

/** @throws WitnessFault if the body is too large */
async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BYTES) throw new WitnessFault(`it answered with more than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
