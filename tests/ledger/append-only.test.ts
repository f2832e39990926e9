import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { fillLedger } from '../support/outlooks.ts';
import { openSession, refusal, rejection, SWEPT, TABLES } from '../support/plain-sql.ts';

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
  await fillLedger(ledger);
  // The resolved outlook was current for no tenth of its horizon.
  await owner.query(`alter table forecast_leads disable trigger derived;
    insert into forecast_leads select id, 0, 10, 3000, 4500, 2500, 'bear', 0.755, null from forecast_sums limit 1;
    alter table forecast_leads enable trigger derived;
    insert into erasures (analyst_id, recorded_at) select id, now() from analysts where name = 'admin desk'`);
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

// One column that an owner may have a motive to rewrite, and a value that it does not have.
const REWRITES: Record<string, { set: string; rule: string }> = {
  instruments: { set: `name = 'Other'`, rule: 'instruments_append_only' },
  analysts: { set: `name = name || ' & Co'`, rule: 'analysts_append_only' },
  api_keys: { set: `role = 'feed', hint = 'other'`, rule: 'api_keys_fixed' },
  outlooks: { set: `horizon_to = horizon_to + 1`, rule: 'outlooks_subject_fixed' },
  frameworks: { set: `summary = 'Never said'`, rule: 'frameworks_append_only' },
  scenarios: { set: `outcome = 'Never said'`, rule: 'scenarios_append_only' },
  headwinds: { set: `rank = rank + 10`, rule: 'headwinds_append_only' },
  drawdown_labels: { set: `min_depth = 0.3`, rule: 'drawdown_labels_append_only' },
  invalidation_conditions: {
    set: `statement = 'Never said'`,
    rule: 'invalidation_conditions_append_only',
  },
  outlook_versions: { set: `rationale = 'Never said'`, rule: 'outlook_versions_append_only' },
  events: { set: `data = '{}'`, rule: 'events_append_only' },
  series: { set: `source = 'Other'`, rule: 'series_append_only' },
  observations: { set: `value = value + 1`, rule: 'observations_append_only' },
  condition_comparisons: { set: `threshold = 9`, rule: 'condition_comparisons_append_only' },
  evidence: { set: `headline = 'Never said'`, rule: 'evidence_append_only' },
  evidence_claims: { set: `effect = 'weakens'`, rule: 'evidence_claims_append_only' },
  version_evidence: { set: `position = 9`, rule: 'version_evidence_append_only' },
  condition_changes: { set: `reason = 'Never said'`, rule: 'condition_changes_append_only' },
  condition_evidence: { set: `position = 9`, rule: 'condition_evidence_append_only' },
  condition_answers: { set: `reason = 'Never said'`, rule: 'condition_answers_append_only' },
  drawdown_changes: { set: `depth = 0.5`, rule: 'drawdown_changes_append_only' },
  resolutions: { set: `outcome = 'bull'`, rule: 'resolutions_append_only' },
  resolution_contradictions: {
    set: `outcome = 'base'`,
    rule: 'resolution_contradictions_append_only',
  },
  resolution_evidence: { set: `position = 9`, rule: 'resolution_evidence_append_only' },
  forecasters: { set: `since = since - interval '1 day'`, rule: 'forecasters_append_only' },
  forecast_sums: { set: `bear_error = bear_error / 2`, rule: 'forecast_sums_append_only' },
  forecast_buckets: {
    set: `bear_weight = bear_weight / 2`,
    rule: 'forecast_buckets_append_only',
  },
  forecast_leads: { set: `brier = brier / 2`, rule: 'forecast_leads_append_only' },
  views: { set: `rationale = 'Never said'`, rule: 'views_append_only' },
  analyst_identities: { set: `issuer = 'https://other'`, rule: 'analyst_identities_append_only' },
  audit_entries: { set: `method = 'GET'`, rule: 'audit_entries_append_only' },
  analyst_skeletons: { set: `hash = sha256(hash)`, rule: 'analyst_skeletons_append_only' },
  analyst_changes: { set: `new_name = 'Other'`, rule: 'analyst_changes_append_only' },
  desks: { set: `slug = 'other'`, rule: 'desks_fixed' },
  disclosures: { set: `recorded_at = now()`, rule: 'disclosures_append_only' },
  desk_policies: { set: `revision = 0`, rule: 'desk_policies_append_only' },
  proposals: { set: `author_id = gen_random_uuid()`, rule: 'proposals_state' },
  proposal_drafts: { set: `note = 'Never said'`, rule: 'proposal_drafts_append_only' },
  proposal_steps: { set: `text = 'Never said'`, rule: 'proposal_steps_append_only' },
  version_views: { set: `weight = weight / 2`, rule: 'version_views_append_only' },
  row_digests: { set: `hashes = sha256(hashes)`, rule: 'row_digests_append_only' },
  openings: { set: `commitment = sha256(commitment)`, rule: 'openings_append_only' },
  erasures: { set: `recorded_at = now()`, rule: 'erasures_append_only' },
  erased_openings: { set: `content = ''`, rule: 'erased_openings_append_only' },
  log_generations: { set: `origin = 'example.com/other'`, rule: 'log_generations_append_only' },
  log_tiles: { set: `hashes = sha256(hashes)`, rule: 'log_tiles_append_only' },
};

