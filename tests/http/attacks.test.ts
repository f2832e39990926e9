import type { LightMyRequestResponse } from 'fastify';
import { pino } from 'pino';
import { parse } from 'csv-parse/sync';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { buildApp } from '../../src/app.ts';
import { LOG_SERIALIZERS } from '../../src/http/logging.ts';
import { REQUEST_EXAMPLES } from '../../src/http/openapi/examples.ts';
import { fillLedger } from '../support/outlooks.ts';
import { nastyEvidence, nastyOutlook } from '../support/nasty.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { DOCUMENT } from '../support/openapi.ts';
import { OPERATIONS } from '../support/operations.ts';
import { createOutlook, MERGE_PATCH, send, stored } from '../support/requests.ts';

// The promises of SECURITY.md that no other test checks.

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  await fillLedger(ledger);
});
afterAll(() => ledger.close());

const WRITES = OPERATIONS.filter(({ operationId }) => operationId in REQUEST_EXAMPLES);
const pointersOf = (answer: LightMyRequestResponse) =>
  answer.json<{ errors: { pointer: string }[] }>().errors.map(({ pointer }) => pointer);
describe("members that the ledger decides can't be sent", () => {
  const OWN = ['authorId', 'hash', 'previousHash', 'recordedAt', 'latestVersion', 'analystId'];

  test('the operations that take a body have an example', () => {
    expect(WRITES.length).toBeGreaterThan(10);
  });

  test.for(WRITES)('to $operationId', async ({ method, url, operationId }) => {
    const before = await stored(ledger);
    const [example = {}] = Object.values(REQUEST_EXAMPLES[operationId] ?? {}) as object[];
    const body = 'value' in example ? (example.value as object) : example;
    const sent = { ...body, ...Object.fromEntries(OWN.map((name) => [name, 'mine'])) };
    const answer = await ledger.call({
      method,
      url,
      as: 'admin',
      headers: {
        'content-type': method === 'PATCH' ? MERGE_PATCH : 'application/json',
      },
      payload: JSON.stringify(sent),
    });
    expect(answer.statusCode).toBe(422);
    expect(pointersOf(answer)).toEqual(expect.arrayContaining(OWN.map((name) => `/${name}`)));
    expect(await stored(ledger)).toEqual(before);
  });
});

