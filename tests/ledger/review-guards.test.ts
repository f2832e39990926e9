import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { EVIDENCE_ID } from '../support/operations.ts';
import { fillLedger, publish } from '../support/outlooks.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';

// Each statement here differs in one thing from one that the database accepts.

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
  await fillLedger(ledger);
  await publish(ledger, 'other');
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

type Values = Record<string, string>;
const insert = (table: string, values: Values) =>
  `insert into ${table} (${Object.keys(values).join(', ')}) select ${Object.values(values).join(', ')};`;
const outlookId = (slug = SLUG) => `(select id from outlooks where slug = '${slug}')`;
const author = `(select author_id from outlook_versions limit 1)`;

/** A row that the database accepts, with changes. */
const rowOf =
  (table: string, usual: Values) =>
  (change: Values = {}) =>
    insert(table, { ...usual, ...change });

const observation = rowOf('observations', {
  series_id: `(select id from series where key = 'rut-close')`,
  date: `'2026-11-16'`,
  recorded_at: `'2027-01-01'`,
  value: '1.5',
  provenance: `'sourced'`,
});
const evidence = rowOf('evidence', {
  id: `'00000000-0000-4000-8000-000000000001'`,
  outlook_id: outlookId(),
  number: '1',
  headline: `'H'`,
  summary: `'S'`,
  publisher: `'P'`,
  published_at: `'2026-11-20'`,
  sentiment_score: '-0.15',
  sentiment_label: `'L'`,
  sentiment_min: '-1',
  sentiment_max: '1',
  sentiment_provider: `'P'`,
  tickers: `'[]'`,
  author_id: author,
  recorded_at: `'2026-11-21'`,
});
const claim = rowOf('evidence_claims', {
  evidence_id: `'${EVIDENCE_ID}'`,
  position: '2',
  statement: `'S'`,
  effect: `'weakens'`,
  target_kind: `'headwind'`,
  target_key: `'narrower-breadth'`,
  horizon: `'weeks'`,
  range_min: '3',
  range_max: '5',
  range_unit: `'percent'`,
});
const citation = rowOf('version_evidence', {
  outlook_id: outlookId(),
  version: '1',
  position: '1',
  evidence_id: `'${EVIDENCE_ID}'::uuid`,
});
const change = rowOf('condition_changes', {
  outlook_id: outlookId(),
  key: `'refinancing-stress'`,
  state: `'triggered'`,
  cause: `'assessment'`,
  invalidates: `'bull'`,
  version: '0',
  reason: `'Because.'`,
  observations: `'[]'`,
  author_id: author,
  rationale: `'Why.'`,
  recorded_at: 'now()',
});
const newestChange = `(select max(id) from condition_changes)`;
const answer = rowOf('condition_answers', {
  change_id: newestChange,
  outlook_id: outlookId(),
  version: '3',
  way: `'acknowledged'`,
  reason: `'Seen.'`,
});
/** The next version of the sample, with less weight for bull. */
const version = (changed: Values = {}) =>
  insert('outlook_versions', {
    outlook_id: 'v.outlook_id',
    version: 'v.version + 1',
    kind: `'probabilities'`,
    framework_id: 'v.framework_id',
    bear_bps: '3600',
    base_bps: '4000',
    bull_bps: '2400',
    author_id: 'v.author_id',
    rationale: `'Why.'`,
    recorded_at: 'v.recorded_at',
    hash: `sha256('next')`,
    previous_hash: 'v.hash',
    ...changed,
  }).replace(
    ';',
    ` from outlook_versions v join outlooks o on o.id = v.outlook_id and o.latest_version = v.version
      where o.slug = '${SLUG}';`,
  );
const drawdown = rowOf('drawdown_changes', {
  outlook_id: outlookId(),
  version: '0',
  label: `'bear-market'`,
  depth: '0.2',
  day: `'2026-11-20'`,
  recorded_at: 'now()',
});

test.each([
  ['an observation', observation()],
  ['an item of evidence', evidence()],
  [
    'one without a sentiment',
    evidence({
      sentiment_score: 'null',
      sentiment_label: 'null',
      sentiment_min: 'null',
      sentiment_max: 'null',
      sentiment_provider: 'null',
    }),
  ],
  ['a claim', claim()],
  ['a citation', citation()],
  ['a change of a condition', change()],
  ['an answer with its version', change() + answer() + version()],
  ['an answer by weight', change() + answer({ way: `'weight'`, reason: 'null' }) + version()],
  [
    'an answer that changes no number',
    change() +
      answer() +
      version({ bear_bps: 'v.bear_bps', base_bps: 'v.base_bps', bull_bps: 'v.bull_bps' }),
  ],
  ['a version while nothing is owed', version()],
  ['a change of a drawdown', drawdown()],
] as const)('%s that breaks no rule is taken', async (_, statements) => {
  const error = await attempt(owner, statements);
  expect(error?.message).toBeUndefined();
});

