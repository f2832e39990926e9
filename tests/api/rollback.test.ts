import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { hasPlace } from '../../src/postgres/outbox.ts';
import { ChangeFeed } from '../../src/postgres/change-feed.ts';
import { verifyLedger } from '../../src/ledger/verification.ts';
import { pino } from 'pino';
import { connect, type EventClient } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { openSession } from '../support/plain-sql.ts';
import { Receiver, subscribe } from '../support/receiver.ts';
import { createOutlook, patchFramework } from '../support/requests.ts';
import { type Snapshot, takeSnapshot } from '../support/rollback.ts';

// The ledger goes back to an earlier state under a running service: a standby that lacks the last commits became the
// primary, or a backup was restored. Ids, positions and numbers of versions are given again.

const ALL = '/v1/events';
const OUTLOOK = `/v1/outlooks/${SLUG}`;

type Read = { title: string; version: number; frameworkHash: string; hash: string };

let ledger: TestLedger;
let origin: string;
let others: { app: FastifyInstance; feed: ChangeFeed }[];
let clients: EventClient[];
let receiver: Receiver;
beforeEach(async () => {
  receiver = await new Receiver().open();
  ledger = await startLedger({ webhookPrivateAddresses: true });
  origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  [others, clients] = [[], []];
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.leave()));
  for (const { app, feed } of others) {
    await app.close();
    await feed.close();
  }
  await ledger.close();
  await receiver.kill();
});

/** Another instance on the same ledger. */
async function startOther(): Promise<FastifyInstance> {
  const feed = new ChangeFeed(ledger.servicePool, () => {});
  await feed.start();
  const app = await buildApp({
    config: readConfig({ RATE_LIMIT_PER_ADDRESS: '0', WORK_PER_ADDRESS: '0' }),
    pool: ledger.servicePool,
    feed,
    now: () => ledger.clock.now,
    logger: pino({ level: 'silent' }),
  });
  others.push({ app, feed });
  return app;
}

const follow = async (lastEventId = '', path = ALL) => {
  const client = await connect(origin + path, { lastEventId });
  clients.push(client);
  return client;
};
const tick = () => void (ledger.clock.now = new Date(ledger.clock.now.getTime() + 1_000));
let revisions = 0;
async function revise(app = ledger.app): Promise<Read> {
  tick();
  const revised = await app.inject({
    method: 'POST',
    url: `${OUTLOOK}/revisions`,
    headers: { authorization: `Bearer ${ledger.keys.analyst}` },
    payload: distinctRevision((revisions += 1)),
  });
  expect(revised.statusCode, revised.body).toBe(201);
  return revised.json<Read>();
}
async function reword(title: string): Promise<Read> {
  tick();
  const patched = await patchFramework(ledger, { title, rationale: 'Clearer.' });
  expect(patched.statusCode, patched.body).toBe(201);
  return patched.json<Read>();
}
const read = async (url = OUTLOOK) => (await ledger.call({ url })).json<Read>();
const faults = async () => (await verifyLedger(ledger.pool)).faults;
const heard = async () => {
  const { pool, feed } = ledger;
  const isHeard = async () => {
    const { rows } = await pool.query('select max(position) as last from events');
    return rows[0]?.last === feed.position;
  };
  await expect.poll(isHeard).toBe(true);
};
const noticed = async (times = 1) => {
  await expect.poll(() => ledger.feed.resets).toBe(times);
};

describe('frameworks', () => {
  test('with an id that was given before are never mixed up', async () => {
    const snapshot = await takeSnapshot(ledger);
    await reword('TEXT A');
    expect((await read()).title).toBe('TEXT A');
    await snapshot.goBack();

    // At once, before anything can notice.
    const patched = await reword('TEXT B');
    expect(patched.title).toBe('TEXT B');
    expect((await read()).title).toBe('TEXT B');
    const revised = await revise();
    expect([revised.title, revised.frameworkHash]).toEqual(['TEXT B', patched.frameworkHash]);
    expect((await read(`${OUTLOOK}/versions/2`)).title).toBe('TEXT B');
    expect(await faults()).toEqual([]);
  });

  test('of a transaction that ended without a commit are never served', async () => {
    const owner = await openSession(ledger.url);
    await owner.query('begin; lock table audit_entries in access exclusive mode');
    const sequence = `pg_get_serial_sequence('frameworks', 'id')`;
    const { rows } = await owner.query(
      `select last_value + 1 as next from frameworks_id_seq, nextval(${sequence})`,
    );
    const undone = patchFramework(ledger, { title: 'NEVER COMMITTED', rationale: 'Clearer.' });
    const waits = `select pid from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%audit_entries%'`;
    await expect.poll(async () => (await ledger.pool.query(waits)).rowCount).toBe(1);
    await ledger.pool.query(`select pg_terminate_backend(pid) from (${waits}) waiting`);
    expect((await undone).statusCode).toBe(503);
    await owner.query('rollback');
    // As after a crash, which forgets the ids that were drawn.
    await owner.query(`select setval(${sequence}, $1)`, [rows[0].next]);
    await owner.end();

    const patched = await reword('COMMITTED');
    expect(patched.title).toBe('COMMITTED');
    expect((await read()).title).toBe('COMMITTED');
    expect((await revise()).frameworkHash).toBe(patched.frameworkHash);
    expect(await faults()).toEqual([]);
  });
});

