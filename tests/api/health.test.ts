import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/postgres/pool.ts';
import { openSession } from '../support/plain-sql.ts';
import { buildSilentApp, SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { assertDescribed } from '../support/openapi.ts';
import { Proxy } from '../support/proxy.ts';

describe('a service whose database becomes unavailable', () => {
  let ledger: TestLedger;
  let pool: pg.Pool;
  let way: Proxy;
  let app: Awaited<ReturnType<typeof buildSilentApp>>;
  beforeEach(async () => {
    ledger = await startLedger();
    way = new Proxy(ledger.url);
    pool = connect({ connectionString: await way.listen(), max: 3 }, () => {});
    app = await buildSilentApp(pool, { now: () => ledger.clock.now });
  });
  afterEach(async () => {
    await app.close();
    await pool.end();
    await way.close();
    await ledger.close();
  });

  const get = async (url: string) => {
    const answer = await app.inject(url);
    assertDescribed({ url }, answer);
    return answer;
  };

  test('is alive but not ready, asks clients to retry, and recovers with the database', async () => {
    expect((await get('/readyz')).json()).toEqual({
      status: 'ready',
      changeFeed: 'away',
      writes: 'accepted',
      log: { state: 'unsigned' },
    });
    way.block();
    expect((await get('/healthz')).json()).toEqual({ status: 'ok' });
    for (const url of ['/readyz', `/v1/outlooks/${SLUG}`, '/v1/outlooks', '/v1/instruments']) {
      const answer = await get(url);
      expect(answer.statusCode).toBe(503);
      expect(answer.headers['retry-after']).toBe('2');
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.json()).toMatchObject({
        type: '/problems/unavailable',
        detail: 'The database is unreachable or busy; try again.',
      });
    }
    const authorization = `Bearer ${ledger.keys.admin}`;
    expect((await app.inject({ url: '/v1/keys', headers: { authorization } })).statusCode).toBe(
      503,
    );

    way.weather = 'calm';
    expect((await get('/readyz')).statusCode).toBe(200);
    expect((await get(`/v1/outlooks/${SLUG}`)).statusCode).toBe(200);
  });

  test('in the middle of a query asks clients to retry', async () => {
    const locked = await ledger.pool.connect();
    await locked.query('begin');
    await locked.query('lock table instruments');
    const waiting = get('/v1/instruments');
    await expect
      .poll(async () => {
        const { rows } = await ledger.pool.query<{ waiting: number }>(
          `select count(*) as waiting from pg_locks l join pg_database d on d.oid = l.database
            where not granted and d.datname = current_database()`,
        );
        return rows[0]?.waiting;
      })
      .toBe(1);
    way.block();
    expect((await waiting).statusCode).toBe(503);
    await locked.query('rollback');
    locked.release();
  });
});

test('a query that the database ends can be retried', async () => {
  const ledger = await startLedger();
  const locked = await ledger.pool.connect();
  await locked.query('begin; lock table instruments');
  const waiting = ledger.call({ url: '/v1/instruments' });
  await expect
    .poll(async () => {
      const { rowCount } = await ledger.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rowCount;
    })
    .toBe(1);
  const answer = await waiting;
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '2']);
  await locked.query('rollback');
  locked.release();
  expect((await ledger.call({ url: '/v1/instruments' })).statusCode).toBe(200);
  await ledger.close();
});

test('a service is not ready on a database of another history', async () => {
  const ledger = await startLedger();
  await ledger.pool.query(`update drizzle.__drizzle_migrations set hash = 'another' where id = 1`);
  const answer = await ledger.call({ url: '/readyz' });
  expect(answer.statusCode).toBe(503);
  expect(answer.headers['retry-after']).toBe('5');
  expect(answer.json()).toMatchObject({
    detail: expect.stringContaining(
      'The database is not ready: The migrations applied to the database are not those of this release',
    ) as string,
  });
  await ledger.pool.query('drop schema drizzle cascade');
  expect((await ledger.call({ url: '/readyz' })).statusCode).toBe(503);
  await ledger.close();
});

describe('a database that takes no writes', () => {
  const REVISION = { probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'Why.' };
  let ledger: TestLedger;
  beforeEach(async () => {
    ledger = await startLedger();
  });
  afterEach(() => ledger.close());
  const ready = async () => (await ledger.call({ url: '/readyz' })).json<{ writes: string }>();

  test('serves reads, refuses writes, says so, and accepts them again', async () => {
    const owner = await openSession(ledger.url);
    const { rows } = await owner.query<{ name: string }>('select current_database() as name');
    const name = rows[0]?.name ?? '';
    await owner.query(`alter database ${name} set default_transaction_read_only = on`);
    // As in a failover: the former primary is gone, and new connections lead to a server that takes no writes.
    await owner.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`,
    );
    await expect.poll(async () => (await ready()).writes).toBe('refused');
    const { body, statusCode } = await ledger.call({ url: `/v1/outlooks/${SLUG}` });
    expect([statusCode, JSON.parse(body)]).toMatchObject([200, { version: 1 }]);
    for (const headers of [{}, { 'idempotency-key': 'one' }]) {
      const refused = await ledger.revise(REVISION, headers);
      expect([refused.statusCode, refused.headers['retry-after'], refused.json()]).toMatchObject([
        503,
        '5',
        { type: '/problems/read-only', detail: 'The database is read-only; nothing was stored.' },
      ]);
    }
    await owner.query(`alter database ${name} reset default_transaction_read_only`);
    await owner.end();
    // Connections need not be ended: those whose write was refused are replaced.
    await expect.poll(async () => (await ledger.revise(REVISION)).statusCode).toBe(201);
    await expect.poll(async () => (await ready()).writes).toBe('accepted');
  });

  test('for lack of space says so until a write succeeds', async () => {
    await ledger.pool.query(`
      create function no_room() returns trigger language plpgsql as $$ begin
        raise exception 'could not extend file' using errcode = '53100'; end $$;
      create trigger no_room before insert on outlook_versions execute function no_room()`);
    const refused = await ledger.revise(REVISION);
    expect([refused.statusCode, refused.headers['retry-after'], refused.json()]).toMatchObject([
      503,
      '5',
      { type: '/problems/storage-full' },
    ]);
    expect((await ready()).writes).toBe('refused');
    await ledger.pool.query('drop trigger no_room on outlook_versions');
    expect((await ready()).writes).toBe('refused');
    expect((await ledger.revise(REVISION)).statusCode).toBe(201);
    expect((await ready()).writes).toBe('accepted');
  });
});
