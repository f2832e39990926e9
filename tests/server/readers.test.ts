import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { SLUG } from '../support/http-client.ts';
import { cleanUp, type Service, startService } from '../support/service.ts';

const REVISIONS = 2_000;
const WRITERS = 10;
const SLUGS = [SLUG, 'other'];

let pool: pg.Pool;
let services: Service[];
let key: string;
beforeAll(async () => {
  const url = await createDatabase({ empty: true });
  const settings = { DATABASE_URL: url, LOAD_SAMPLES: 'true' };
  services = await Promise.all([startService(settings), startService(settings)]);
  pool = openDatabase(url, 2);
  const issued = { name: 'Desk', role: 'analyst' as const, expiresAt: null };
  ({ key } = await issueKey(pool, issued, new Date()));
  await post('/v1/outlooks', { ...SAMPLE_OUTLOOK, slug: 'other' });
});
afterAll(async () => {
  await cleanUp();
  await pool.end();
});

const writing = () => services[0]?.origin ?? '';
const reading = () => services[1]?.origin ?? '';

async function post(path: string, body: object): Promise<number> {
  const response = await fetch(writing() + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const { version, ...rest } = (await response.json()) as { version: number };
  if (response.status !== 201) throw new Error(`${path}: ${JSON.stringify(rest)}`);
  return version;
}

type Body = { version?: number; items?: { slug?: string; version: number }[] };

/** The version that an answer tells of an outlook; null for a 304. */
async function seen(origin: string, path: string, slug: string, etag?: string) {
  const response = await fetch(origin + path, { headers: etag ? { 'if-none-match': etag } : {} });
  const text = await response.text();
  const tag = response.headers.get('etag') ?? '';
  if (response.status === 304) return { version: null, tag };
  if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${text}`);
  const body = JSON.parse(text) as Body;
  const newest = body.items?.find((item) => (item.slug ?? slug) === slug);
  return { version: body.version ?? newest?.version ?? 0, tag };
}

/** Reads one URL again and again; answers how often a version was older than one seen before. */
async function poll(path: string, slug: string, isConditional: boolean, isOver: () => boolean) {
  const found = { reads: 0, backwards: 0, last: 0 };
  let etag: string | undefined;
  for (const deadline = Date.now() + 60_000; !isOver() && Date.now() < deadline;) {
    const { version, tag } = await seen(reading(), path, slug, etag);
    if (isConditional) etag = tag;
    found.reads += 1;
    if (version !== null && version < found.last) found.backwards += 1;
    found.last = Math.max(found.last, version ?? 0);
    await delay(Math.random() * 4);
  }
  return found;
}

let revised = 0;

/** Writes through one service; the first writers read their own writes there. */
async function write(count: number): Promise<{ stale: number; newest: Map<string, number> }> {
  const newest = new Map<string, number>();
  let stale = 0;
  const writer = async (_: unknown, index: number) => {
    const slug = SLUGS[index % SLUGS.length] ?? '';
    for (let turn = 0; turn < count / WRITERS; turn += 1) {
      const revision = distinctRevision((revised += 1) % 6_000);
      const version = await post(`/v1/outlooks/${slug}/revisions`, revision);
      newest.set(slug, Math.max(newest.get(slug) ?? 0, version));
      if (index >= 2 * SLUGS.length) continue;
      const path = index < SLUGS.length ? `/v1/outlooks/${slug}` : '/v1/outlooks';
      const { version: own } = await seen(writing(), path, slug);
      if ((own ?? 0) < version) stale += 1;
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  return { stale, newest };
}

const READS = SLUGS.flatMap((slug) => [
  [`/v1/outlooks/${slug}`, slug, false],
  [`/v1/outlooks/${slug}`, slug, true],
  [`/v1/outlooks/${slug}/versions?limit=1`, slug, true],
  ['/v1/outlooks', slug, false],
]) as [string, string, boolean][];

async function readWhileWriting(disturb: (isOver: () => boolean) => Promise<number>) {
  let isOver = false;
  const readers = READS.map(([path, slug, isConditional]) =>
    poll(path, slug, isConditional, () => isOver),
  );
  const disturbing = disturb(() => isOver);
  const { stale, newest } = await write(REVISIONS);
  await delay(1_000); // by now every reader has seen the last
  isOver = true;
  const disturbances = await disturbing;
  expect(stale).toBe(0);
  for (const [index, reader] of readers.entries()) {
    const [path, slug] = READS[index] ?? ['', ''];
    const { reads, backwards, last } = await reader;
    expect([path, backwards, last]).toEqual([path, 0, newest.get(slug)]);
    expect(reads).toBeGreaterThan(50);
  }
  return disturbances;
}

test('no reader sees a version go backwards, and each sees the last within a second', async () => {
  expect(await readWhileWriting(() => Promise.resolve(0))).toBe(0);
}, 90_000);

test('nor where the connections that listen are cut at random', async () => {
  const cut = async (isOver: () => boolean) => {
    let cuts = 0;
    for (const deadline = Date.now() + 60_000; !isOver() && Date.now() < deadline;) {
      await delay(Math.random() * 200);
      const { rowCount } = await pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'outlook-ledger events' and datname = current_database()
            and random() < 0.5`,
      );
      cuts += rowCount ?? 0;
    }
    return cuts;
  };
  expect(await readWhileWriting(cut)).toBeGreaterThan(5);
}, 90_000);
