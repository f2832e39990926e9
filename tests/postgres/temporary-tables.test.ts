import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { publishSecond } from '../support/outlooks.ts';
import { openSession, refusal } from '../support/plain-sql.ts';
import { version } from '../support/rows.ts';

// A temporary table comes before the ledger's of the same name in every session. The guards must not
// be fooled by one: its owner needs no right on the ledger's tables but to add rows.

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  await publishSecond(ledger);
});
beforeEach(async () => {
  owner = await openSession(ledger.url);
  return () => owner.end();
});
afterAll(() => ledger.close());

/** What `statement` writes to the ledger's tables. */
const toPublic = (statement: string) =>
  statement.replaceAll(/(into|from) (outlook_versions|outlooks|frameworks)\b/g, '$1 public.$2');

test('one that shadows outlooks leaves the pointer to the newest version right', async () => {
  await owner.query('create temporary table outlooks as select * from public.outlooks');
  await owner.query('begin');
  await owner.query(toPublic(version()));
  const { rows } = await owner.query('select latest_version as latest from public.outlooks');
  await owner.query('rollback');
  expect(rows).toEqual([{ latest: 3 }]);
});

test('one that shadows the versions leaves the chain closed', async () => {
  await owner.query(`create temporary table outlook_versions as
    select outlook_id, version, kind, framework_id, bear_bps, base_bps, bull_bps, author_id, rationale,
      recorded_at, sha256('forged') as hash, previous_hash from public.outlook_versions`);
  const forged = toPublic(version({ previous_hash: `sha256('forged')` }));
  expect(await refusal(owner, forged)).toBe('outlook_versions_hash_chain');
});

test('one that shadows the scenarios does not admit a framework without any', async () => {
  await owner.query(`create temporary table scenarios as
    select 1000::bigint as framework_id, name, title, outcome, conditions, direction,
      direction_comment, return_min, return_max from public.scenarios`);
  const without = `insert into public.frameworks
      (id, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references")
    select 1000, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references"
      from public.frameworks`;
  expect(await refusal(owner, without)).toBe('frameworks_three_scenarios');
});

test('one that shadows the frameworks leaves published ones sealed', async () => {
  await owner.query('create temporary table frameworks (id bigint)');
  const late = `insert into headwinds
    select id, 'late', 99, 'Title', 'Description' from public.frameworks`;
  expect(await refusal(owner, late)).toBe('headwinds_framework_sealed');
});

test('one that shadows the events leaves every event with a position', async () => {
  await owner.query('create temporary table events as select * from public.events where false');
  await owner.query('select sequence_events()');
  const { rows } = await owner.query(
    'select position::int from public.events where outlook_id is not null order by id',
  );
  expect(rows).toEqual([{ position: 1 }, { position: 2 }]);
  const { rows: log } = await owner.query<{ place: number | null }>(
    'select log_position::int as place from public.events order by id',
  );
  expect(log.map(({ place }) => place)).toEqual(log.map((_, index) => index + 1));
});
