import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SAMPLE_OUTLOOK } from '../../../src/http/openapi/examples.ts';
import { openSession } from '../../support/plain-sql.ts';
import { SLUG, startLedger, type TestLedger } from '../../support/ledger.ts';
import { ResponseCache } from '../../../src/http/response-cache/response-cache.ts';
import type { ChangeFeed } from '../../../src/postgres/change-feed.ts';
import type { Follower } from '../../../src/postgres/follower.ts';

const URL = `/v1/outlooks/${SLUG}`;
const revision = { probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'Why.' };

let ledger: TestLedger;
let owner: pg.Client;
beforeEach(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
});
afterEach(async () => {
  await owner.end();
  await ledger.close();
});

const get = (url = URL, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
  ledger.call({ url, headers, method });
const versionOf = async (url = URL) => (await get(url)).json<{ version: number }>().version;

/** Publishes the next version as another instance would: nothing here knows but by the events. */
async function publishElsewhere(session = owner): Promise<void> {
  await session.query(`
    with version as (
      insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps,
        bull_bps, author_id, rationale, recorded_at, hash, previous_hash)
      select v.outlook_id, v.version + 1, 'probabilities', v.framework_id, v.base_bps, v.bear_bps,
        v.bull_bps, v.author_id, 'Swapped.', v.recorded_at, sha256(v.hash), v.hash
        from outlook_versions v join outlooks o on o.id = v.outlook_id and o.latest_version = v.version
      returning outlook_id, version, recorded_at)
    insert into events (kind, outlook_id, version, recorded_at, data)
    select 'outlook.version.published', outlook_id, version, recorded_at,
      '{"kind": "probabilities", "probabilities": {}, "deltas": {}}' from version`);
}

/** Makes reads that ask Postgres wait until the lock is let go. */
async function holdUpReads(table: string): Promise<() => Promise<void>> {
  await owner.query(`begin; lock table ${table} in access exclusive mode`);
  return async () => void (await owner.query('rollback'));
}

async function waitingReads(): Promise<number> {
  const { rows } = await ledger.pool.query(
    `select count(*)::int as waiting from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows[0].waiting;
}

describe('what was read once', () => {
  test.each([URL, '/v1/outlooks', `${URL}/versions`, `${URL}/versions/1`, `${URL}/probabilities`])(
    '%s is answered from memory, the same to the last byte',
    async (url) => {
      const asked = await get(url);
      const letGo = await holdUpReads('outlooks, instruments, outlook_versions');
      const kept = await get(url);
      const head = await get(url, {}, 'HEAD');
      await letGo();
      expect(kept.rawPayload.equals(asked.rawPayload)).toBe(true);
      const { date: _, 'x-request-id': __, ...headers } = asked.headers;
      expect(kept.headers).toMatchObject(headers);
      expect(head.headers).toMatchObject(headers);
      expect([head.statusCode, head.body]).toEqual([200, '']);
    },
  );

  test('is never older than a version that was published here', async () => {
    const urls = [URL, `${URL}?minVersion=1`, `/v1/batch/outlooks?slugs=${SLUG}`, '/v1/outlooks'];
    for (const url of [...urls, `${URL}/versions`]) await get(url);
    const written = await ledger.revise(revision);
    expect((await get()).body).toBe(written.body);
    expect((await get()).headers).toMatchObject({ etag: written.headers.etag });
    for (const url of urls.slice(2)) {
      const { items } = (await get(url)).json<{ items: { version: number }[] }>();
      expect([url, items[0]?.version]).toEqual([url, 2]);
    }
    expect(await versionOf(`${URL}?minVersion=1`)).toBe(2);
  });

  test('is dropped once another instance publishes', async () => {
    const urls = [URL, `${URL}?minVersion=1`];
    for (const url of urls) expect(await versionOf(url)).toBe(1);
    await publishElsewhere();
    for (const url of urls) await expect.poll(() => versionOf(url)).toBe(2);
  });

  test('of other outlooks stays', async () => {
    await ledger.call({
      method: 'POST',
      url: '/v1/outlooks',
      as: 'analyst',
      payload: { ...SAMPLE_OUTLOOK, slug: 'another' },
    });
    await get('/v1/outlooks/another/versions');
    await ledger.revise(revision);
    const letGo = await holdUpReads('outlooks');
    const kept = await get('/v1/outlooks/another/versions');
    await letGo();
    expect(kept.statusCode).toBe(200);
  });
});

describe('a slow read', () => {
  // The version is read first; then its scenarios, which this holds up.
  test('is rendered once for all concurrent requests', async () => {
    const letGo = await holdUpReads('scenarios');
    const asking = Array.from({ length: 20 }, () => get());
    await expect.poll(waitingReads).toBe(1);
    await letGo();
    const answers = await Promise.all(asking);
    expect(new Set(answers.map(({ statusCode, body }) => `${statusCode} ${body}`)).size).toBe(1);
  });

  test('that a change overtakes is not cached', async () => {
    const letGo = await holdUpReads('scenarios');
    const asking = get();
    await expect.poll(waitingReads).toBe(1);
    const { position } = ledger.feed;
    const writer = await openSession(ledger.url);
    await publishElsewhere(writer);
    await writer.end();
    await expect.poll(() => ledger.feed.position).toBe((position ?? 0) + 1);
    await letGo();
    expect((await asking).json()).toMatchObject({ version: 1 });
    expect(await versionOf()).toBe(2);
  });
});

test('while the change feed is disconnected each read queries Postgres', async () => {
  expect(await versionOf()).toBe(1);
  await ledger.feed.close();
  await publishElsewhere();
  expect(await versionOf()).toBe(2);
  await publishElsewhere();
  expect(await versionOf()).toBe(3);
});

test('what was published under a ledger that went back is not cached, and hides nothing newer', () => {
  let follower: Partial<Follower> = {};
  const feed = { follow: (one: Partial<Follower>) => void (follower = one) } as ChangeFeed;
  const options = { maxBytes: 1_000_000, servesStale: true, requireKeyForReads: false, feed };
  const cache = new ResponseCache(options);
  follower.onCurrent?.();
  const body = { body: '{}', freshness: 'revalidate' } as const;
  const draft = { keyless: body, keyed: body };
  const { generation } = cache;
  cache.store('a', 8, draft, generation);
  expect(cache.size.count).toBe(1);
  follower.onLost?.();
  follower.onReset?.({ position: 9, digest: '' });
  expect(cache.size.count).toBe(0);
  follower.onCurrent?.();
  cache.store('a', 9, draft, generation);
  cache.noteVersion('a', 9, generation);
  expect(cache.size.count).toBe(0);
  cache.store('a', 2, draft, cache.generation);
  expect(cache.size.count).toBe(1);
});

test('a response larger than the cache is sent, too', async () => {
  const small = await startLedger({ cacheMaxBytes: 16_000 });
  try {
    const [first, second] = [await small.call({ url: URL }), await small.call({ url: URL })];
    expect(first.statusCode).toBe(200);
    expect(first.rawPayload.length).toBeGreaterThan(16_000);
    expect(second.body).toBe(first.body);
    await small.revise(revision);
    expect((await small.call({ url: URL })).json()).toMatchObject({ version: 2 });
  } finally {
    await small.close();
  }
});

describe('content codings', () => {
  const CODED = {
    br: brotliDecompressSync,
    gzip: gunzipSync,
  } as const;
  const coded = (coding: string, etag?: string) =>
    get(URL, { 'accept-encoding': coding, ...(etag && { 'if-none-match': etag }) });

  test.each(['br', 'gzip'] as const)(
    '%s holds the same document, in fewer bytes',
    async (coding) => {
      const plain = await get();
      for (const answer of [await coded(coding), await coded(coding)]) {
        expect(answer.headers['content-encoding']).toBe(coding);
        expect(answer.headers['content-length']).toBe(String(answer.rawPayload.length));
        expect(answer.rawPayload.length).toBeLessThan(plain.rawPayload.length / 2);
        expect(CODED[coding](answer.rawPayload).equals(plain.rawPayload)).toBe(true);
        expect(answer.headers.vary).toContain('Accept-Encoding');
      }
      expect(plain.headers['content-encoding']).toBeUndefined();
    },
  );

  test('each has an ETag of its own, and only that one gets a 304', async () => {
    const codings = ['identity', 'gzip', 'br'];
    const tags = new Map<string, string>();
    for (const coding of codings) tags.set(coding, String((await coded(coding)).headers.etag));
    expect(new Set(tags.values()).size).toBe(3);
    for (const coding of codings) {
      for (const [of, tag] of tags) {
        const { statusCode, headers, body } = await coded(coding, tag);
        const isOwn = coding === of;
        expect([coding, of, statusCode]).toEqual([coding, of, isOwn ? 304 : 200]);
        expect(headers.etag).toBe(tags.get(coding));
        expect(body === '').toBe(isOwn);
      }
    }
  });

  test.each([
    ['br, gzip', 'br'],
    ['gzip, deflate, br, zstd', 'br'],
    ['gzip;q=1.0, br;q=0.2', 'gzip'],
    ['br;q=0.5, gzip;q=0.9', 'gzip'],
    ['br;q=0.9, gzip;q=0.5', 'br'],
    ['gzip;q=0.5, br;q=0.5', 'br'],
    ['BR;Q=0.1, GZIP;Q=0.2', 'gzip'],
    ['br;q=0.001', 'br'],
    ['*;q=0.1', 'br'],
    ['*;q=0, gzip;q=0.1', 'gzip'],
    ['gzip;q=0.2, *;q=0.1', 'gzip'],
    ['identity;q=0', undefined],
    ['*;q=0', undefined],
    ['identity;q=0, br', 'br'],
    ['identity;q=0, br;q=0, gzip', 'gzip'],
    ['identity;q=0, *;q=0.1', 'br'],
    ['identity;q=0.5, gzip;q=0.4, br;q=0.3', undefined],
    ['identity;q=0.3, gzip;q=0.4', 'gzip'],
    ['gzip', 'gzip'],
    ['x-gzip, gzip', 'gzip'],
    ['*', 'br'],
    ['br;q=0, *', 'gzip'],
    ['br;q=0, gzip;q=0', undefined],
    ['identity, br;q=0.5', undefined],
    ['identity', undefined],
    ['deflate', undefined],
    ['', undefined],
    [';;;q=,', undefined],
  ])('to %j the answer is %s', async (accepted, coding) => {
    expect((await coded(accepted)).headers['content-encoding']).toBe(coding);
  });

  test('a short response is not compressed', async () => {
    const answer = await get(`${URL}/probabilities`, { 'accept-encoding': 'br' });
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect(answer.headers.vary).toBe('Accept, Accept-Encoding, Authorization, Cookie, Origin');
  });

  test.each(['br', 'gzip'] as const)(
    'a short response is compressed as %s for a client that refuses plain bodies',
    async (coding) => {
      const url = `${URL}/probabilities`;
      const plain = await get(url);
      const answer = await get(url, { 'accept-encoding': `identity;q=0, ${coding}` });
      expect(answer.headers['content-encoding']).toBe(coding);
      expect(CODED[coding](answer.rawPayload).equals(plain.rawPayload)).toBe(true);
    },
  );

  test('a header longer than any client needs is disregarded', async () => {
    const long = Array.from({ length: 200 }, (_, index) => `x${index};q=0.1`).join(', ');
    expect((await coded(`${long}, br`)).headers['content-encoding']).toBeUndefined();
    const accept = `${long.replaceAll('x', 'a/x')}, text/csv`;
    const answer = await get(`${URL}/probabilities`, { accept });
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
  });

  test('If-Match compares with the ETag of the coding that is sent', async () => {
    const tags = new Map<string, string>();
    const codings = ['identity', 'gzip', 'br'];
    for (const coding of codings) tags.set(coding, String((await coded(coding)).headers.etag));
    for (const coding of codings) {
      for (const [of, tag] of tags) {
        const headers = { 'accept-encoding': coding, 'if-match': tag };
        const { statusCode } = await get(URL, headers);
        expect([coding, of, statusCode]).toEqual([coding, of, coding === of ? 200 : 412]);
      }
    }
  });

  test.each(['br', 'gzip'])(
    'a view that was read as %s may be revised by its tag, once',
    async (coding) => {
      const headers = { 'if-match': String((await coded(coding)).headers.etag) };
      expect((await ledger.revise(revision, headers)).statusCode).toBe(201);
      const again = { ...revision, probabilities: { bear: 0.3, base: 0.45, bull: 0.25 } };
      expect((await ledger.revise(again, headers)).statusCode).toBe(412);
    },
  );

  test('a revision drops every coding', async () => {
    for (const coding of ['br', 'gzip', 'identity']) await coded(coding);
    await ledger.revise(revision);
    const br = brotliDecompressSync((await coded('br')).rawPayload).toString();
    const gzip = gunzipSync((await coded('gzip')).rawPayload).toString();
    expect(JSON.parse(br)).toMatchObject({ version: 2 });
    expect(gzip).toBe(br);
  });
});

test.each(['application/json; charset=utf-8', 'application/json;charset=UTF-8;q=0.5'])(
  '%j is accepted, asked for the first time and again',
  async (accept) => {
    for (const _ of [1, 2]) expect((await get(URL, { accept })).statusCode).toBe(200);
  },
);

test('very many different headers do no harm', async () => {
  for (let index = 0; index < 1_200; index += 1) {
    const accept = `application/json;v=${index}, */*;q=0.1`;
    const { statusCode } = await get(URL, { accept, 'accept-encoding': `gzip;q=0.${index}` });
    expect(statusCode).toBe(200);
  }
});