describe('is refused', () => {
  test.each<[string, string, string]>([
    ['a value that is no number', observation({ value: `'NaN'` }), 'observations_value'],
    ['an infinite value', observation({ value: `'Infinity'` }), 'observations_value'],
    ['a day without end', observation({ date: `'infinity'` }), 'observations_date'],
    ['an unknown provenance', observation({ provenance: `'guessed'` }), 'observations_provenance'],
    [
      'a vintage before the one it supersedes',
      observation({ recorded_at: `'2026-01-01'` }),
      'observations_recorded_at',
    ],
    [
      'a vintage that comes in as an old one',
      observation({ superseded_at: `'2027-02-01'` }),
      'observations_newest',
    ],
    [
      'a superseded vintage that is none',
      `update observations set superseded_at = 'infinity' where superseded_at is null;`,
      'observations_append_only',
    ],
    [
      'another series of closes',
      `insert into series (key, name, unit, frequency, source, created_at) values ('x', 'N', 'U', 'daily', 'S', now()); update instruments set closes_id = (select max(id) from series) where symbol = 'RUT';`,
      'instruments_closes_final',
    ],
    [
      'an instrument of another name',
      `update instruments set name = 'Other';`,
      'instruments_append_only',
    ],
    [
      'a key of a series with capitals',
      insert('series', {
        key: `'X'`,
        name: `'N'`,
        unit: `'U'`,
        frequency: `'daily'`,
        source: `'S'`,
        created_at: 'now()',
      }),
      'series_key',
    ],
    [
      'an unknown frequency',
      insert('series', {
        key: `'x'`,
        name: `'N'`,
        unit: `'U'`,
        frequency: `'hourly'`,
        source: `'S'`,
        created_at: 'now()',
      }),
      'series_frequency',
    ],
    ['a score off its scale', evidence({ sentiment_score: '1.01' }), 'evidence_sentiment_on_scale'],
    [
      'a score that is no number',
      evidence({ sentiment_score: `'NaN'` }),
      'evidence_sentiment_on_scale',
    ],
    [
      'a scale that is upside down',
      evidence({ sentiment_min: '1' }),
      'evidence_sentiment_on_scale',
    ],
    ['half a sentiment', evidence({ sentiment_provider: 'null' }), 'evidence_sentiment_whole'],
    [
      'evidence from the future',
      evidence({ published_at: `'2026-11-21 00:00:00.001+00'` }),
      'evidence_not_from_the_future',
    ],
    [
      'a correction of what is of another outlook',
      evidence({ outlook_id: outlookId('other'), corrects: `'${EVIDENCE_ID}'::uuid` }),
      'evidence_corrects',
    ],
    ['tickers that are no list', evidence({ tickers: `'{}'` }), 'evidence_tickers'],
    [
      'a claim about a headwind that there is not',
      claim({ target_key: `'nonsense'` }),
      'evidence_claims_target_exists',
    ],
    [
      'a claim about a scenario that there is not',
      claim({ target_kind: `'scenario'`, target_key: `'crash'` }),
      'evidence_claims_target_exists',
    ],
    [
      'a claim about a condition that there is not',
      claim({ target_kind: `'condition'` }),
      'evidence_claims_target_exists',
    ],
    [
      'a claim about nothing known',
      claim({ target_kind: `'mood'` }),
      'evidence_claims_target_exists',
    ],
    ['a range that runs backwards', claim({ range_min: '6' }), 'evidence_claims_range'],
    ['a range without its unit', claim({ range_unit: 'null' }), 'evidence_claims_range'],
    ['a claim to no effect', claim({ effect: `'mentions'` }), 'evidence_claims_effect'],
    ['a claim over no known span', claim({ horizon: `'years'` }), 'evidence_claims_horizon'],
    ['a citation twice', citation() + citation({ position: '2' }), 'version_evidence_once'],
    [
      'a citation by another outlook',
      citation({ outlook_id: outlookId('other') }),
      'version_evidence_of_outlook',
    ],
    [
      'a citation by a version that there is not',
      citation({ version: '9' }),
      'version_evidence_version',
    ],
    [
      'a condition that stays as it is',
      change({ state: `'untriggered'` }),
      'condition_changes_change',
    ],
    ['a condition twice triggered', change() + change(), 'condition_changes_change'],
    ['a condition that there is not', change({ key: `'nonsense'` }), 'condition_changes_condition'],
    [
      'a condition against another scenario',
      change({ invalidates: `'bear'` }),
      'condition_changes_condition',
    ],
    ['an unknown state', change({ state: `'maybe'` }), 'condition_changes_state'],
    ['an assessment by nobody', change({ author_id: 'null::uuid' }), 'condition_changes_assessed'],
    [
      'observations with an author',
      change({ cause: `'observations'` }),
      'condition_changes_assessed',
    ],
    ['a change without a reason', change({ reason: `''` }), 'condition_changes_reason'],
    [
      'a version that leaves a condition unanswered',
      change() + version(),
      'outlook_versions_unanswered',
    ],
    [
      'an answer by a version that takes no weight',
      change() +
        answer({ way: `'weight'`, reason: 'null' }) +
        version({ base_bps: '3900', bull_bps: '2500' }),
      'condition_answers_weight',
    ],
    ['an answer without a version', change() + answer(), 'condition_answers_version'],
    [
      'an answer by a version of before',
      change() + answer({ version: '2' }),
      'condition_answers_next_version',
    ],
    [
      'an answer without a reason',
      change() + answer({ reason: 'null' }) + version(),
      'condition_answers_reason',
    ],
    ['an answer twice', change() + answer() + answer() + version(), 'condition_answers_pkey'],
    [
      'an answer to what is not triggered',
      answer({ change_id: `(select max(id) from condition_changes where state = 'untriggered')` }),
      'condition_answers_open',
    ],
    [
      'an answer to what has been cleared',
      change() +
        `create temp table cleared as select ${newestChange} as id;` +
        change({ state: `'untriggered'` }) +
        answer({ change_id: '(select id from cleared)' }),
      'condition_answers_open',
    ],
    [
      'an answer for another outlook',
      change() + answer({ outlook_id: outlookId('other') }),
      'condition_answers_change',
    ],
    [
      'a debt without a condition',
      `update outlooks set review_reasons = '{Due.}';`,
      'outlooks_review',
    ],
    [
      'a debt that is forgotten',
      change() + `update outlooks set review_reasons = '{}';`,
      'outlooks_review',
    ],
    [
      'states that no change made',
      `update outlooks set condition_states = '{"rate-relief": "expired"}';`,
      'outlooks_review',
    ],
    ['the same label again', drawdown() + drawdown(), 'drawdown_changes_change'],
    ['a negative depth', drawdown({ depth: '-0.1' }), 'drawdown_changes_depth'],
  ])('%s', async (_, statements, rule) => {
    expect(await refusal(owner, statements)).toBe(rule);
  });

  test.each([
    ['the end of its sentiment', { sentiment_max: `'Infinity'` }],
    ['its moment', { recorded_at: `'infinity'` }],
  ])('evidence without %s', async (_, without) => {
    expect(await refusal(owner, evidence(without))).toMatch(/^evidence_/);
  });
});

