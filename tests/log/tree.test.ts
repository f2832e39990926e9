import { createHmac } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { consistencyProof, rootAt, verifyConsistency } from '../../src/domain/merkle-tree.ts';
import { newestGeneration, startFirstGeneration } from '../../src/log/generations.ts';
import { extendTree, growTree, treeReader } from '../../src/log/tree.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { naiveRoot } from '../support/naive-log.ts';
import { openSession } from '../support/plain-sql.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ followsEvents: false });
  await startFirstGeneration(ledger.servicePool, null, ledger.clock.now);
});
afterAll(() => ledger.close());

/** Adds events in one transaction, and gives them positions. */
async function addEvents(count: number, session: pg.ClientBase | pg.Pool = ledger.servicePool) {
  await session.query(
    `insert into events (kind, outlook_id, version, data, recorded_at)
      select 'evidence.added', 1, 1, jsonb_build_object('id', gen_random_uuid()), now()
        from generate_series(1, ${count})`,
  );
  await sequence();
}

async function sequence(): Promise<void> {
  const { rows } = await ledger.pool.query<{ pending: number }>(
    'select sequence_events(), (select count(*) from events where coalesce(log_position, position) is null) as pending',
  );
  if (rows[0]?.pending !== 0) await sequence();
}

type Opened = { position: number; salt: Buffer; content: string; commitment: Buffer };

const openings = async () =>
  (
    await ledger.pool.query<Opened>(
      `select coalesce(log_position, position) as position, salt, content, commitment
         from events left join openings on event_id = id
        where coalesce(log_position, position) is not null order by 1`,
    )
  ).rows;

/** The entries that the stored openings make, each commitment recomputed. */
async function entries(): Promise<Buffer[]> {
  return (await openings()).map(({ salt, content }) => {
    const commitment = createHmac('sha256', salt).update(content, 'utf8').digest('base64');
    return Buffer.from(`{"v":1,"commitment":"${commitment}"}`);
  });
}

const head = async () => (await newestGeneration(ledger.pool)) ?? expect.fail('no generation');

test('the tree has a leaf for each event, in the order of their places', async () => {
  await addEvents(700);
  await growTree(ledger.servicePool);
  const own = await entries();
  const { size, root } = await head();
  expect(size).toBe(own.length);
  expect(size).toBeGreaterThan(700);
  expect(root).toEqual(naiveRoot(own));
});

test('it grows by any number of leaves at a time, to the same tree', async () => {
  await addEvents(600);
  const own = await entries();
  const reader = treeReader(ledger.servicePool, 1);
  for (const most of [1, 2, 40, 255, 256, 1]) {
    const { size } = await head();
    const next = await extendTree(ledger.servicePool, most);
    expect(next?.size).toBe(size + most);
    expect(next?.root).toEqual(naiveRoot(own.slice(0, size + most)));
  }
  await growTree(ledger.servicePool);
  const { size, root } = await head();
  for (const oldSize of [1, 255, 256, 257, 512, 700, size]) {
    const oldRoot = await rootAt(oldSize, reader);
    expect(oldRoot).toEqual(naiveRoot(own.slice(0, oldSize)));
    const proof = await consistencyProof(oldSize, size, reader);
    expect(verifyConsistency({ oldSize, oldRoot, size, root, proof })).toBe(true);
  }
});

test('nothing new costs a lock and two reads, and changes nothing', async () => {
  await growTree(ledger.servicePool);
  const before = await head();
  expect(await extendTree(ledger.servicePool)).toEqual(before);
});

test('instances that extend it at once take turns', async () => {
  const writing = (async () => {
    for (let turn = 0; turn < 24; turn += 1) await addEvents(7);
  })();
  const seen: { size: number; root: Buffer }[] = [];
  const written = new AbortController();
  const instance = async () => {
    while (!written.signal.aborted) {
      const state = await extendTree(ledger.servicePool, 30);
      if (state) seen.push(state);
    }
  };
  const instances = Promise.all([instance(), instance(), instance()]);
  await writing;
  written.abort();
  await instances;
  await growTree(ledger.servicePool);
  const own = await entries();
  const { size, root } = await head();
  expect([size, root]).toEqual([own.length, naiveRoot(own)]);
  expect(new Set(seen.map((state) => state.size)).size).toBeGreaterThan(5);
  for (const state of seen) expect(state.root).toEqual(naiveRoot(own.slice(0, state.size)));
});

test('a transaction that dies before its end leaves the tree as it was', async () => {
  await growTree(ledger.servicePool);
  await addEvents(300);
  const before = await head();
  const tiles = () =>
    ledger.pool.query('select * from log_tiles order by generation, level, number');
  const { rows: tilesBefore } = await tiles();
  const holder = await openSession(ledger.url);
  try {
    // It has written its tiles, and waits to store its head.
    await holder.query('begin; select from log_generations for no key update');
    const extending = extendTree(ledger.servicePool).catch((error: Error) => error);
    await expect
      .poll(async () => {
        const { rows } = await ledger.pool.query<{ pid: number }>(
          `select pid from pg_stat_activity where wait_event_type = 'Lock'
            and query like 'update log_generations%' and datname = current_database()`,
        );
        if (rows[0]) await ledger.pool.query('select pg_terminate_backend($1)', [rows[0].pid]);
        return rows.length;
      })
      .toBe(1);
    expect(await extending).toBeInstanceOf(Error);
  } finally {
    await holder.end();
  }
  expect(await head()).toEqual(before);
  expect((await tiles()).rows).toEqual(tilesBefore);
  await growTree(ledger.servicePool);
  const own = await entries();
  const { size, root } = await head();
  expect([size, root]).toEqual([before.size + 300, naiveRoot(own)]);
});

test('an event that was written past the triggers gets its opening late, and says so', async () => {
  await growTree(ledger.servicePool);
  const { size } = await head();
  await addEvents(1);
  await ledger.pool.query('alter table events disable trigger digest');
  try {
    await addEvents(2, ledger.pool);
  } finally {
    await ledger.pool.query('alter table events enable trigger digest');
  }
  await addEvents(1);
  const last = async () =>
    (await openings())
      .slice(size)
      .map(({ content }) => content && (JSON.parse(content) as Record<string, unknown>));
  expect((await last()).map((content) => content !== null)).toEqual([true, false, false, true]);
  const extended = await extendTree(ledger.servicePool);
  expect(extended?.root).toEqual(naiveRoot(await entries()));
  const contents = await last();
  expect(contents.map((content) => content && content['late'])).toEqual([
    undefined,
    true,
    true,
    undefined,
  ]);
  expect(contents[1]).toMatchObject({ digestedAt: expect.any(String), kind: 'evidence.added' });
});

test('a gap between the events stops the tree, and is named', async () => {
  await growTree(ledger.servicePool);
  await addEvents(3);
  const { size } = await head();
  await ledger.pool.query(
    `begin; alter table events disable trigger user;
      update events set log_position = log_position + 1 where log_position > ${size + 2};
      alter table events enable trigger user; commit`,
  );
  await expect(extendTree(ledger.servicePool)).rejects.toThrow(
    `the event at position ${size + 3} is missing`,
  );
  expect(await head()).toMatchObject({ size });
});
