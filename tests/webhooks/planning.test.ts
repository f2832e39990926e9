import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  type Claim,
  claimDeliveries,
  type Outcome,
  recordOutcome,
} from '../../src/webhooks/deliveries.ts';
import { planDeliveries } from '../../src/webhooks/plan-deliveries.ts';
import { changeWebhook, createWebhook, deleteWebhook } from '../../src/webhooks/webhooks.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { sequenceEvents } from '../../src/postgres/outbox.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { publish } from '../support/outlooks.ts';
import { openSession } from '../support/plain-sql.ts';

const OUTLOOKS = 6;
const NOW = new Date('2026-11-20T16:00:00.000Z');
const MOST = { perWebhook: 8, total: 64 };

let ledger: TestLedger;
let writer: pg.Client;
beforeAll(async () => {
  ledger = await startLedger({ samples: true });
  await publish(ledger, ...Array.from({ length: OUTLOOKS - 1 }, (_, index) => `case-${index}`));
  writer = await openSession(ledger.url);
  // Events without versions.
  await writer.query('set session_replication_role = replica');
});
afterAll(async () => {
  await writer.end();
  await ledger.close();
});

let webhook = '';
beforeEach(async () => {
  webhook = await newWebhook();
});
afterEach(() => ledger.pool.query('delete from webhooks'));

async function newWebhook(): Promise<string> {
  const given = {
    url: 'https://a.example',
    format: 'json' as const,
    desk: null,
    kinds: null,
    outlook: null,
    description: null,
  };
  const made = await inTransaction(ledger.pool, (session) => createWebhook(session, given, NOW));
  return made.webhook.id;
}

/** Adds events, to the outlooks by turns. */
async function addEvents(howMany: number): Promise<void> {
  await writer.query(
    `insert into events (kind, outlook_id, version, data, recorded_at)
     select 'evidence.added', 1 + n % ${OUTLOOKS}, 1, '{}', $2 from generate_series(1, $1) n`,
    [howMany, NOW],
  );
}

const plan = async () => {
  await sequenceEvents(ledger.servicePool);
  return planDeliveries(ledger.servicePool, NOW);
};
const claim = (now = NOW, most = MOST, busy = new Map<string, number>()) =>
  claimDeliveries(
    ledger.servicePool,
    { now, leaseUntil: new Date(now.getTime() + 1_000) },
    busy,
    most,
  );
const outcome = (change: Partial<Outcome> = {}): Outcome => ({
  milliseconds: 1,
  status: 204,
  fault: null,
  isGone: false,
  retryAfter: null,
  ...change,
});
const succeed = (one: Claim) =>
  recordOutcome(ledger.pool, one, outcome(), { now: NOW, again: null });
const fail = (one: Claim, again = NOW) =>
  recordOutcome(ledger.pool, one, outcome({ status: 500, fault: 'F' }), { now: NOW, again });

async function deliveries(
  id = webhook,
): Promise<{ id: string; position: number; outlook: number; due: boolean; delivered: boolean }[]> {
  const { rows } = await ledger.pool.query<{
    id: string;
    position: number;
    outlook: number;
    due: boolean;
    delivered: boolean;
  }>(
    `select id, position, outlook_id as outlook, due_at is not null as due,
       delivered_at is not null as delivered
       from webhook_deliveries where webhook_id = $1 order by position`,
    [id],
  );
  return rows;
}

test('missed events are planned in steps, each once, and the first of an outlook is due', async () => {
  const other = await newWebhook();
  await addEvents(1_999);
  const { rows: before } = await ledger.pool.query<{ last: number }>(
    'select position as last from webhooks where id = $1',
    [webhook],
  );
  await sequenceEvents(ledger.servicePool); // a thousand at once get their places
  const steps: number[] = [];
  for (let isMore = true; isMore;) {
    isMore = await plan();
    steps.push((await deliveries()).length);
    expect((await deliveries(other)).length).toBe(steps.at(-1)); // neither waits for the other
  }
  expect(steps).toEqual([500, 1_000, 1_500, 1_999]);
  const all = await deliveries();
  const first = (before[0]?.last ?? 0) + 1;
  expect(all.map(({ position }) => position)).toEqual(all.map((_, index) => first + index));
  expect(all.map(({ due }) => due)).toEqual(all.map((_, index) => index < OUTLOOKS));
});

test('several instances that plan, deliver, fail and vanish at once deliver everything in order', async () => {
  const claimed: string[] = [];
  const lost: string[] = [];
  let isWritten = false;
  const random = (most: number) => Math.floor(Math.random() * most);
  const write = async () => {
    for (let turn = 0; turn < 60; turn += 1) {
      await addEvents(1 + random(10));
      await delay(random(10));
    }
    isWritten = true;
  };
  let clock = NOW.getTime();
  const instance = async () => {
    for (;;) {
      await plan();
      const claims = await claim(new Date((clock += 1)), { perWebhook: 2, total: 2 });
      claimed.push(...claims.map(({ id }) => id));
      await Promise.all(
        claims.map(async (one) => {
          await delay(random(5));
          const way = Math.random();
          if (way < 0.1) {
            lost.push(one.id);
            clock += 1_000; // for long enough
          } else if (way < 0.3) await fail(one);
          else await succeed(one);
        }),
      );
      const rest = await ledger.pool.query(
        `select from events where position is null and outlook_id is not null union all
         select from webhooks where position < (select max(position) from events) union all
         select from webhook_deliveries where delivered_at is null limit 1`,
      );
      if (isWritten && rest.rowCount === 0) return;
    }
  };
  await Promise.all([write(), ...Array.from({ length: 4 }, instance)]);
  const all = await deliveries();
  expect(all.length).toBeGreaterThan(60);
  expect(all.filter(({ delivered }) => !delivered)).toEqual([]);
  expect(lost.length).toBeGreaterThan(0);
  expect(new Set(claimed)).toEqual(new Set(all.map(({ id }) => id)));
  const byId = new Map(all.map((one) => [one.id, one]));
  const order = claimed.flatMap((id) => byId.get(id) ?? []);
  for (const subject of new Set(order.map(({ outlook }) => outlook))) {
    // The same may be begun again, but never one before.
    const own = order.filter(({ outlook }) => outlook === subject);
    const positions = own.map(({ position }) => position);
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
  }
});

