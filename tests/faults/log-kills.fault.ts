import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { commitmentOf, entryOf } from '../../src/domain/log-entries.ts';
import {
  consistencyProof,
  hashLeaf,
  rootOf,
  verifyConsistency,
} from '../../src/domain/merkle-tree.ts';
import {
  parseCheckpointText,
  parseNote,
  parseVkey,
  type TreeHead,
  verifySignature,
  vkeyOf,
} from '../../src/domain/signed-note.ts';
import { createSigningKey, type SigningKey } from '../../src/log/signing-key.ts';
import { treeReader } from '../../src/log/tree.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import {
  cleanUp,
  freePort,
  newFolder,
  type Service,
  startService,
  until,
} from '../support/service.ts';
import { keepWriting, publish, type Target } from '../support/writers.ts';

const KILLS = 50;
const WRITERS = 4;
const SLUGS = ['one', 'two', 'three'];

let pool: pg.Pool;
let key: SigningKey;
let settings: Record<string, string>[];
const services: Service[] = [];
let target: Target;

beforeAll(async () => {
  const url = await createDatabase();
  pool = openDatabase(url, 4);
  key = await createSigningKey(`${newFolder()}/key.pem`, null);
  const shared = { ...databaseSettings(url), LOG_LEVEL: 'warn', LOAD_SAMPLES: 'true' };
  // Both may write and extend the tree; the first one signs.
  settings = [
    { ...shared, PORT: String(await freePort()), LOG_SIGNING_KEY: key.file },
    { ...shared, PORT: String(await freePort()) },
  ];
  services.push(...(await Promise.all(settings.map((one) => startService(one)))));
  const { key: apiKey } = await issueKey(
    pool,
    { name: 'Desk', role: 'admin', expiresAt: null },
    new Date(),
  );
  target = { origin: services[0]?.origin ?? '', key: apiKey };
  for (const slug of SLUGS) await publish(target, slug);
}, 600_000);
afterAll(async () => {
  await cleanUp();
  await pool.end();
});

type Act = { subject: string };

