import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  checkConnections,
  checkLocks,
  checkPrepared,
  checkSlots,
  checkTransactions,
} from '../../src/postgres/doctor/activity.ts';
import {
  checkClock,
  checkPooler,
  checkSettings,
  checkTransport,
} from '../../src/postgres/doctor/connection.ts';
import type { Finding, Sessions } from '../../src/postgres/doctor/finding.ts';
import {
  checkGuards,
  checkIndexes,
  checkRights,
  checkRole,
  checkSchema,
} from '../../src/postgres/doctor/ledger.ts';
import * as server from '../../src/postgres/doctor/server.ts';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { openSession } from '../support/plain-sql.ts';

let url = '';
let pools: pg.Pool[];
let owner: pg.PoolClient;
let service: pg.PoolClient;
let sessions: Sessions;
beforeAll(async () => {
  url = await createDatabase();
  pools = [openDatabase(url, 1), openDatabase(serviceUrl(url), 1)];
  [owner, service] = (await Promise.all(pools.map((pool) => pool.connect()))) as [
    pg.PoolClient,
    pg.PoolClient,
  ];
  sessions = { service, owner };
});
afterAll(async () => {
  for (const client of [owner, service]) client.release();
  await Promise.all(pools.map((pool) => pool.end()));
});

const states = (findings: Finding[]) => findings.map(({ state }) => state);
const first = (findings: Finding[]) =>
  findings[0] as { state: string; message: string; remedy: string };

/** A session whose answers are made up, for a server that a test can't have. */
const answering = (...rows: object[]): Sessions => {
  const query = async () => ({ rows });
  const session = { query } as unknown as pg.Client;
  return { service: session, owner: session };
};

test('every check passes on a migrated ledger', async () => {
  const findings = [
    ...(await checkLocks(sessions)),
    ...(await checkRole(sessions)),
    ...(await checkRights(sessions)),
    ...(await checkSchema(sessions)),
    ...(await checkGuards(sessions)),
    ...(await checkIndexes(sessions)),
    ...(await checkClock(sessions, () => new Date())),
    ...(await server.checkVersion(sessions)),
    ...(await server.checkPrimary(sessions)),
    ...(await server.checkEncoding(sessions)),
    ...(await server.checkVacuum(sessions)),
    ...(await server.checkWraparound(sessions)),
    ...(await server.checkSize(sessions)),
    ...(await checkSettings(sessions)),
    ...(await checkPooler(service, sessions)),
  ];
  expect(findings.filter(({ state }) => state !== 'ok')).toEqual([]);
});

describe('sessions of others', () => {
  test('a lock that keeps everyone out is named at once, and who waits for it', async () => {
    const holder = await openSession(url);
    const [{ pid } = { pid: 0 }] = (
      await holder.query<{ pid: number }>('select pg_backend_pid() as pid')
    ).rows;
    await holder.query('begin; lock table outlooks in access exclusive mode');
    expect(first(await checkLocks(sessions))).toMatchObject({
      state: 'warn',
      message: `Process ${pid} locks everyone out of the table outlooks (ACCESS EXCLUSIVE).`,
      remedy: expect.stringContaining(`pg_terminate_backend(${pid})`) as string,
    });
    const waiter = await openSession(url);
    const waiting = waiter.query('select from outlooks');
    await expect
      .poll(async () => first(await checkLocks(sessions, 0)).message)
      .toContain(`for a lock that process ${pid} holds`);
    // As the service's role as well, which may not see what others do.
    expect(first(await checkLocks({ service, owner: service }, 0)).message).toContain(
      `${pid} holds`,
    );
    await holder.query('rollback');
    await waiting;
    await Promise.all([holder.end(), waiter.end()]);
  });

  test('a transaction that is open for long is named, and a role that may not see says so', async () => {
    const idle = await openSession(url);
    await idle.query(
      `set application_name = 'a dump'; begin isolation level repeatable read; select`,
    );
    const [finding] = await checkTransactions(sessions, 0);
    expect(finding?.message).toMatch(
      /^Process \d+ \(a dump, role \w+\) has had .* \(idle in transaction\)/,
    );
    expect(states(await checkTransactions({ service, owner: service }, 3_600))).toEqual([
      'unknown',
    ]);
    expect(states(await checkTransactions(sessions, 3_600))).toEqual(['ok']);
    await idle.end();
  });

  test('a prepared transaction and an inactive slot are named with what ends them', async () => {
    const prepared = answering({ gid: `'x''y'`, seconds: 99 });
    expect(first(await checkPrepared(prepared)).remedy).toContain(`ROLLBACK PREPARED 'x''y'`);
    expect(states(await checkPrepared(sessions))).toEqual(['ok']);
    const name = `doctor_${process.pid}`;
    await owner.query('select pg_create_physical_replication_slot($1, true)', [name]);
    try {
      const found = (await checkSlots(sessions)).find(({ message }) => message.includes(name));
      expect(found).toMatchObject({ state: 'warn' });
      expect(found?.message).toMatch(/has no reader and keeps .* write-ahead log/);
    } finally {
      await owner.query('select pg_drop_replication_slot($1)', [name]);
    }
  });

  test('too few connections fail', async () => {
    expect(states(await checkConnections(sessions, 1))).toContain('ok');
    expect(first(await checkConnections(sessions, 100_000))).toMatchObject({ state: 'fail' });
    await owner.query(`alter database ${new URL(url).pathname.slice(1)} connection limit 5`);
    const found = await checkConnections(sessions, 11);
    expect(first(found).message).toBe(
      'The database takes 5 connections, but an instance opens up to 11.',
    );
  });
});