test('a revision that waits for a new framework is of that framework', async () => {
  const owner = await openSession(ledger.url);
  await owner.query('begin; lock table audit_entries in access exclusive mode');
  const waiting = () =>
    ledger.pool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
  const patching = reword('Reworded');
  await expect.poll(async () => (await waiting()).rowCount).toBe(1);
  const revising = revise();
  await expect.poll(async () => (await waiting()).rowCount).toBe(2);
  await owner.query('rollback');
  await owner.end();
  const [patched, revised] = await Promise.all([patching, revising]);
  expect([patched.version, revised.version]).toEqual([2, 3]);
  expect([revised.frameworkHash, revised.title]).toEqual([patched.frameworkHash, 'Reworded']);
});

test('refusals of an analyst whom the ledger lost are still recorded', async () => {
  const snapshot = await takeSnapshot(ledger);
  const issued = await ledger.call({
    method: 'POST',
    url: '/v1/keys',
    as: 'admin',
    payload: { name: 'Lost desk', role: 'analyst' },
  });
  const { key } = issued.json<{ key: string }>();
  const headers = { authorization: `Bearer ${key}` };
  expect((await ledger.call({ url: '/v1/keys', headers })).statusCode).toBe(403);
  await snapshot.goBack();
  expect((await ledger.call({ url: '/v1/keys', headers })).statusCode).toBe(401);
  await ledger.app.close();
  const { rows } = await ledger.pool.query(
    `select status, analyst_id from audit_entries where kind = 'refusal' order by status`,
  );
  expect(rows).toEqual([
    { status: 401, analyst_id: null },
    { status: 403, analyst_id: null },
  ]);
});

describe('an instance', () => {
  let snapshot: Snapshot;
  beforeEach(async () => {
    await startOther();
    await revise();
    await heard();
    snapshot = await takeSnapshot(ledger);
    for (let turn = 0; turn < 4; turn += 1) await revise();
    await heard();
    await read(); // which caches it
  });

  test('serves what the ledger has now, and then what other instances publish', async () => {
    expect((await read()).version).toBe(6);
    await snapshot.goBack();
    await expect.poll(async () => (await read()).version).toBe(2);
    const published = await revise(others[0]?.app);
    expect(published.version).toBe(3);
    await expect.poll(async () => (await read()).hash).toBe(published.hash);
    expect((await ledger.call({ url: `${OUTLOOK}/versions/4` })).statusCode).toBe(404);
    expect(await faults()).toEqual([]);
  });

  test('notices also if the ledger has as many events as before', async () => {
    await snapshot.goBack();
    for (let turn = 0; turn < 6; turn += 1) await revise(others[0]?.app);
    await noticed();
    await expect.poll(async () => (await read()).version).toBe(8);
    expect(await read(`${OUTLOOK}/versions/4`)).toEqual(
      (await others[0]?.app.inject(`${OUTLOOK}/versions/4`))?.json(),
    );
  });

  test('does not say that it is current before it noticed', async () => {
    await snapshot.goBack();
    const { changeFeed } = (await ledger.call({ url: '/readyz' })).json<{ changeFeed: string }>();
    const { place } = ledger.feed;
    const isInLedger = place !== null && (await hasPlace(ledger.pool, place));
    expect(changeFeed === 'away' || isInLedger).toBe(true);
    await noticed();
    await expect
      .poll(async () => (await ledger.call({ url: '/readyz' })).json<{ changeFeed: string }>())
      .toMatchObject({ changeFeed: 'current' });
  });

  test('does not reset where the ledger was restored as it was', async () => {
    const same = await takeSnapshot(ledger);
    await same.goBack();
    await ledger.feed.refresh();
    await revise();
    await heard();
    expect(ledger.feed.resets).toBe(0);
  });

  test('goes on from nothing', async () => {
    const pool = ledger.pool;
    await pool.query(
      `begin; set local session_replication_role = replica;
       truncate webhook_deliveries, webhook_attempts, events; commit`,
    );
    await noticed();
    await expect.poll(() => ledger.feed.position).toBe(0);
    await revise();
    await expect.poll(() => ledger.feed.position).toBe(1);
    expect(ledger.feed.resets).toBe(1);
  });
});

