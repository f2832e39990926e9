import { gunzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { SAMPLE_SERIES } from '../../src/http/openapi/examples.ts';
import { DOCUMENT } from '../support/openapi.ts';
import { send } from '../support/requests.ts';

const VERSIONS = 130;
const DAYS = 10_000;
const SERIES = 30;

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  for (let version = 2; version <= VERSIONS; version += 1) {
    const bear = (version % 50) / 100;
    const probabilities = { bear, base: (70 - (version % 50)) / 100, bull: 0.3 };
    // Long enough that all versions are more than the service sends as a whole.
    const rationale = `Version ${version}. ${'“Why”, in many words; '.repeat(500)}`.trim();
    await ledger.revise({ probabilities, rationale });
  }
  for (let number = 0; number < SERIES; number += 1) {
    const series = { key: `s-${number}`, name: 'S', unit: 'u', frequency: 'daily', source: 'S' };
    await send(ledger, 'POST', '/v1/series', series, { as: 'feed' });
  }
  const observations = Array.from({ length: DAYS }, (_, day) => ({
    date: new Date(Date.UTC(1990, 0, 1 + day)).toISOString().slice(0, 10),
    value: day,
    note: 'n'.repeat(60),
  }));
  const url = '/v1/series/s-0/observations';
  await send(ledger, 'POST', url, { observations }, { as: 'feed' });
});
afterAll(() => ledger.close());