test('a due review follows from the conditions and their answers', async () => {
  const owed = async () =>
    (
      await owner.query<{ review_reasons: string[]; condition_states: object }>(
        'select review_reasons, condition_states from outlooks where slug = $1',
        [SLUG],
      )
    ).rows[0];
  const stands = { 'orders-and-spending': 'expired' };
  await owner.query('begin');
  try {
    expect(await owed()).toEqual({ review_reasons: [], condition_states: stands });
    await owner.query(change());
    await owner.query(change({ key: `'weak-domestic-demand'`, reason: `'Too.'` }));
    expect(await owed()).toEqual({
      review_reasons: ['Because.', 'Too.'],
      condition_states: {
        ...stands,
        'refinancing-stress': 'triggered',
        'weak-domestic-demand': 'triggered',
      },
    });
    await owner.query(answer());
    expect((await owed())?.review_reasons).toEqual(['Because.']);
    await owner.query(change({ state: `'untriggered'` }));
    expect((await owed())?.review_reasons).toEqual([]);
    await owner.query(version());
    await owner.query('set constraints all immediate');
  } finally {
    await owner.query('rollback');
  }
});

test('a rule is part of its framework, complete and sealed', async () => {
  const framework = `(select framework_id from outlooks where slug = '${SLUG}')`;
  const comparison = insert('condition_comparisons', {
    framework_id: framework,
    condition_key: `'domestic-breadth'`,
    position: '1',
    series_id: `(select min(id) from series)`,
    operator: `'lt'`,
    threshold: '1',
    for_observations: '1',
  });
  expect(await refusal(owner, comparison)).toBe('condition_comparisons_framework_sealed');
});
