import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { publish } from '../support/outlooks.ts';
import { openSession } from '../support/plain-sql.ts';

const WRITERS = 8;
const ROUNDS = 15;
const READERS = 3;
const slugs = Array.from({ length: WRITERS }, (_, index) => `outlook-${index}`);

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ followsEvents: false });
  await publish(ledger, ...slugs);
});
afterAll(() => ledger.close());

type Seen = { position: number; id: number; outlook: number; version: number };

/** Adds a version and its event in a transaction that is left open. */
async function write(writer: pg.Client, slug: string): Promise<void> {
  await writer.query('begin');
  await writer.query(
    `insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps,
        bull_bps, author_id, rationale, recorded_at, hash, previous_hash)
      select v.outlook_id, v.version + 1, 'probabilities', v.framework_id, v.base_bps, v.bear_bps,
        v.bull_bps, v.author_id, 'Swapped.', v.recorded_at, sha256(v.hash), v.hash
       from outlook_versions v join outlooks o on o.id = v.outlook_id and o.latest_version = v.version
      where o.slug = $1`,
    [slug],
  );
  await writer.query(
    `insert into events (kind, outlook_id, version, data, recorded_at)
      select 'outlook.version.published', id, latest_version, '{}', published_at
        from outlooks where slug = $1`,
    [slug],
  );
}

/** Follows the events from `last` on until `isLast` says that one is, as a stream would. */
async function follow(reader: pg.Client, isDone: (seen: Seen[]) => boolean): Promise<Seen[]> {
  const seen: Seen[] = [];
  const deadline = Date.now() + 120_000;
  while (!isDone(seen) && Date.now() < deadline) {
    await reader.query('select sequence_events()');
    const { rows } = await reader.query<Seen>(
      `select position::int, id::int, outlook_id::int as outlook, version
         from events where position > $1 order by position limit 7`,
      [seen.at(-1)?.position ?? 0],
    );
    seen.push(...rows);
  }
  return seen;
}

test('readers see each event once, however the writers commit', async () => {
  const writers = await Promise.all(slugs.map(() => openSession(ledger.url)));
  const readers = await Promise.all(Array.from({ length: READERS }, () => openSession(ledger.url)));
  let isWritten = false;
  let total = Infinity;
  const follows = readers.map((reader) =>
    follow(reader, (seen) => isWritten && seen.length >= total),
  );
  const rolledBack: string[] = [];
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      await Promise.all(writers.map((writer, index) => write(writer, slugs[index] ?? '')));
      const order = writers.toSorted(() => Math.random() - 0.5);
      for (const [place, writer] of order.entries()) {
        const undo = place === round % WRITERS && round % 3 === 0;
        if (undo) rolledBack.push(slugs[writers.indexOf(writer)] ?? '');
        await writer.query(undo ? 'rollback' : 'commit');
      }
    }
    const { rows } = await ledger.pool.query(
      'select count(*)::int as total from events where outlook_id is not null',
    );
    total = rows[0].total;
    isWritten = true;
    const streams = await Promise.all(follows);

    expect(total).toBe(1 + WRITERS * (ROUNDS + 1) - rolledBack.length);
    for (const seen of streams) {
      expect(seen).toEqual(streams[0]);
      expect(seen.map(({ position }) => position)).toEqual(seen.map((_, index) => index + 1));
      expect(seen).toHaveLength(total);
      expect(new Set(seen.map(({ id }) => id)).size).toBe(total);
      for (const outlook of new Set(seen.map((event) => event.outlook))) {
        const versions = seen.filter((event) => event.outlook === outlook);
        expect(versions.map(({ version }) => version)).toEqual(versions.map((_, i) => i + 1));
      }
    }
    const ids = streams[0]?.map(({ id }) => id) ?? [];
    // Else no commit came out of order, and the test has shown nothing.
    expect(ids).not.toEqual(ids.toSorted((a, b) => a - b));
  } finally {
    isWritten = true;
    total = 0;
    await Promise.allSettled(follows);
    await Promise.all([...writers, ...readers].map((session) => session.end()));
  }
});

test('many callers at once give each event one position', async () => {
  const url = `/v1/outlooks/${slugs[0]}/revisions`;
  for (const bear of [0.1, 0.2, 0.1, 0.2]) {
    const payload = { probabilities: { bear, base: 0.75 - bear, bull: 0.25 }, rationale: 'Moved.' };
    const revised = await ledger.call({ method: 'POST', url, as: 'analyst', payload });
    expect(revised.statusCode).toBe(201);
  }
  const answers = await Promise.all(
    Array.from({ length: 10 }, () =>
      ledger.pool.query<{ last: number }>('select sequence_events() as last'),
    ),
  );
  const { rows } = await ledger.pool.query(
    `select count(outlook_id) as events, max(position) as last, count(position) as placed,
       count(*) = max(coalesce(log_position, position)) as "isWhole" from events`,
  );
  const { last } = rows[0];
  expect(rows).toEqual([{ events: last, last, placed: last, isWhole: true }]);
  expect(new Set(answers.map((answer) => answer.rows[0]?.last))).toEqual(new Set([rows[0].last]));
});

test('a transaction with an older snapshot gives no event a second position', async () => {
  const old = await openSession(ledger.url);
  try {
    await old.query('begin isolation level repeatable read; select 1 from events');
    const revised = await ledger.revise({
      probabilities: { bear: 0.5, base: 0.25, bull: 0.25 },
      rationale: 'Moved.',
    });
    expect(revised.statusCode).toBe(201);
    await ledger.pool.query('select sequence_events()');
    await old.query('select sequence_events()');
    await old.query('commit');
  } finally {
    await old.end();
  }
  const { rows } = await ledger.pool.query(
    `select count(outlook_id) = max(position) and count(outlook_id) = count(position)
        and count(*) = max(coalesce(log_position, position)) as whole from events`,
  );
  expect(rows).toEqual([{ whole: true }]);
});

test('with no event there is no last position', async () => {
  const empty = await startLedger({ samples: false, followsEvents: false });
  const { rows } = await empty.pool.query('select sequence_events() as last');
  await empty.close();
  expect(rows).toEqual([{ last: null }]);
});
