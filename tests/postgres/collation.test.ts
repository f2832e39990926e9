import type { LightMyRequestResponse } from 'fastify';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { loadSamples } from '../../src/first-start.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { createInstrument } from '../../src/ledger/instruments.ts';
import { createSeries } from '../../src/ledger/series.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { databaseUrl, openDatabase } from '../support/database.ts';
import { buildSilentApp } from '../support/ledger.ts';

/** In another order than their bytes where punctuation counts last. */
const SLUGS = ['ab', 'a-c', 'abd', 'a-b-c', 'a1', 'a-2'];

const NOW = new Date('2026-11-20T16:00:00.000Z');

let pool: pg.Pool;
let app: Awaited<ReturnType<typeof buildSilentApp>>;
// A collation that ignores punctuation at first, as those of glibc do.
beforeAll(async () => {
  const name = `${inject('prefix')}shifted`;
  const admin = new pg.Client({ connectionString: inject('serverUrl') });
  await admin.connect();
  await admin.query(`create database ${name} template template0 encoding 'UTF8'
    locale 'C' locale_provider icu icu_locale 'und-u-ka-shifted'`);
  await admin.end();
  pool = openDatabase(databaseUrl(inject('serverUrl'), name));
  await migrateToLatest(pool);
  await loadSamples(pool, NOW);
  app = await buildSilentApp(pool, { now: () => NOW });
  const { key } = await issueKey(pool, { name: 'Desk', role: 'analyst', expiresAt: null }, NOW);
  for (const slug of SLUGS) {
    const { statusCode, body } = await app.inject({
      method: 'POST',
      url: '/v1/outlooks',
      headers: { authorization: `Bearer ${key}` },
      payload: { ...SAMPLE_OUTLOOK, slug },
    });
    if (statusCode !== 201) throw new Error(body);
    const series = {
      key: slug,
      name: 'S',
      unit: 'points',
      frequency: 'daily',
      dated: 'end',
      source: 'S',
      visibility: 'public',
    } as const;
    await createSeries(pool, series, 'all', NOW);
    const symbol = slug.toUpperCase();
    await createInstrument(pool, { symbol, name: 'I', kind: 'index', closes: null }, 'all', NOW);
  }
});
afterAll(async () => {
  await app.close();
  await pool.end();
});

type Listed = { items: Record<string, string>[]; nextCursor: string | null };

/** All keys of a list, read a page of two at a time. */
async function listed(url: string, key: string): Promise<string[]> {
  const keys: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: LightMyRequestResponse = await app.inject(
      `${url}limit=2${cursor && `&cursor=${cursor}`}`,
    );
    expect(page.statusCode, page.body).toBe(200);
    const body: Listed = page.json();
    keys.push(...body.items.map((item) => item[key] ?? ''));
    cursor = body.nextCursor;
  }
  return keys;
}

const inBytes = (keys: string[]) => keys.toSorted((a, b) => (a < b ? -1 : 1));

test.each([
  ['/v1/outlooks?sort=slug&', 'slug', SLUGS],
  ['/v1/series?', 'key', SLUGS],
  ['/v1/instruments?', 'symbol', SLUGS.map((slug) => slug.toUpperCase())],
])('%s lists in the order of bytes, page by page', async (url, key, expected) => {
  const keys = await listed(url, key);
  expect(keys).toEqual(inBytes(keys));
  expect(keys).toEqual(expect.arrayContaining(expected));
});

test('the database would sort otherwise', async () => {
  const { rows } = await pool.query(`select 'a-c' > 'ab' as otherwise`);
  expect(rows).toEqual([{ otherwise: true }]);
});
