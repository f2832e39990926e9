import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { fredJson, Provider } from '../support/provider.ts';
import { FRED_KEY, type Source } from '../support/pulling.ts';
import { cleanUp, startService } from '../support/service.ts';

const KEY = 'us-30y-yield';
const PATIENTLY = { timeout: 60_000 };

let pool: pg.Pool;
let provider: Provider;
let settings: Record<string, string>;
let key = '';
beforeAll(async () => {
  const url = await createDatabase();
  pool = openDatabase(url, 2);
  ({ key } = await issueKey(pool, { name: 'Desk', role: 'feed', expiresAt: null }, new Date()));
  settings = { ...databaseSettings(url), LOAD_SAMPLES: 'true', FRED_API_KEY: FRED_KEY };
});
beforeEach(async () => {
  provider = await new Provider().open();
});
afterEach(() => provider.close());
afterAll(async () => {
  await cleanUp();
  await pool.end();
});

const start = () =>
  startService({ ...settings, FRED_URL: provider.origin, PULL_PRIVATE_ORIGINS: provider.origin });

async function ask(origin: string, method: 'GET' | 'PUT', body?: object): Promise<Source> {
  const response = await fetch(`${origin}/v1/series/${KEY}/source`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as Source;
}

test('kill -9 amidst a pull leaves a lease that runs out, and nothing half stored', async () => {
  provider.answer = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"observations":[');
  };
  const killed = await start();
  await ask(killed.origin, 'PUT', { kind: 'fred', id: 'DGS30' });
  await expect.poll(() => provider.requests.length, PATIENTLY).toBe(1);
  killed.kill('SIGKILL');
  await killed.ended;
  provider.sends(fredJson({ '2026-11-18': '4.31' }), { 'content-type': 'application/json' });
  const next = await start();
  expect(await ask(next.origin, 'GET')).toMatchObject({ state: 'pulling', lastSuccess: null });
  // Three minutes, in which nobody else may go on.
  await pool.query(`update series_sources set due_at = due_at - interval '3 minutes'`);
  await expect
    .poll(async () => (await ask(next.origin, 'GET')).lastSuccess, PATIENTLY)
    .toMatchObject({ added: 1 });
  expect(provider.requests.length).toBe(2);

  // A stop gives a pull back, and takes no longer than it may.
  provider.answer = () => {};
  await ask(next.origin, 'PUT', { kind: 'fred', id: 'DGS10' });
  await expect.poll(() => provider.requests.length, PATIENTLY).toBe(3);
  next.kill('SIGTERM');
  expect(await next.ended).toEqual({ code: 0, signal: null });
  const { rows } = await pool.query(
    'select due_at <= now() as due, started_at, failures from series_sources',
  );
  expect(rows).toEqual([{ due: true, started_at: null, failures: 0 }]);
  const logs = [killed, next].map(({ stdout, stderr }) => stdout() + stderr()).join('');
  expect(logs).toContain('"msg":"pulled a series"');
  expect(logs).not.toContain(FRED_KEY);
});
