import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

/** More than the changes that one statement appends. */
const COPIES = 600;

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ followsEvents: false });
  const { rows } = await ledger.pool.query<{ id: number; framework: number }>(
    'select id, framework_id as framework from outlooks where slug = $1',
    [SLUG],
  );
  const { id, framework } = rows[0] ?? { id: NaN, framework: NaN };
  const ids = { outlook_id: '100000 + n', framework_id: '100000 + n' };
  await copy('frameworks', `id = ${framework}`, { id: '100000 + n', outlook_id: ids.outlook_id });
  for (const part of ['scenarios', 'invalidation_conditions', 'condition_comparisons']) {
    await copy(part, `framework_id = ${framework}`, { framework_id: ids.framework_id });
  }
  const replaced = { id: '100000 + n', slug: `'copy-' || n`, framework_id: ids.framework_id };
  await copy('outlooks', `id = ${id}`, replaced);
  await copy('outlook_versions', `outlook_id = ${id}`, ids);
});
afterAll(async () => {
  await ledger.feed.close();
  await ledger.pool.end();
});

/** @param replaced in SQL over the row `s` that is copied and its number `n` */
async function copy(table: string, where: string, replaced: Record<string, string>): Promise<void> {
  const { rows } = await ledger.pool.query<{ name: string }>(
    `select column_name as name from information_schema.columns
      where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'`,
    [table],
  );
  const names = rows.map(({ name }) => name);
  await ledger.pool.query(`begin; set local session_replication_role = replica;
    insert into ${table} (${names.map((name) => `"${name}"`).join(', ')}) overriding system value
    select ${names.map((name) => replaced[name] ?? `s."${name}"`).join(', ')}
      from (select * from ${table} where ${where}) s cross join generate_series(1, ${COPIES}) n; commit`);
}

/** The entries that indexes of a table gave so far, and the rows that were read without them. */
async function entriesRead(table: string): Promise<number> {
  const { rows } = await ledger.pool.query<{ read: number }>(
    `select (seq_tup_read + (select sum(idx_tup_read) from pg_stat_user_indexes i where i.relid = t.relid))::int as read
       from pg_stat_user_tables t where relname = $1`,
    [table],
  );
  return rows[0]?.read ?? NaN;
}

test('an observation is judged for all outlooks that watch its series, each by itself', async () => {
  const before = await entriesRead('condition_changes');
  const days = ['2026-11-16', '2026-11-17', '2026-11-18'];
  const recorded = await ledger.call({
    method: 'POST',
    url: '/v1/series/us-30y-yield/observations',
    as: 'feed',
    payload: {
      observations: [4.2, 4.1, 4].map((value, index) => ({ date: days[index], value })),
    },
  });
  expect(recorded.statusCode, recorded.body).toBe(200);

  const { rows: changes } = await ledger.pool.query<{ changes: number; outlooks: number }>(
    `select count(*)::int as changes, count(distinct outlook_id)::int as outlooks
       from condition_changes where state = 'triggered'`,
  );
  expect(changes).toEqual([{ changes: COPIES + 1, outlooks: COPIES + 1 }]);
  const { rows: events } = await ledger.pool.query<{ kinds: string; outlooks: number }>(
    `select kinds, count(*)::int as outlooks from (
       select string_agg(kind, ', ' order by id) as kinds from events
        where kind like 'condition.%' or kind like 'outlook.state.%' or kind like 'outlook.review.%'
        group by outlook_id) e group by kinds`,
  );
  const kinds = 'condition.triggered, outlook.state.changed, outlook.review.due';
  expect(events).toEqual([{ kinds, outlooks: COPIES + 1 }]);

  // Statistics arrive when the connection of the service is idle.
  await ledger.app.close();
  await ledger.servicePool.end();
  const read = (await entriesRead('condition_changes')) - before;
  expect(read).toBeLessThan(40 * COPIES);
});