describe('a body', () => {
  const send = (payload: string) => ledger.revise(payload);

  test.each([1_000, 100_000])('nested %i levels deep is refused', async (levels) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"bear":', '}'],
    ] as const) {
      const deep = `${open.repeat(levels)}1${close.repeat(levels)}`;
      const answer = await send(`{"probabilities": ${deep}, "rationale": "R"}`);
      expect([400, 422]).toContain(answer.statusCode);
    }
  });

  test.each(['1e400', '-1e400', '9'.repeat(400), '9'.repeat(900_000), '0.' + '3'.repeat(900_000)])(
    'with a number that no double holds (%#) is refused',
    async (number) => {
      const answer = await send(
        `{"probabilities": {"bear": ${number}, "base": 0.5, "bull": 0.2}, "rationale": "R"}`,
      );
      expect(answer.statusCode).toBe(422);
      expect(answer.body.length).toBeLessThan(2_000);
    },
  );

  test('that names a prototype changes no prototype', async () => {
    for (const name of ['__proto__', 'constructor', 'prototype']) {
      const answer = await send(
        `{"${name}": {"polluted": true}, "probabilities": {"bear": 0.2, "base": 0.5, "bull": 0.3, "${name}": {"polluted": true}}, "rationale": "R"}`,
      );
      expect(answer.statusCode).toBe(422);
      expect(pointersOf(answer)).toEqual(
        expect.arrayContaining([`/${name}`, `/probabilities/${name}`]),
      );
    }
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('a slug', () => {
  const LOOKALIKES = [
    'russell-2000-downsid\u0435', // Cyrillic
    'russell\u20112000\u2011downside', // hyphens that do not break
    'ｒussell-2000-downside', // full width
    'russell-2000-downside\u200b', // no width
    'russell-2000-downside\u0301', // a mark that combines
    'RUSSELL-2000-DOWNSIDE',
    'ruſſell-2000-downside', // long s, whose upper case is S
    ' russell-2000-downside',
    '../keys',
    'a/b',
    'a%2Fb',
    'xn--russell-2000-downside-ab',
    '\u202erussell',
  ];
  test.each(LOOKALIKES)('%j equals no other slug, and is refused', async (slug) => {
    const refused = await createOutlook(ledger, { slug });
    expect([refused.statusCode, pointersOf(refused)[0]]).toEqual([422, '/slug']);
    const read = await ledger.call({ url: `/v1/outlooks/${encodeURIComponent(slug)}` });
    expect([404, 422]).toContain(read.statusCode);
  });
});

test('no cell of a CSV response is a formula, whatever is in the ledger', async () => {
  const created = await createOutlook(ledger, nastyOutlook('nasty'));
  const added = await send(ledger, 'POST', '/v1/outlooks/nasty/evidence', nastyEvidence());
  const kind = { name: '=cmd', unit: '+1', frequency: 'daily', source: '@SUM(1)' };
  const body = { key: 'formulas', ...kind };
  const series = await send(ledger, 'POST', '/v1/series', body, { as: 'admin' });
  expect([created, added, series].map(({ statusCode }) => statusCode)).toEqual([201, 201, 201]);
  const csvs = OPERATIONS.filter(({ path, method }) =>
    JSON.stringify(DOCUMENT.paths[path]?.[method.toLowerCase()]?.responses).includes('text/csv'),
  );
  expect(csvs.length).toBeGreaterThan(9);
  for (const { url } of csvs) {
    const nasty = url.replace('/russell-2000-downside/', '/nasty/');
    const answer = await ledger.call({ url: nasty, as: 'admin', headers: { accept: 'text/csv' } });
    if (answer.statusCode === 404) continue; // nobody holds a view of it
    expect([url, answer.headers['content-type']]).toEqual([
      url,
      expect.stringContaining('text/csv'),
    ]);
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    const cells = parse(answer.body).slice(1).flat();
    const formulas = cells.filter(
      (cell) => /^[=+\-@\t\r＝＋－＠]/.test(cell) && !/^-\d/.test(cell),
    );
    expect([url, formulas]).toEqual([url, []]);
  }
});

test('an internal error shows the client nothing, and the log everything but the request', async () => {
  const lines: string[] = [];
  const logger = pino(
    { level: 'trace', serializers: LOG_SERIALIZERS },
    { write: (line: string) => void lines.push(line) },
  );
  const { pool, feed } = ledger;
  const app = await buildApp({
    config: readConfig({}),
    pool,
    feed,
    logger,
    now: () => ledger.clock.now,
  });
  const body = { probabilities: { bear: 0.2, base: 0.5, bull: 0.3 }, rationale: 'Secret words.' };
  const fail = (session: pg.Pool) =>
    session.query(`
      create function fail() returns trigger language plpgsql as $$ begin
        raise exception 'what only Postgres knows' using errcode = 'XX000'; end $$;
      create trigger fail before insert on audit_entries execute function fail()`);
  await fail(ledger.pool);
  const answer = await app.inject({
    method: 'POST',
    url: `/v1/outlooks/${SLUG}/revisions`,
    headers: { authorization: `Bearer ${ledger.keys.analyst}` },
    payload: body,
  });
  await ledger.pool.query('drop trigger fail on audit_entries');
  await app.close();
  expect([answer.statusCode, answer.json()]).toEqual([
    500,
    {
      type: '/problems/internal-error',
      title: 'Internal error',
      status: 500,
      detail: 'The service hit an unexpected error.',
      instance: `/v1/outlooks/${SLUG}/revisions`,
    },
  ]);
  const log = lines.join('');
  expect(log).toContain('what only Postgres knows');
  expect(log).toContain(String(answer.headers['x-request-id']));
  for (const secret of ['Secret words.', ledger.keys.analyst.slice(8)]) {
    expect(log).not.toContain(secret);
  }
});
