import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { loadSamples } from '../../src/first-start.ts';
import { isUnavailable } from '../../src/http/errors.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/postgres/embedded/server.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { connect, inTransaction } from '../../src/postgres/pool.ts';
import { buildSilentApp, SLUG } from '../support/ledger.ts';
import { cleanUp, newFolder } from '../support/service.ts';

/** A server of its own, because its commits can wait for a standby that never comes. */
let server: EmbeddedPostgres;
let pool: pg.Pool;
let app: FastifyInstance;
let authorization = '';

beforeAll(async () => {
  server = await startEmbeddedPostgres({ dataDir: newFolder(), settings: { fsync: 'off' } });
  pool = connect({ ...server.connection, max: 10 }, () => {});
  await migrateToLatest(pool, pool);
  await loadSamples(pool, new Date());
  const key = await issueKey(pool, { name: 'Desk', role: 'analyst', expiresAt: null }, new Date());
  authorization = `Bearer ${key.key}`;
  app = await buildSilentApp(pool, { requireKeyForReads: true });
}, 60_000);
afterAll(async () => {
  await app.close();
  await pool.end();
  await server.stop();
  await cleanUp();
});
beforeEach(() => expectStandby(''));

/** Sets the standby that commits wait for; none if it is empty. */
async function expectStandby(name: string): Promise<void> {
  await pool.query(`alter system set synchronous_standby_names = '${name}'`);
  await pool.query('select pg_reload_conf()');
  const shown = async () =>
    (await pool.query<{ synchronous_standby_names: string }>('show synchronous_standby_names'))
      .rows[0]?.synchronous_standby_names;
  while ((await shown()) !== name) await delay(10);
  if (name !== '') await untilCommitsWait();
}

/** The process that waits for the standby; null if there is none. */
async function waiting(): Promise<number | null> {
  const { rows } = await pool.query<{ pid: number }>(
    `select pid from pg_stat_activity where wait_event = 'SyncRep'`,
  );
  return rows[0]?.pid ?? null;
}

/** The connection that waits for the standby, once there is one. */
async function waiter(): Promise<number> {
  for (;;) {
    const pid = await waiting();
    if (pid !== null) return pid;
    await delay(10);
  }
}

/** The checkpointer tells connections of a new standby, a moment after they have its name. */
async function untilCommitsWait(): Promise<void> {
  const probe = new pg.Client(server.connection);
  await probe.connect();
  for (let pid: number | null = null; pid === null;) {
    const outcome = { isDone: false };
    const commit = probe
      .query(`select pg_logical_emit_message(true, 'test', '')`)
      .finally(() => (outcome.isDone = true));
    while (pid === null && !outcome.isDone) {
      await delay(10);
      pid = await waiting();
    }
    if (pid !== null) await pool.query('select pg_cancel_backend($1)', [pid]);
    await commit;
  }
  await probe.end();
}

const revise = (key: string, bear: number) =>
  app.inject({
    method: 'POST',
    url: `/v1/outlooks/${SLUG}/revisions`,
    headers: { authorization, 'idempotency-key': key },
    payload: {
      probabilities: { bear, base: Math.round((0.75 - bear) * 100) / 100, bull: 0.25 },
      rationale: 'R',
    },
  });

test('a commit that no longer waits for the standby is not acknowledged', async () => {
  await pool.query('create table acts (act int)');
  await expectStandby('away');
  const act = inTransaction(pool, (session) => session.query('insert into acts values (1)'));
  const outcome = act.catch((error: unknown) => error);
  await pool.query('select pg_cancel_backend($1)', [await waiter()]);
  expect(isUnavailable(await outcome)).toBe(true);
});

test('a commit that waits longer than its client leaves no lock and no connection', async () => {
  const impatient = connect({ ...server.connection, max: 1 }, () => {});
  impatient.options.query_timeout = 300;
  await pool.query('create table waits (wait int)');
  await expectStandby('away');
  const late = inTransaction(impatient, async (session) => {
    await session.query('lock waits in access exclusive mode');
    await session.query(`select pg_logical_emit_message(true, 'test', '')`);
  });
  await expect(late).rejects.toThrow('Query read timeout');
  await inTransaction(pool, (session) => session.query('select from waits'));
  await impatient.end();
});

test('a write whose wait was cancelled is answered 503, and its retry waits again', async () => {
  await expectStandby('away');
  const first = revise('cancelled', 0.31);
  await pool.query('select pg_cancel_backend($1)', [await waiter()]);
  expect((await first).statusCode).toBe(503);

  // The primary has it, so the retry finds its response; but the standby may still lack it.
  let isAnswered = false;
  const retry = revise('cancelled', 0.31).finally(() => (isAnswered = true));
  await waiter();
  expect(isAnswered).toBe(false);
  await expectStandby('');
  expect((await retry).statusCode).toBe(201);
});

test('a read with a key does not wait for the standby to learn of its use', async () => {
  await pool.query('update api_keys set last_used_at = null');
  await expectStandby('away');
  const read = await app.inject({ url: `/v1/outlooks/${SLUG}`, headers: { authorization } });
  expect(read.statusCode).toBe(200);
  const { rows } = await pool.query('select from api_keys where last_used_at is not null');
  expect(rows).toHaveLength(1);
});

test('writes without a standby to wait for are answered at once, and so are their retries', async () => {
  const first = await revise('prompt', 0.4);
  const retry = await revise('prompt', 0.4);
  expect([first.statusCode, retry.statusCode, retry.body]).toEqual([201, 201, first.body]);
});