describe('a stream', () => {
  const RESET = /^2-[0-9a-f]{8}$/;
  let snapshot: Snapshot;
  beforeEach(async () => {
    await revise();
    await heard();
    snapshot = await takeSnapshot(ledger);
  });

  test('ends; its client learns that its last event is gone, and follows what comes', async () => {
    const client = await follow('0');
    const one = await follow('0', `${OUTLOOK}/events`);
    for (let turn = 0; turn < 3; turn += 1) await revise();
    await Promise.all([client.received(5), one.received(5)]);
    const lost = client.lastEventId;
    expect(lost).toMatch(/^5-/);
    await snapshot.goBack();
    for (const each of [client, one]) {
      expect(await each.end).toBe('ended');
      await each.connect();
      const told = (await each.received(6)).at(-1);
      expect(told).toEqual({
        id: expect.stringMatching(RESET),
        event: 'stream.reset',
        data: { lastEventId: lost },
      });
    }
    const { version } = await revise();
    for (const each of [client, one]) {
      expect((await each.received(7)).at(-1)?.data).toMatchObject({ slug: SLUG, version });
      expect(each.lastEventId).toMatch(/^3-/);
      expect(each.lastEventId).not.toBe(lost);
    }
  });

  test('whose last event is still there resumes without a word', async () => {
    const client = await follow('0');
    await client.received(2);
    const { lastEventId } = client;
    await client.leave();
    await revise();
    await heard();
    await snapshot.goBack();
    await noticed();
    await client.connect();
    const { version } = await revise();
    const received = await client.received(3);
    expect(lastEventId).toMatch(RESET);
    expect(received.at(-1)).toMatchObject({
      event: 'outlook.version.published',
      data: { version },
    });
  });

  test.each([
    ['of a later event', '9'],
    ['of a later event of any ledger', '9-5f0c91ab'],
    ['of another event', '2-00000000'],
    ['of another start', '0-5f0c91ab'],
    ['beyond all', '999999999999999'],
  ])('with an id %s begins with a reset', async (_, id) => {
    for (const path of [ALL, `${OUTLOOK}/events`]) {
      for (const client of [
        await follow(id, path),
        await follow('', `${path}?lastEventId=${id}`),
      ]) {
        expect(await client.received(1)).toEqual([
          { id: expect.stringMatching(RESET), event: 'stream.reset', data: { lastEventId: id } },
        ]);
      }
    }
    await revise();
    for (const client of clients) {
      expect((await client.received(2))[1]?.id).toMatch(/^3-[0-9a-f]{8}$/);
    }
  });

  test('is told also by an instance that does not follow', async () => {
    const client = await follow();
    await revise();
    await client.received(1);
    await client.leave();
    await ledger.feed.close();
    await snapshot.goBack();
    await client.connect();
    expect((await client.received(2))[1]).toMatchObject({ event: 'stream.reset' });
    expect(client.lastEventId).toMatch(RESET);
  });

  test('gets nothing of what an instance remembers once it was told', async () => {
    const client = await follow();
    for (let turn = 0; turn < 5; turn += 1) await revise();
    await client.received(5);
    await client.leave();
    await snapshot.goBack();
    await client.connect(); // at once
    const told = (await client.received(6))[5];
    expect(told).toMatchObject({ event: 'stream.reset', id: expect.stringMatching(RESET) });
    const { version } = await revise();
    expect((await client.received(7))[6]).toMatchObject({
      id: expect.stringMatching(/^3-/),
      data: { version },
    });
  });

  test('does not learn of a lost outlook, which is not there', async () => {
    await createOutlook(ledger, { slug: 'lost' });
    const client = await follow('', '/v1/outlooks/lost/events');
    await snapshot.goBack();
    expect(await client.end).toBe('ended');
    expect((await ledger.call({ url: '/v1/outlooks/lost/events' })).statusCode).toBe(404);
  });
});

describe('webhooks', () => {
  test('get every event that the ledger has, whatever an instance knew before', async () => {
    await subscribe(ledger, receiver.url);
    const snapshot = await takeSnapshot(ledger);
    const versions = () => receiver.accepted.map(({ payload }) => payload.data.version);
    for (let turn = 0; turn < 3; turn += 1) await revise();
    await expect.poll(versions).toEqual([2, 3, 4]);
    await snapshot.goBack();
    await revise();
    await expect.poll(versions).toEqual([2, 3, 4, 2]);
    // An instance that went on from where it was would plan none of these.
    for (let turn = 0; turn < 2; turn += 1) await revise();
    await expect.poll(versions).toEqual([2, 3, 4, 2, 3, 4]);
  });
});
