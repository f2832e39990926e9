import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { exchange, SLUG } from '../support/http-client.ts';
import { cleanUp, type Service, startService } from '../support/service.ts';

const REVISIONS = 2_000;
const WRITERS = 10;
const SLUGS = [SLUG, 'other'];

let pool: pg.Pool;
let services: Service[];
let key: string;
beforeAll(async () => {
  const url = await createDatabase({ empty: true });
  // Without budgets, which would only make this slower.
  const settings = {
    ...databaseSettings(url),
    LOAD_SAMPLES: 'true',
    WORK_PER_ADDRESS: '0',
    WORK_PER_KEY: '0',
  };
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
  const headers = { authorization: `Bearer ${key}` };
  const { status, text } = await exchange('POST', writing() + path, headers, body);
  if (status !== 201) throw new Error(`${path}: ${text}`);
  const { version } = JSON.parse(text) as { version: number };
  return version;
}

type Body = { version?: number; items?: { slug?: string; version: number }[] };

/** The version of an outlook in a response; null for a 304. */
async function seen(origin: string, path: string, slug: string, etag?: string) {
  const condition = etag ? { 'if-none-match': etag } : undefined;
  const { status, headers, text } = await exchange('GET', origin + path, { ...condition });
  const tag = headers.etag ?? '';
  if (status === 304) return { version: null, tag };
  if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`);
  const body = JSON.parse(text) as Body;
  const newest = body.items?.find((item) => (item.slug ?? slug) === slug);
  return { version: body.version ?? newest?.version ?? 0, tag };
}

/** How often a URL was read, and a version was older than one seen before, and the newest seen. */
type Found = { reads: number; backwards: number; last: number };

/** Reads one URL again and again. */
async function poll(
  found: Found,
  path: string,
  slug: string,
  isConditional: boolean,
  isOver: () => boolean,
): Promise<void> {
  let etag: string | undefined;
  while (!isOver()) {
    const { version, tag } = await seen(reading(), path, slug, etag);
    if (isConditional) etag = tag;
    found.reads += 1;
    if (version !== null && version < found.last) found.backwards += 1;
    found.last = Math.max(found.last, version ?? 0);
    await delay(Math.random() * 4);
  }
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
  const founds: Found[] = [];
  const readers = READS.map(([path, slug, isConditional]) => {
    const found = { reads: 0, backwards: 0, last: 0 };
    founds.push(found);
    return poll(found, path, slug, isConditional, () => isOver);
  });
  const disturbing = disturb(() => isOver);
  try {
    const { stale, newest } = await write(REVISIONS);
    expect(stale).toBe(0);
    const due = READS.map(([path, slug]) => [path, newest.get(slug)]);
    await expect
      .poll(() => founds.map(({ last }, index) => [READS[index]?.[0], last]))
      .toEqual(due);
  } finally {
    isOver = true;
    await Promise.all(readers);
  }
  for (const [index, { reads, backwards }] of founds.entries()) {
    expect([READS[index]?.[0], backwards]).toEqual([READS[index]?.[0], 0]);
    expect(reads).toBeGreaterThan(50);
  }
  return disturbing;
}

test('no reader sees a version go backwards, and each sees the last', async () => {
  expect(await readWhileWriting(() => Promise.resolve(0))).toBe(0);
});

// Behind a pooler nobody listens.
test.skipIf(inject('poolerPort'))(
  'nor if the listening connections are cut at random',
  async () => {
    const cut = async (isOver: () => boolean) => {
      let cuts = 0;
      while (!isOver()) {
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
  },
);