test('no other instance claims a claimed delivery until the lease ends', async () => {
  await addEvents(OUTLOOKS);
  await plan();
  const first = await claim();
  expect(first.map(({ attempt }) => attempt)).toEqual(Array(OUTLOOKS).fill(1));
  expect(await claim()).toEqual([]);
  expect(await claim(new Date(NOW.getTime() + 999))).toEqual([]);
  const again = await claim(new Date(NOW.getTime() + 1_000));
  expect(new Map(again.map(({ id, attempt }) => [id, attempt]))).toEqual(
    new Map(first.map(({ id }) => [id, 2])),
  );
});

test('the outcome of an attempt that was thought lost counts if it is a success', async () => {
  await addEvents(OUTLOOKS);
  await plan();
  const [late, failed] = await claim();
  const again = await claim(new Date(NOW.getTime() + 1_000));
  if (!late || !failed) throw new Error('nothing was due');
  await succeed(late);
  await fail(failed);
  const state = async (id: string) => {
    const { rows } = await ledger.pool.query<{ delivered: boolean; due: Date | null }>(
      'select delivered_at is not null as delivered, due_at as due from webhook_deliveries where id = $1',
      [id],
    );
    return rows[0];
  };
  expect(await state(late.id)).toEqual({ delivered: true, due: null });
  // The instance that has it now continues undisturbed.
  const lease = new Date(NOW.getTime() + 2_000);
  expect(await state(failed.id)).toEqual({ delivered: false, due: lease });
  for (const one of again) await succeed(one);
  expect((await deliveries()).filter(({ delivered }) => !delivered)).toEqual([]);
});

test('enabling makes waiting deliveries due at once, except those under way', async () => {
  await addEvents(OUTLOOKS);
  await plan();
  const [failed, ...underWay] = await claim();
  if (!failed) throw new Error('nothing was due');
  await fail(failed, new Date(NOW.getTime() + 3_600_000));
  await inTransaction(ledger.pool, (session) =>
    changeWebhook(session, webhook, { enabled: true }, NOW),
  );
  expect((await claim()).map(({ id, attempt }) => [id, attempt])).toEqual([[failed.id, 2]]);
  expect(underWay.length).toBe(OUTLOOKS - 1);
});

test('the limits hold for each webhook and in total, and idle webhooks come first', async () => {
  const other = await newWebhook();
  await addEvents(OUTLOOKS);
  await plan();
  const busy = new Map([[webhook, 2]]);
  const taken = await claim(NOW, { perWebhook: 3, total: 6 }, busy);
  const of = (id: string) => taken.filter(({ webhookId }) => webhookId === id).length;
  expect([of(webhook), of(other)]).toEqual([1, 3]);
  const rest = await claim(NOW, { perWebhook: 3, total: 2 }, busy);
  expect(rest.map(({ webhookId }) => webhookId)).toEqual([other, other]);
});

test('finishing a delivery sees the events that are planned after it in the meantime', async () => {
  await addEvents(OUTLOOKS);
  await plan();
  const [one] = await claim();
  if (!one) throw new Error('nothing was due');
  await addEvents(OUTLOOKS);
  await sequenceEvents(ledger.servicePool);
  const planner = await openSession(ledger.url);
  await planner.query('begin');
  await planner.query('select from webhooks where id = $1 for no key update', [webhook]);
  await planner.query(
    `insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at)
     select $1, e.position, e.outlook_id, $2 from events e, webhook_deliveries d
      where d.id = $3 and e.outlook_id = d.outlook_id and e.position > d.position
      order by e.position limit 1`,
    [webhook, NOW, one.id],
  );
  const finished = succeed(one);
  const waits = async () => {
    const { rowCount } = await ledger.pool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rowCount;
  };
  await expect.poll(waits).toBe(1);
  await planner.query('commit');
  await planner.end();
  await finished;
  const next = (await deliveries()).filter(({ delivered }) => !delivered);
  expect(next.filter(({ due }) => due).length).toBe(OUTLOOKS);
});

test('nothing is recorded for a webhook that was deleted in the meantime', async () => {
  await addEvents(1);
  await plan();
  const [one] = await claim();
  if (!one) throw new Error('nothing was due');
  await deleteWebhook(ledger.pool, webhook);
  expect(await fail(one)).toBeNull();
  expect(await deliveries()).toEqual([]);
});
