import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isUnavailable } from '../../src/http/errors.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook } from '../support/requests.ts';

let ledger: TestLedger;
beforeEach(async () => {
  ledger = await startLedger();
});
afterEach(() => ledger.close());

const revision = { probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'Why.' };

test('an outlook that stays locked affects no other outlook', async () => {
  await createOutlook(ledger, { slug: 'other' });
  const holder = new pg.Client({ connectionString: ledger.url });
  await holder.connect();
  await holder.query(`begin; select from outlooks where slug = 'russell-2000-downside' for update`);
  const writers = Array.from({ length: 20 }, () => ledger.revise(revision));
  const read = await ledger.call({ url: '/v1/outlooks/other' });
  const refused = await Promise.all(writers);
  await holder.query('rollback');
  await holder.end();
  expect(read.statusCode).toBe(200);
  expect(new Set(refused.map(({ statusCode }) => statusCode))).toEqual(new Set([503]));
  expect((await ledger.revise(revision)).statusCode).toBe(201);
});

test('a write that finds no free connection on the server is 503, as a read is', async () => {
  const { rows } = await ledger.pool.query<{ name: string }>('select current_database() as name');
  const name = rows[0]?.name ?? '';
  await ledger.pool.query(`create role limited login; grant all on database ${name} to limited`);
  try {
    const url = new URL(ledger.url);
    url.username = 'limited';
    // A transaction opens its connection itself, so its errors are not wrapped.
    await ledger.pool.query('alter role limited connection limit 0');
    const pool = new pg.Pool({ connectionString: url.href });
    const met: unknown = await pool.connect().catch((error: unknown) => error);
    await pool.end();
    expect((met as { code: string }).code).toBe('53300');
    expect(isUnavailable(met)).toBe(true);
  } finally {
    await ledger.pool.query(`revoke all on database ${name} from limited; drop role limited`);
  }
});

test('while a restore has taken a table away, clients retry, also those with statements prepared before', async () => {
  const url = '/v1/outlooks/russell-2000-downside/evidence';
  for (let turn = 0; turn < 3; turn += 1) await ledger.call({ url: `${url}?limit=${turn + 1}` });
  const before = await ledger.call({ url });
  await ledger.pool.query('alter table evidence rename to taken_away');
  const away = await ledger.call({ url: `${url}?limit=50` });
  expect([away.statusCode, away.headers['retry-after']]).toEqual([503, '2']);
  await ledger.pool.query('alter table taken_away rename to evidence');
  await ledger.pool.query('alter table evidence rename headline to headline_was');
  await ledger.pool.query('alter table evidence rename headline_was to headline');
  const after = await ledger.call({ url: `${url}?limit=51` });
  expect(after.statusCode).toBe(200);
  expect(after.json()).toEqual(before.json());
});

test('a name that does not resolve, or resolves to several dead ends, is "not now"', () => {
  const nowhere = Object.assign(new Error('x'), { syscall: 'getaddrinfo', code: 'ENOTFOUND' });
  const refused = Object.assign(new Error('x'), { syscall: 'connect', code: 'ECONNREFUSED' });
  expect(isUnavailable(nowhere)).toBe(true);
  expect(isUnavailable(new AggregateError([refused, refused]))).toBe(true);
  expect(isUnavailable(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe(false);
});