describe('changes by the owner of the tables', () => {
  const CHANGES: [string, string, string, (s: Sessions) => Promise<Finding[]>, string][] = [
    [
      'a trigger that is off',
      'alter table outlook_versions disable trigger user',
      'alter table outlook_versions enable trigger user',
      checkGuards,
      'fail',
    ],
    [
      'foreign keys that are off',
      'alter table events disable trigger all',
      'alter table events enable trigger all',
      checkGuards,
      'fail',
    ],
    [
      'an unlogged table',
      'create unlogged table extra (id int)',
      'drop table extra',
      checkGuards,
      'fail',
    ],
    [
      'autovacuum off for a table',
      'alter table events set (autovacuum_enabled = off)',
      'alter table events reset (autovacuum_enabled)',
      server.checkVacuum,
      'warn',
    ],
  ];
  test.each(CHANGES)('%s is found', async (_, change, undo, check, state) => {
    await owner.query(change);
    expect(first(await check(sessions)).state).toBe(state);
    await owner.query(undo);
    expect(states(await check(sessions))).toEqual(['ok']);
  });

  test('each right that is revoked is named', async () => {
    const role = new URL(serviceUrl(url)).username;
    const revoked = [
      'update ("position") on table public.events',
      'delete on table public.webhooks',
      'usage on sequence public.frameworks_id_seq',
      'insert on table public.outlook_versions',
    ];
    await owner.query(revoked.map((right) => `revoke ${right} from ${role}`).join(';'));
    const { message } = first(await checkRights(sessions));
    await owner.query(revoked.map((right) => `grant ${right} to ${role}`).join(';'));
    expect(message).toContain('update ("position") on table public.events');
    for (const right of revoked.slice(1)) expect(message).toContain(right);
    expect(states(await checkRights(sessions))).toEqual(['ok']);
  });

  test('an index whose build was cut off is found', async () => {
    await owner.query('create table twice (id int); insert into twice values (1), (1)');
    await expect(owner.query('create unique index concurrently cut on twice (id)')).rejects.toThrow(
      'could not create unique index',
    );
    expect(first(await checkIndexes(sessions)).message).toContain('The index cut is invalid');
    await owner.query('drop table twice');
  });

  test('a role that owns the tables is a warning, or a fault where the owner is another', async () => {
    expect(states(await checkRole({ service: owner, owner }))).toEqual(['warn']);
    expect(first(await checkRole({ service: owner, owner: service }))).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('is a superuser') as string,
    });
  });
});

