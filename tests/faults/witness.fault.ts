import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  parseCheckpointText,
  parseNote,
  parseSignatureLine,
  parseVkey,
  verifyCosignature,
  type Vkey,
} from '../../src/domain/signed-note.ts';
import { originHash } from '../../cli/src/witness/records.ts';
import { cleanUp } from '../support/outlook-command.ts';
import { newSigner, SignedLog } from '../support/signed-log.ts';
import { createWitness, type RunningWitness, serveWitness } from '../support/witness-command.ts';

/** How often the witness is killed. */
const KILLS = 25;
const CLIENTS = 3;

let created: { folder: string; vkey: string };
beforeAll(async () => {
  created = await createWitness('witness.example/killed');
});
afterAll(cleanUp);

type Accepted = { log: SignedLog; size: number; seconds: number };

/** Honest and forked histories of one log, submitted by several clients at once. */
class Submitters {
  readonly accepted: Accepted[] = [];
  answers = 0;
  #url = '';
  #isOver = false;
  readonly #empty = new SignedLog(newSigner('killed.example/log'));
  /** The histories by the roots of their last trees. */
  readonly #submitted = new Map<string, SignedLog>();
  readonly #running: Promise<void>[] = [];
  readonly #vkey = parseVkey(created.vkey) as Vkey;

  get origin(): string {
    return this.#empty.origin;
  }

  get logVkey(): string {
    return this.#empty.vkey;
  }

  sendTo(url: string): void {
    this.#url = url;
  }

  start(): void {
    for (let client = 0; client < CLIENTS; client += 1) this.#running.push(this.#submit());
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  async #submit(): Promise<void> {
    while (!this.#isOver) {
      await delay(5);
      const { log: cosigned, size: known } = await this.#newest();
      // Some extend what was cosigned, each client with leaves of its own, and some change it.
      const at = Math.random() < 0.3 ? Math.floor(Math.random() * known) : known;
      const size = known + Math.floor(Math.random() * 3);
      const log = cosigned.forkAt(at).growTo(size, `history ${Math.random()}`);
      this.#submitted.set(log.root(size).toString('base64'), log);
      const answer = await this.#fetch('add-checkpoint', await log.submission(known, size));
      if (answer === null) continue; // it was killed, and another one starts
      this.answers += 1;
      if (answer.status !== 200) continue;
      const line = parseSignatureLine(answer.text.trimEnd());
      const seconds = line && verifyCosignature(log.text(size), line, this.#vkey);
      if (seconds === null) throw new Error(`no cosignature: ${answer.text}`);
      this.accepted.push({ log, size, seconds });
    }
  }

  /** What the witness cosigned last, or else nothing. */
  async #newest(): Promise<{ log: SignedLog; size: number }> {
    const answer = await this.#fetch(`${originHash(this.#empty.origin)}/checkpoint`);
    const head = parseCheckpointText(parseNote(answer?.text ?? '')?.text ?? '');
    const log = this.#submitted.get(head?.root.toString('base64') ?? '');
    return log && head ? { log, size: head.size } : { log: this.#empty, size: 0 };
  }

  async #fetch(path: string, body?: string): Promise<{ status: number; text: string } | null> {
    try {
      const signal = AbortSignal.timeout(2_000);
      const sent = body === undefined ? { signal } : { method: 'POST', body, signal };
      const response = await fetch(`${this.#url}/${path}`, sent);
      return { status: response.status, text: await response.text() };
    } catch {
      return null;
    }
  }
}

/** The size of the newest checkpoint that the witness shows. */
async function sizeOf(witness: RunningWitness, origin: string): Promise<number> {
  const response = await fetch(`${witness.url}/${originHash(origin)}/checkpoint`);
  if (response.status === 404) return 0;
  const note = parseNote(await response.text());
  return parseCheckpointText(note?.text ?? '')?.size ?? -1;
}

describe('a witness that is killed at any time', () => {
  test('never cosigns two histories, and never goes back', { timeout: 240_000 }, async () => {
    const clients = new Submitters();
    let witness = await serveWitness(created, [clients.logVkey]);
    clients.sendTo(witness.url);
    clients.start();
    for (let kill = 0; kill < KILLS; kill += 1) {
      const { answers } = clients;
      while (clients.answers === answers) await delay(5);
      await delay(Math.random() * 60);
      witness.kill('SIGKILL');
      await witness.ended;
      const largest = Math.max(0, ...clients.accepted.map(({ size }) => size));
      witness = await serveWitness(created, [clients.logVkey]);
      expect(await sizeOf(witness, clients.origin)).toBeGreaterThanOrEqual(largest);
      clients.sendTo(witness.url);
    }
    await clients.stop();
    const accepted = clients.accepted.toSorted((one, other) => one.size - other.size);
    for (const [index, { log, size, seconds }] of accepted.entries()) {
      const before = accepted[index - 1];
      if (!before) continue;
      expect(log.root(before.size)).toEqual(before.log.root(before.size));
      expect(before.size === size || before.seconds <= seconds).toBe(true);
    }
    console.info(
      `${KILLS} kills: ${clients.answers} answers, ${accepted.length} cosignatures up to size ${accepted.at(-1)?.size}`,
    );
    expect(accepted.length).toBeGreaterThan(0);
  });

  test('gives up requests that never end', async () => {
    const log = new SignedLog(newSigner('slow.example/log')).growTo(1);
    const witness = await serveWitness(created, [log.vkey]);
    const { port } = new URL(witness.url);
    const slow = [
      '',
      'POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n',
      'POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold',
    ];
    const ends = slow.map(
      (start) =>
        new Promise<string>((resolve) => {
          let text = '';
          const socket = connect(Number(port), '127.0.0.1', () => socket.write(start));
          socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          socket.once('close', () => resolve(text));
        }),
    );
    for (const end of await Promise.all(ends)) expect(end).toContain('408');
    const response = await fetch(`${witness.url}/add-checkpoint`, {
      method: 'POST',
      body: await log.submission(0),
    });
    expect(response.status).toBe(200);
  });
});
