import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { chainFault, type Outlook } from '../support/chain.ts';
import { distinctRevision, historyOf } from '../support/outlooks.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { get, revise, SLUG } from '../support/http-client.ts';
import { cleanUp, type Service, startService } from '../support/service.ts';

// Started at the same time, on a database that nobody has migrated.

let pool: pg.Pool;
let services: Service[];
let key: string;
beforeAll(async () => {
  const url = await createDatabase({ empty: true });
  const settings = { ...databaseSettings(url), LOAD_SAMPLES: 'true' };
  services = await Promise.all([startService(settings), startService(settings)]);
  pool = openDatabase(url, 1);
  const issued = { name: 'Desk', role: 'analyst' as const, expiresAt: null };
  ({ key } = await issueKey(pool, issued, new Date()));
});
afterAll(async () => {
  await cleanUp();
  await pool.end();
});

const originOf = (index: number) => services[index % 2]?.origin ?? '';

test('both come up, and the sample is there once', async () => {
  for (const { origin } of services) {
    const list = await fetch(`${origin}/v1/outlooks`);
    const { items } = (await list.json()) as { items: Outlook[] };
    expect(items.map(({ slug, version }) => [slug, version])).toEqual([[SLUG, 1]]);
  }
});

test('neither prints a key', () => {
  for (const { stdout, stderr } of services) {
    expect(stdout()).not.toContain('olk_');
    expect(stderr()).toBe('');
  }
});

test('200 revisions by 20 clients over both leave no gap, each version complete', async () => {
  const answered: Outlook[] = [];
  const client = async (_: unknown, index: number) => {
    for (let turn = 0; turn < 10; turn += 1) {
      const body = distinctRevision(index * 10 + turn);
      const answer = await revise(originOf(index + turn), key, body);
      expect(answer.status).toBe(201);
      answered.push(answer.body);
    }
  };
  await Promise.all(Array.from({ length: 20 }, client));

  const versions = answered.map(({ version }) => version).sort((a, b) => a - b);
  expect(versions).toEqual(Array.from({ length: 200 }, (_, index) => index + 2));
  for (const { origin } of services) await get(origin, `/v1/outlooks/${SLUG}?minVersion=201`);
  let reads = 0;
  const history = await historyOf(SLUG, (url) => get(originOf((reads += 1)), url));
  expect(history).toHaveLength(201);
  expect(chainFault(history)).toBeNull();
  for (const answer of answered) expect(history[answer.version - 1]).toEqual(answer);
});

test('what one wrote the other returns at once with minVersion, and from then on', async () => {
  const body = {
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    rationale: 'Yields jumped.',
  };
  const { status, body: written, location } = await revise(originOf(0), key, body);
  expect(status).toBe(201);
  const { version } = written;
  expect(await get(originOf(1), `/v1/outlooks/${SLUG}?minVersion=${version}`)).toEqual(written);
  expect(await get(originOf(1), `/v1/outlooks/${SLUG}`)).toEqual(written);
  expect(await get(originOf(1), location ?? '')).toEqual(written);
});

test('both stop with code 0, and leave no session behind', async () => {
  for (const { kill } of services) kill('SIGTERM');
  for (const { ended } of services) expect(await ended).toEqual({ code: 0, signal: null });
  const sessions = () =>
    pool.query(
      `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    );
  await expect.poll(async () => (await sessions()).rowCount).toBe(0);
});