describe('the server', () => {
  test.each([
    [{ version: '14.2', number: 140_002 }, server.checkVersion, 'fail'],
    [{ version: '19beta1', number: 190_000 }, server.checkVersion, 'warn'],
    [{ isStandby: true, isReadOnly: true }, server.checkPrimary, 'fail'],
    [{ isStandby: false, isReadOnly: true }, server.checkPrimary, 'fail'],
    [{ encoding: 'LATIN1' }, server.checkEncoding, 'fail'],
    [
      { database: 'l', provider: 'libc', locale: 'de_DE.UTF-8', recorded: '2.31', actual: '2.36' },
      server.checkCollation,
      'warn',
    ],
    [
      { fsync: 'off', fullPageWrites: 'on', commit: 'on', checksums: 'on' },
      server.checkDurability,
      'fail',
    ],
    [
      { fsync: 'on', fullPageWrites: 'on', commit: 'off', checksums: 'on' },
      server.checkDurability,
      'fail',
    ],
    [
      { fsync: 'on', fullPageWrites: 'off', commit: 'on', checksums: 'on' },
      server.checkDurability,
      'warn',
    ],
    [
      { fsync: 'on', fullPageWrites: 'on', commit: 'on', checksums: 'off' },
      server.checkDurability,
      'warn',
    ],
    [{ mode: 'off', isFailing: false, failedWal: null }, server.checkArchive, 'warn'],
    [
      { mode: 'on', isFailing: true, failedWal: '000000010000000000000001' },
      server.checkArchive,
      'fail',
    ],
    [{ mode: 'on', isFailing: false, failedWal: null }, server.checkArchive, 'ok'],
    [{ names: '', commit: 'on', standbys: 0 }, server.checkStandbys, 'ok'],
    [{ names: '', commit: 'on', standbys: 2 }, server.checkStandbys, 'warn'],
    [{ names: 'b', commit: 'on', standbys: 0 }, server.checkStandbys, 'fail'],
    [{ names: 'b', commit: 'local', standbys: 1 }, server.checkStandbys, 'warn'],
    [{ names: 'b', commit: 'on', standbys: 1 }, server.checkStandbys, 'ok'],
    [{ age: 600_000_000 }, server.checkWraparound, 'warn'],
    [{ age: 1_600_000_000 }, server.checkWraparound, 'fail'],
  ] as [object, (s: Sessions) => Promise<Finding[]>, string][])('%j', async (row, check, state) => {
    const finding = first(await check(answering(row)));
    expect(finding.state).toBe(state);
    expect(finding.remedy ?? 'None.').toMatch(/^[A-Z].*\.$/);
  });

  test('its clock may be wrong by seconds, or by more than a minute', async () => {
    const shifted = (by: number) => () => new Date(Date.now() + by);
    expect(states(await checkClock(sessions, shifted(10_000)))).toEqual(['warn']);
    expect(states(await checkClock(sessions, shifted(-90_000)))).toEqual(['fail']);
  });

  test('the connection to it may be plain, on this machine or not', () => {
    const over = (remoteAddress: string | undefined) =>
      checkTransport({ connection: { stream: { remoteAddress } } } as never);
    expect(states(over(undefined))).toEqual(['ok']);
    expect(states(over('127.0.0.1'))).toEqual(['ok']);
    expect(states(over('::1'))).toEqual(['ok']);
    expect(first(over('192.0.2.1'))).toMatchObject({
      state: 'warn',
      remedy: expect.stringContaining('sslmode=verify-full') as string,
    });
  });

  test('its role may have settings that do harm, or have no effect', async () => {
    const name = new URL(url).pathname.slice(1);
    await owner.query(`alter database ${name} set datestyle to 'German';
      alter database ${name} set zero_damaged_pages to on; alter database ${name} set work_mem to '8MB'`);
    const faults = await checkSettings(sessions);
    expect(faults).toEqual([
      {
        state: 'warn',
        message: 'The setting DateStyle = German has no effect on this service.',
        remedy: `Run: ALTER DATABASE ${name} RESET DateStyle;`,
      },
      {
        state: 'fail',
        message: 'The setting zero_damaged_pages = on takes damaged pages for empty ones.',
        remedy: `Run: ALTER DATABASE ${name} RESET zero_damaged_pages;`,
      },
    ]);
    for (const { remedy } of faults as { remedy: string }[])
      await owner.query(remedy.slice('Run: '.length));
    expect(states(await checkSettings(sessions))).toEqual(['ok']);
  });
});

test('a database without a ledger lacks no rights', async () => {
  const empty = openDatabase(await createDatabase({ empty: true }), 1);
  expect(states(await checkRights({ service: empty, owner: empty }))).toEqual(['ok']);
  await empty.end();
});
