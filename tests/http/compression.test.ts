import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  const observations = Array.from({ length: 90 }, (_, day) => ({
    date: new Date(Date.UTC(1990, 0, 1 + day)).toISOString().slice(0, 10),
    value: day,
  }));
  const payload = { observations };
  const url = '/v1/series/rut-close/observations';
  await ledger.call({ method: 'POST', url, as: 'feed', payload });
});
afterAll(() => ledger.close());

const read = (url: string, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
  ledger.call({ url, headers, method });

const DOCUMENTS = [
  '/openapi.json',
  '/docs/json',
  '/docs/static/swagger-ui-bundle.js',
  '/docs/static/swagger-ui.css',
  '/docs/static/swagger-initializer.js',
  '/v1/series/rut-close/observations',
];

describe.each([...DOCUMENTS, '/metrics'])('%s', (url) => {
  test('is compressed for those who accept it, and says on what it depends', async () => {
    const plain = await read(url);
    expect([plain.statusCode, plain.headers['content-encoding']]).toEqual([200, undefined]);
    expect(String(plain.headers.vary)).toContain('Accept-Encoding');
    for (const [coding, decode] of [
      ['gzip', gunzipSync],
      ['br', brotliDecompressSync],
    ] as const) {
      const packed = await read(url, { 'accept-encoding': coding });
      expect(packed.headers['content-encoding']).toBe(coding);
      expect(Number(packed.headers['content-length'])).toBe(packed.rawPayload.length);
      expect(packed.headers.etag).not.toBe(plain.headers.etag);
      const text = decode(packed.rawPayload).toString();
      // The metrics differ each time, but in numbers alone.
      const isMetrics = url === '/metrics';
      expect(isMetrics ? text.slice(0, 50) : text).toBe(
        isMetrics ? plain.body.slice(0, 50) : plain.body,
      );
    }
  });
});

test.for(DOCUMENTS)('%s is not sent again to those who have it', async (url) => {
  for (const coding of ['identity', 'gzip', 'br']) {
    const accept = { 'accept-encoding': coding };
    const etag = String((await read(url, accept)).headers.etag);
    const again = await read(url, { ...accept, 'if-none-match': etag });
    expect([again.statusCode, again.body, again.headers.etag]).toEqual([304, '', etag]);
  }
});

test("Swagger UI's files stay fresh for an hour, the document is revalidated", async () => {
  const cacheControl = async (url: string) => (await read(url)).headers['cache-control'];
  expect(await cacheControl('/docs/static/swagger-ui-bundle.js')).toBe('public, max-age=3600');
  expect(await cacheControl('/openapi.json')).toBe('public, no-cache');
  expect(await cacheControl('/metrics')).toBe('no-store');
});

test('a small response stays as it is, and so does a key that is shown once', async () => {
  const packed = { 'accept-encoding': 'gzip' };
  expect((await read('/healthz', packed)).headers['content-encoding']).toBeUndefined();
  const issued = await ledger.call({
    method: 'POST',
    url: '/v1/keys',
    as: 'admin',
    headers: packed,
    payload: { name: 'n'.repeat(299), role: 'feed' },
  });
  expect([issued.statusCode, issued.headers['content-encoding']]).toEqual([201, undefined]);
});