const read = (url: string, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
  ledger.call({ url, headers, method });
type Row = Record<string, string>;
const rowsOf = (body: string): Row[] => parse(body, { columns: true }) as Row[];

const versions = `/v1/outlooks/${SLUG}/versions`;
const history = `/v1/outlooks/${SLUG}/probabilities`;
const observations = '/v1/series/s-0/observations';

describe('CSV without a limit has all rows', () => {
  test.for([
    [versions, VERSIONS],
    [history, VERSIONS],
    [observations, DAYS],
    ['/v1/series', SERIES + SAMPLE_SERIES.series.length],
  ] as const)('%s', async ([url, count]) => {
    for (const answer of [
      await read(`${url}?format=csv`),
      await read(url, { accept: 'text/csv' }),
      await read(`${url}?format=csv`),
    ]) {
      const rows = rowsOf(answer.body);
      expect(rows).toHaveLength(count);
      expect(answer.headers.link).toBeUndefined();
      expect(answer.headers['content-type']).toBe('text/csv; charset=utf-8; header=present');
    }
  });

  test('each once and in the order of the pages', async () => {
    const numbers = rowsOf((await read(`${versions}?format=csv`)).body).map(({ version }) =>
      Number(version),
    );
    expect(numbers).toEqual(Array.from({ length: VERSIONS }, (_, index) => VERSIONS - index));
    const { body } = await read(`${observations}?format=csv`);
    const days = rowsOf(body).map(({ date = '' }) => Date.parse(date));
    expect(days).toEqual([...new Set(days)].toSorted((a, b) => a - b));
  });

  test('after a cursor, the rest', async () => {
    const page = await read(`${versions}?limit=100`);
    const { nextCursor } = page.json<{ nextCursor: string }>();
    const rest = await read(`${versions}?format=csv&cursor=${nextCursor}`);
    expect(rowsOf(rest.body).map(({ version }) => version)).toEqual(
      Array.from({ length: VERSIONS - 100 }, (_, index) => String(VERSIONS - 100 - index)),
    );
    const wrong = await read(`${observations}?format=csv&cursor=${nextCursor}`);
    expect([wrong.statusCode, wrong.headers['content-disposition']]).toEqual([422, undefined]);
  });
});

test('a limit still holds, even the one that JSON has by default', async () => {
  for (const limit of [20, 7, 100]) {
    for (const url of [`${versions}?limit=${limit}`, `${versions}?format=csv&limit=${limit}`]) {
      const page = await read(url, { accept: 'text/csv' });
      expect([url, rowsOf(page.body).length]).toEqual([url, limit]);
      expect(page.headers.link).toContain('rel="next"');
    }
  }
  expect((await read(versions)).json<{ items: unknown[] }>().items).toHaveLength(20);
  expect((await read(observations)).json<{ items: unknown[] }>().items).toHaveLength(1_000);
  expect(rowsOf((await read(versions, { accept: 'text/csv' })).body)).toHaveLength(VERSIONS);
});

test('each CSV has a file name', async () => {
  const admin = { authorization: `Bearer ${ledger.keys.admin}` };
  for (const [url, name] of [
    [versions, `${SLUG}-versions.csv`],
    [`${versions}?limit=2`, `${SLUG}-versions.csv`],
    [history, `${SLUG}-probabilities.csv`],
    [observations, 's-0-observations.csv'],
    ['/v1/outlooks', 'outlooks.csv'],
    [`/v1/outlooks/${SLUG}/conditions`, `${SLUG}-conditions.csv`],
    ['/v1/instruments', 'instruments.csv'],
    ['/v1/audit', 'audit.csv'],
    ['/v1/keys', 'keys.csv'],
  ] as const) {
    const csv = await read(url, { accept: 'text/csv', ...admin });
    expect([url, csv.headers['content-disposition']]).toEqual([
      url,
      `attachment; filename="${name}"`,
    ]);
    expect((await read(url, admin)).headers['content-disposition']).toBeUndefined();
  }
  expect((await read('/v1/outlooks/none/versions?format=csv')).headers).not.toHaveProperty(
    'content-disposition',
  );
});

test('every CSV of the document says so', () => {
  const lists = Object.values(DOCUMENT.paths).flatMap(
    (path) => path['get']?.responses['200']?.content?.['text/csv'] ?? [],
  );
  expect(lists.length).toBeGreaterThan(12);
});

describe('a long CSV', () => {
  test('has a weak ETag that changes with the outlook, and answers 304 and HEAD', async () => {
    const url = `${versions}?format=csv`;
    const { headers } = await read(url);
    const etag = String(headers.etag);
    expect(etag).toMatch(/^W\/"/);
    expect(headers['content-length']).toBeUndefined();
    const known = await read(url, { 'if-none-match': etag });
    expect([known.statusCode, known.body, known.headers.etag]).toEqual([304, '', etag]);
    expect(known.headers['content-disposition']).toBeUndefined();
    expect(known.headers['cache-control']).toBe('public, no-cache');
    const head = await read(url, {}, 'HEAD');
    expect([head.statusCode, head.body, head.headers.etag]).toEqual([200, '', etag]);
    expect((await read(url, { 'if-match': etag })).statusCode).toBe(412);
    expect((await read(url, { 'if-match': '*' })).statusCode).toBe(200);
    await send(ledger, 'PUT', `/v1/outlooks/${SLUG}/views/me`, {
      probabilities: { bear: 0.2, base: 0.5, bull: 0.3 },
      rationale: 'Mine.',
    });
    expect((await read(url, { 'if-none-match': etag })).statusCode).toBe(200);
  });

  test('is compressed if the client accepts it', async () => {
    const plain = await read(`${observations}?format=csv`);
    const zipped = await read(`${observations}?format=csv`, { 'accept-encoding': 'gzip' });
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(String(zipped.headers.vary)).toContain('Accept-Encoding');
    expect(gunzipSync(zipped.rawPayload).toString()).toBe(plain.body);
    expect(zipped.rawPayload.length).toBeLessThan(plain.rawPayload.length / 5);
  });

  test('needs a key where reads do, and no shared cache may store it', async () => {
    const closed = await startLedger({ requireKeyForReads: true });
    try {
      const url = `/v1/outlooks/${SLUG}/versions?format=csv`;
      expect((await closed.call({ url })).statusCode).toBe(401);
      const rationale = 'x'.repeat(20_000);
      for (let version = 0; version < 55; version += 1) {
        const probabilities = { bear: version / 100, base: (70 - version) / 100, bull: 0.3 };
        await closed.revise({ probabilities, rationale });
      }
      const { headers, body } = await closed.call({ url, as: 'feed' });
      expect(rowsOf(body)).toHaveLength(56);
      expect(headers['cache-control']).toBe('private, no-cache');
      expect(headers.vary).toContain('Authorization');
    } finally {
      await closed.close();
    }
  });
});