/** Sends evidence and views until it is over; a request that is not answered is forgotten. */
async function keepActing(origins: readonly string[], isOver: () => boolean): Promise<Act[]> {
  const acts: Act[] = [];
  while (!isOver()) {
    const slug = SLUGS[randomInt(SLUGS.length)] ?? '';
    const origin = origins[randomInt(origins.length)] ?? '';
    const [method, path, body] =
      randomInt(2) === 0
        ? (['POST', 'evidence', evidence()] as const)
        : (['PUT', 'views/me', view()] as const);
    try {
      const response = await fetch(`${origin}/v1/outlooks/${slug}/${path}`, {
        method,
        headers: { authorization: `Bearer ${target.key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      const answer = (await response.json()) as {
        id?: string;
        analyst?: { id: string };
        status?: number;
      };
      if (response.ok) {
        const subject = method === 'POST' ? `evidence/${answer.id}` : `views/${answer.analyst?.id}`;
        acts.push({ subject: `/v1/outlooks/${slug}/${subject}` });
      } else if (![409, 429, 503].includes(response.status)) {
        throw new Fault(`${method} ${path} answered ${response.status}: ${JSON.stringify(answer)}`);
      }
    } catch (error) {
      if (error instanceof Fault) throw error;
      await delay(50); // killed
    }
  }
  return acts;
}

class Fault extends Error {}

const evidence = () => ({
  headline: `Headline ${randomUUID()}`,
  summary: 'What it says.',
  publisher: 'A newspaper',
  publishedAt: '2026-11-20T10:00:00Z',
});

function view() {
  const bear = randomInt(0, 5_000);
  return {
    probabilities: { bear: bear / 10_000, base: (7_000 - bear) / 10_000, bull: 0.3 },
    rationale: randomUUID(),
  };
}

/** Reads the checkpoint from each instance until it is over, and adds all that it ever gets. */
async function keepReading(
  origins: readonly string[],
  notes: Set<string>,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    for (const origin of origins) {
      const response = await fetch(`${origin}/log/1/checkpoint`).catch(() => null);
      const note = await response?.text().catch(() => null);
      if (response?.status === 200 && note) notes.add(note);
    }
    await delay(20);
  }
}

/** The head of a checkpoint, whose signature is verified. */
function headOf(note: string): TreeHead {
  const parsed = parseNote(note);
  const head = parsed && parseCheckpointText(parsed.text);
  const vkey = head && parseVkey(vkeyOf(head.origin, key.publicKey));
  const isSigned = vkey && parsed.signatures.some((one) => verifySignature(parsed.text, one, vkey));
  if (!head || !isSigned) throw new Error(`no signed checkpoint: ${note}`);
  return head;
}

type Row = { position: number; salt: Buffer; content: string; commitment: Buffer };

/** The subjects that the leaves open to. */
function subjectsOf(rows: readonly Row[]): Map<string, number> {
  const subjects = new Map<string, number>();
  for (const { salt, content, commitment } of rows) {
    expect(commitmentOf(salt, content).equals(commitment)).toBe(true);
    const { subject } = JSON.parse(content) as { subject: string };
    subjects.set(subject, (subjects.get(subject) ?? 0) + 1);
  }
  return subjects;
}

test('whichever instance is killed, the log never forks, and has a leaf for every acknowledged write', async () => {
  let isOver = false;
  const origins = services.map(({ origin }) => origin);
  const over = () => isOver;
  const writing = Array.from({ length: WRITERS }, (_, index) =>
    keepWriting({ ...target, origin: origins[index % 2] ?? '' }, SLUGS, over),
  );
  const acting = Array.from({ length: 2 }, () => keepActing(origins, over));
  const notes = new Set<string>();
  const reading = keepReading(origins, notes, over);
  let failure: unknown = null;
  const all = Promise.all([...writing, ...acting]).catch((error: unknown) => (failure = error));
  const restarting: (Promise<void> | null)[] = [null, null];
  const restart = async (index: number) => {
    await services[index]?.ended;
    services[index] = await startService(settings[index] ?? {});
    restarting[index] = null;
  };
  // An instance is killed while it is up and the log goes on; the other one may be down at the same time.
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = notes.size;
    await until(() => notes.size > before || failure !== null);
    if (failure !== null) throw failure as Error;
    await delay(randomInt(0, 1_500));
    if (!restarting.includes(null)) await Promise.race(restarting.flatMap((one) => one ?? []));
    const victims = [0, 1].filter((index) => restarting[index] === null);
    const victim = victims[randomInt(victims.length)] ?? 0;
    services[victim]?.kill('SIGKILL');
    restarting[victim] = restart(victim);
  }
  await Promise.all(restarting.flatMap((one) => one ?? []));
  await delay(500);
  isOver = true;
  expect(await all, String(failure)).toBeInstanceOf(Array);
  await reading;
  const written = (await Promise.all(writing)).flatMap(({ acknowledged }) => acknowledged);
  const acts = (await Promise.all(acting)).flat();

  // The log catches up, and its newest checkpoint covers every event.
  const newest = async () => headOf(await (await fetch(`${origins[1]}/log/1/checkpoint`)).text());
  const last = async () =>
    (await pool.query<{ last: number }>('select count(*)::bigint as last from events')).rows[0]
      ?.last;
  await until(async () => (await newest()).size === (await last()));
  const { rows } = await pool.query<Row>(
    `select e.position, o.salt, o.content, o.commitment
       from events e join openings o on o.event_id = e.id order by e.position`,
  );
  const end = await newest();
  expect(rows.map(({ position }) => position)).toEqual(rows.map((_, index) => index + 1));
  expect(rows).toHaveLength(end.size);

  // Every checkpoint that was ever served is the beginning of the log, and leads to each later one.
  const leaves = rows.map(({ commitment }) => hashLeaf(entryOf(commitment)));
  const heads = [...notes].map(headOf).sort((a, b) => a.size - b.size);
  for (const { size, root } of heads) expect(rootOf(leaves.slice(0, size)).equals(root)).toBe(true);
  const read = treeReader(pool, 1);
  for (const [index, old] of heads.entries()) {
    for (const { size, root } of [heads[index + 1] ?? end, end]) {
      const proof = await consistencyProof(old.size, size, read);
      expect(verifyConsistency({ oldSize: old.size, oldRoot: old.root, size, root, proof })).toBe(
        true,
      );
    }
  }
  expect(new Set(heads.map(({ size }) => size)).size).toBe(heads.length);

  const subjects = subjectsOf(rows);
  for (const { slug, version } of written) {
    expect(subjects.get(`/v1/outlooks/${slug}/versions/${version}`)).toBe(1);
  }
  const acknowledged = new Map<string, number>();
  for (const { subject } of acts) acknowledged.set(subject, (acknowledged.get(subject) ?? 0) + 1);
  for (const [subject, count] of acknowledged) {
    expect(subjects.get(subject), subject).toBeGreaterThanOrEqual(count);
  }
  process.stdout.write(
    `${KILLS} kills: ${written.length} revisions and ${acts.length} other acts acknowledged, ` +
      `${end.size} leaves, ${heads.length} checkpoints served, all of one log\n`,
  );
  expect(written.length).toBeGreaterThan(200);
  expect(acts.length).toBeGreaterThan(100);
  expect(heads.length).toBeGreaterThan(KILLS / 2);
});
