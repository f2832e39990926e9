import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { JOURNAL } from '../../src/postgres/migrations.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { publish } from '../support/outlooks.ts';
import { openSession, refusal } from '../support/plain-sql.ts';

const OUTLOOKS = 4;

let ledger: TestLedger;
let sessions: pg.Client[];
beforeAll(async () => {
  ledger = await startLedger({ followsEvents: false });
  await publish(ledger, ...Array.from({ length: OUTLOOKS - 1 }, (_, index) => `outlook-${index}`));
});
afterAll(() => ledger.close());
beforeEach(() => void (sessions = []));
afterEach(async () => {
  await Promise.all(sessions.map((session) => session.end()));
});

async function open(): Promise<pg.Client> {
  const session = await openSession(ledger.url);
  sessions.push(session);
  return session;
}

const EVENT = `insert into events (kind, outlook_id, version, data, recorded_at)
  select 'evidence.added', id, latest_version, '{}', now() from outlooks where id = $1 returning id`;

/** Adds an event of the outlook with this number. */
async function addEvent(session: pg.ClientBase | pg.Pool, outlook = 1): Promise<number> {
  const { rows } = await session.query<{ id: number }>(EVENT, [outlook]);
  return rows[0]?.id ?? NaN;
}

/** Ends so many transactions that the watermark moves. */
async function passTransactions(session: pg.ClientBase | pg.Pool): Promise<void> {
  await session.query(
    `do $$ begin for turn in 1 .. 150 loop perform pg_current_xact_id(); commit; end loop; end $$`,
  );
}

/** Whether all transactions before the newest event are over. Those of other test files' databases count, too. */
async function isNewestPassed(): Promise<boolean> {
  const { rows } = await ledger.pool.query<{ isPassed: boolean }>(
    'select pg_snapshot_xmin(pg_current_snapshot()) > max(transaction_id) as "isPassed" from events',
  );
  return rows[0]?.isPassed ?? false;
}

const sequence = (session: pg.ClientBase | pg.Pool) => session.query('select sequence_events()');

async function watermark(): Promise<bigint> {
  const { rows } = await ledger.pool.query<{ at: string }>(
    'select transaction_id::text as at from event_watermark',
  );
  return BigInt(rows[0]?.at ?? 0);
}

async function positions(...ids: number[]): Promise<(number | null)[]> {
  const { rows } = await ledger.pool.query<{ position: number | null }>(
    'select position from unnest($1::bigint[]) given (id) join events using (id) order by id',
    [ids],
  );
  return rows.map(({ position }) => position);
}

test('an event of a transaction that was open when the watermark moved still gets its position', async () => {
  const late = await open();
  await late.query('begin');
  const [drawn, own] = [await addEvent(late, 2), await addEvent(late, 3)];
  const before = await watermark();
  await addEvent(ledger.pool);
  await passTransactions(ledger.pool);
  await sequence(ledger.pool);
  await addEvent(ledger.pool);
  await sequence(ledger.pool);
  await late.query('commit');
  expect(await positions(drawn, own)).toEqual([null, null]);
  await sequence(ledger.pool);
  const placed = await positions(drawn, own);
  expect(placed).toEqual([placed[0], (placed[0] ?? NaN) + 1]);

  await passTransactions(ledger.pool);
  await addEvent(ledger.pool);
  await sequence(ledger.pool);
  expect(await watermark()).toBeGreaterThan(before); // else this has shown nothing
});

test('an event whose id was drawn long before its transaction began gets its position', async () => {
  const { rows } = await ledger.pool.query<{ id: number }>(
    `select nextval(pg_get_serial_sequence('events', 'id')) as id`,
  );
  const id = rows[0]?.id ?? NaN;
  for (let turn = 0; turn < 2; turn += 1) {
    await addEvent(ledger.pool);
    await passTransactions(ledger.pool);
    await sequence(ledger.pool);
  }
  await ledger.pool.query(
    `insert into events (id, kind, outlook_id, version, data, recorded_at) overriding system value
     select $1, 'evidence.added', id, latest_version, '{}', now() from outlooks where id = 2`,
    [id],
  );
  await sequence(ledger.pool);
  expect(await positions(id)).toEqual([expect.any(Number)]);
});