test('every table of the ledger is named here', async () => {
  const { rows } = await owner.query<{ name: string }>(
    `select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE'`,
  );
  expect(new Set(rows.map(({ name }) => name))).toEqual(new Set([...TABLES, ...SWEPT]));
  expect(new Set(Object.keys(REWRITES))).toEqual(new Set(TABLES));
});

describe.each(TABLES)('%s', (table) => {
  const rewrite = REWRITES[table] ?? expect.fail();
  const appendOnly = `${table}_append_only`;

  test.each([
    ['an UPDATE', `update ${table} set ${rewrite.set}`, rewrite.rule],
    [
      'an UPDATE in a CTE',
      `with done as (update ${table} set ${rewrite.set} returning 1) select * from done`,
      rewrite.rule,
    ],
    ['a DELETE', `delete from ${table}`, appendOnly],
    ['a DELETE in a CTE', `with gone as (delete from ${table} returning 1) select 1`, appendOnly],
    [
      'a DELETE by MERGE',
      `merge into ${table} using (select 1) as one on true when matched then delete`,
      appendOnly,
    ],
    ['a TRUNCATE … CASCADE', `truncate ${table} cascade`, appendOnly],
  ])('%s is refused', async (_, statement, rule) => {
    expect(await refusal(owner, statement)).toBe(rule);
  });

  test('a TRUNCATE is refused', async () => {
    const { constraint, message } = await rejection(owner, `truncate ${table}`);
    // Postgres itself refuses first where another table points here.
    const byPostgres = 'cannot truncate a table referenced in a foreign key constraint';
    expect([appendOnly, byPostgres]).toContain(constraint ?? message);
  });
});

test.each([
  ['all tables at once', `truncate ${[...TABLES, ...SWEPT].join(', ')}`, 'instruments_append_only'],
  [
    'all tables, ids anew',
    `truncate instruments restart identity cascade`,
    'instruments_append_only',
  ],
])('a TRUNCATE of %s is refused', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});

test.each([
  [
    'instruments',
    `insert into instruments (symbol, name, kind, created_at) values ('RUT', 'Other', 'index', now())
      on conflict (symbol) do update set name = excluded.name`,
    'instruments_append_only',
  ],
  [
    'frameworks',
    `insert into frameworks select * from frameworks on conflict (id) do update set summary = ''`,
    'frameworks_append_only',
  ],
  [
    'analysts',
    `insert into analysts select * from analysts on conflict (id) do update set name = 'Other'`,
    'analysts_append_only',
  ],
  [
    'outlooks',
    `insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
      select slug, instrument_id, horizon_from, horizon_to, published_at from outlooks
      on conflict (slug) do update set latest_version = 1`,
    'outlooks_latest_version',
  ],
])('an upsert that rewrites %s is refused', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});
