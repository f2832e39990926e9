import { createConnection, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CacheEntries } from '../../../src/http/response-cache/cache-entries.ts';
import { encodeDraft } from '../../../src/http/response-cache/encoded-body.ts';
import { freshly } from '../../support/fresh-metrics.ts';
import { SLUG, startLedger, type TestLedger } from '../../support/ledger.ts';
import { createOutlook } from '../../support/requests.ts';

const MEBIBYTE = 2 ** 20;
/** About 0.9 MB. */
const long = Array.from({ length: 50 }, (_, index) => ({
  question: `Question ${index}?`,
  answer: 'Nobody reads as much as this. '.repeat(600),
}));
const LARGE = 30;
const large = Array.from({ length: LARGE }, (_, index) => `large-${index + 1}`);

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ cacheMaxBytes: 64 * MEBIBYTE });
  for (const slug of large) await createOutlook(ledger, { slug, faqs: long });
});
afterAll(() => ledger.close());

const get = (url: string) => ledger.call({ url });
const batch = (slugs: readonly string[]) => get(`/v1/batch/outlooks?slugs=${slugs.join(',')}`);

async function metric(name: string): Promise<number> {
  const { body } = await freshly(() => get('/metrics'));
  return Number(new RegExp(`^outlook_ledger_${name} (.*)$`, 'm').exec(body)?.[1]);
}
const inMemory = async () => ({
  entries: await metric('kept_replies'),
  bytes: await metric('kept_replies_bytes'),
});

describe('the size of the cache counts', () => {
  test('the key and the tags of a response', () => {
    const draft = { body: 'x', freshness: 'revalidate' as const };
    const sizeWith = (key: string, tags: string[]) => {
      const cache = new CacheEntries(64 * MEBIBYTE);
      const response = encodeDraft(draft, 'keyless');
      cache.add(key, { response, tags, expiresAt: undefined });
      expect(cache.count).toBe(1);
      return cache.size;
    };
    const least = sizeWith('k', []);
    expect(sizeWith('k'.repeat(1_001), []) - least).toBeGreaterThanOrEqual(1_000);
    const tags = Array.from({ length: 100 }, (_, index) => `outlook-${index}`);
    // As measured by V8: a set with one key, its place in the index, and the tag.
    expect(sizeWith('k', tags) - least).toBeGreaterThanOrEqual(100 * 300);
  });

  test('each spelling of a URL', async () => {
    await get(`/v1/outlooks/${SLUG}/chart.svg`);
    const before = await inMemory();
    await get(`/v1/outlooks/${SLUG}/chart.svg?utm_source=${'x'.repeat(5_000)}`);
    const after = await inMemory();
    expect(after.entries).toBe(before.entries);
    expect(after.bytes - before.bytes).toBeGreaterThan(10_000);
  });
});

describe('a batch', () => {
  test('that names a missing outlook is not stored, and shows it once it exists', async () => {
    const slugs = [SLUG, ...Array.from({ length: 50 }, (_, index) => `missing-${index}`)];
    const before = await inMemory();
    expect((await batch(slugs)).json()).toMatchObject({ missing: slugs.slice(1) });
    const after = await inMemory();
    expect(after.entries).toBe(before.entries);
    await createOutlook(ledger, { slug: 'missing-7' });
    const { items } = (await batch(slugs)).json<{ items: { slug: string }[] }>();
    expect(items.map(({ slug }) => slug)).toEqual([SLUG, 'missing-7']);
  });

  test('that is too large says how many outlooks fit, and which to read next', async () => {
    const refused = await batch(['nowhere', ...large]);
    expect([refused.statusCode, refused.json<{ type: string }>().type]).toEqual([
      422,
      '/problems/invalid-request',
    ]);
    expect(refused.json<{ errors: unknown }>().errors).toEqual([
      {
        pointer: '/slugs',
        detail:
          'names outlooks of more than 4 MiB together: of those that exist, only the first 4 fit; read "large-5" and those after it in another request',
        in: 'query',
      },
    ]);
    expect((await batch(large.slice(0, 4))).statusCode).toBe(200);
    expect((await batch(large.slice(4, 8))).statusCode).toBe(200);
  });
});

test('a page of long items ends early, and its cursor leads to the rest', async () => {
  const claim = (index: number) => ({
    statement: `${index} ${'long '.repeat(3_500)}`,
    effect: 'supports',
    target: { kind: 'scenario', key: 'bear' },
    horizon: 'weeks',
  });
  const claims = Array.from({ length: 50 }, (_, index) => claim(index));
  for (let number = 0; number < 7; number += 1) {
    const added = await ledger.call({
      method: 'POST',
      url: `/v1/outlooks/${SLUG}/evidence`,
      as: 'analyst',
      payload: {
        headline: `Long ${number}`,
        summary: 'S',
        publisher: 'P',
        publishedAt: '2026-11-20T12:00:00Z',
        claims,
      },
    });
    expect(added.statusCode, added.body).toBe(201);
  }
  const all: string[] = [];
  let next: string | undefined = `/v1/outlooks/${SLUG}/evidence?limit=100`;
  for (let pages = 0; next !== undefined; pages += 1) {
    const page = await get(next);
    expect(page.rawPayload.length).toBeLessThan(2.1 * MEBIBYTE);
    const { items } = page.json<{ items: { headline: string }[] }>();
    all.push(...items.map(({ headline }) => headline));
    next = /^<([^>]*)>/.exec(String(page.headers.link ?? ''))?.[1];
    expect(pages).toBeLessThan(10);
  }
  const long7 = Array.from({ length: 7 }, (_, index) => `Long ${6 - index}`);
  expect(all.slice(0, 7)).toEqual(long7);
  expect(new Set(all).size).toBe(all.length);
});

test('an address that does not read its large responses gets no more of them', async () => {
  await ledger.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = ledger.app.server.address() as AddressInfo;
  const requestFor = (first: number) =>
    `GET /v1/batch/outlooks?slugs=${large.slice(first, first + 4).join(',')} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const send = (requests: string): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = createConnection({ port, host: '127.0.0.1' }, () => socket.write(requests));
      socket.once('error', reject).once('data', (head: Buffer) => {
        socket.pause();
        status = head.toString('latin1').slice(9, 12);
        resolve(socket);
      });
    });
  let status = '';
  // The buffers of the system take the first response of a connection, but not the second.
  const unread = await Promise.all(
    Array.from({ length: 12 }, (_, at) => send(requestFor(0) + requestFor(at + 1))),
  );
  const another = async () => {
    (await send(requestFor(25))).destroy();
    return status;
  };
  await expect.poll(another).toBe('429');
  expect((await get(`/v1/outlooks/${SLUG}`)).statusCode).toBe(200);
  for (const socket of unread) socket.destroy();
  await expect.poll(another).toBe('200');
});