/** The same numbers on every run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

test.each([1, 2, 3])('no event is missed, whatever commits when (%i)', async (seed) => {
  const random = randomFrom(seed);
  const pick = (count: number) => Math.floor(random() * count);
  const holder = await open();
  await holder.query('begin isolation level repeatable read; select 1 from events');
  const writers = await Promise.all(Array.from({ length: OUTLOOKS }, open));
  const isOpen = new Set<pg.Client>();
  const earlier = await addEvent(ledger.pool);
  const followed: number[] = [];
  const follow = async () => {
    await sequence(ledger.pool);
    const { rows } = await ledger.pool.query<{ id: number }>(
      'select id from events order by position limit 1000 offset $1',
      [followed.length],
    );
    const { rows: placed } = await ledger.pool.query('select count(position) as n from events');
    followed.push(...rows.slice(0, placed[0].n - followed.length).map(({ id }) => id));
  };
  for (let step = 0; step < 120; step += 1) {
    const place = pick(OUTLOOKS);
    const writer = writers[place] as pg.Client;
    const what = pick(8);
    if (what < 4) {
      if (!isOpen.has(writer)) await writer.query('begin');
      isOpen.add(writer);
      await addEvent(writer, place + 1);
    } else if (what < 6 && isOpen.delete(writer)) {
      await writer.query(pick(4) === 0 ? 'rollback' : 'commit');
    } else if (what === 6) await follow();
    else await passTransactions(ledger.pool);
  }
  for (const writer of isOpen) await writer.query('commit');
  await follow();

  const { rows } = await ledger.pool.query<{ id: number; outlook: number; position: number }>(
    'select id, outlook_id as outlook, position from events where outlook_id is not null order by position',
  );
  expect(rows.map(({ position }) => position)).toEqual(rows.map((_, index) => index + 1));
  expect(followed).toEqual(rows.map(({ id }) => id));
  const { rows: log } = await ledger.pool.query<{ place: number }>(
    'select log_position as place from events order by log_position',
  );
  expect(log.map(({ place }) => place)).toEqual(log.map((_, index) => index + 1));
  for (let outlook = 1; outlook <= OUTLOOKS; outlook += 1) {
    const own = rows.filter((row) => row.outlook === outlook && row.id > earlier);
    const ids = own.map(({ id }) => id);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  }
});

/** How many rows of the table and entries of its indexes a look reads, dead ones included. */
async function entriesRead(looker: pg.Client): Promise<number> {
  await looker.query('begin');
  await sequence(looker);
  const { rows } = await looker.query<{ read: number }>(
    `select (pg_stat_get_xact_tuples_returned('events'::regclass) + (
        select sum(pg_stat_get_xact_tuples_returned(indexrelid)) from pg_index
         where indrelid = 'events'::regclass))::int as read`,
  );
  await looker.query('commit');
  return rows[0]?.read ?? NaN;
}

test('a look reads few dead entries, however many events got positions under a held snapshot', async () => {
  const holder = await open();
  const looker = await open();
  await ledger.pool.query('alter table events set (autovacuum_enabled = false)');
  await holder.query('begin isolation level repeatable read; select 1 from events');
  const EVENTS = 900;
  for (let turn = 0; turn < EVENTS; turn += 1) {
    await addEvent(ledger.pool);
    await sequence(ledger.pool);
  }
  await addEvent(ledger.pool);
  const read = await entriesRead(looker);
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(EVENTS);
});

test.each([
  ['above running transactions', `'9223372036854775807'`],
  ['down', `'0'`],
  ['past an event without a position', 'pg_snapshot_xmin(pg_current_snapshot())'],
])('the watermark does not move %s', async (_, to) => {
  await passTransactions(ledger.pool);
  await addEvent(ledger.pool);
  await sequence(ledger.pool);
  await addEvent(ledger.pool);
  await passTransactions(ledger.pool);
  await expect.poll(isNewestPassed).toBe(true);
  const owner = await open();
  const statement = `update event_watermark set transaction_id = ${to}`;
  expect(await refusal(owner, statement)).toBe('event_watermark_sequenced');
  expect(await refusal(owner, 'delete from event_watermark')).toBe('event_watermark_append_only');
});

test('a watermark of another server hides no event', async () => {
  const id = await addEvent(ledger.pool);
  await ledger.pool.query(`begin; alter table event_watermark disable trigger user;
    delete from event_watermark; insert into event_watermark (transaction_id) values ('9000000000000');
    alter table event_watermark enable trigger user; commit`);
  await sequence(ledger.pool);
  expect(await positions(id)).toEqual([expect.any(Number)]);
  await passTransactions(ledger.pool);
  await addEvent(ledger.pool);
  await sequence(ledger.pool);
  expect(await watermark()).toBeLessThan(9_000_000_000_000n);
});

test('events that had no position when the database was migrated have one then', async () => {
  const pool = openDatabase(await createDatabase({ empty: true }), 3);
  try {
    await migrateToLatest(pool, pool, { journal: JOURNAL.slice(0, 16) });
    await pool.query(`set session_replication_role = replica;
      insert into events (kind, outlook_id, version, data, recorded_at)
        select 'evidence.added', 1, 1, '{}', now() from generate_series(1, 2500);
      reset session_replication_role`);
    await migrateToLatest(pool);
    const { rows } = await pool.query(
      'select count(*) as n, count(position) as placed, max(position) as last from events where outlook_id is not null',
    );
    expect(rows).toEqual([{ n: 2500, placed: 2500, last: 2500 }]);
  } finally {
    await pool.end();
  }
});

test('no look is compiled: PostgreSQL up to 17 counts a scan that is off as costly enough for that', async () => {
  const { rows } = await ledger.pool.query(
    `select proname from pg_proc
      where 'enable_seqscan=off' = any (proconfig) and not 'jit=off' = any (proconfig)`,
  );
  expect(rows).toEqual([]);
});
