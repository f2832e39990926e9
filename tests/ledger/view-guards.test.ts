import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { fillLedger } from '../support/outlooks.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';
import { version } from '../support/rows.ts';

// Each statement here differs in one thing from one that the database accepts.

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
  await fillLedger(ledger);
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

type Values = Record<string, string>;
const insert = (table: string, values: Values) =>
  `insert into ${table} (${Object.keys(values).join(', ')}) select ${Object.values(values).join(', ')};`;
const outlook = `(select id from outlooks where slug = '${SLUG}')`;
const holder = `(select id from analysts where name = 'Another desk')`;

/** The next version of a view of the sample, whose first one is 0.4, 0.4, 0.2. */
const view = (change: Values = {}) =>
  insert('views', {
    outlook_id: outlook,
    analyst_id: holder,
    version: '2',
    kind: `'held'`,
    bear_bps: '4000',
    base_bps: '4000',
    bull_bps: '2000',
    rationale: `'R'`,
    recorded_at: `'2026-11-21'::timestamptz`,
    ...change,
  });
const withdrawal = (change: Values = {}) =>
  view({ kind: `'withdrawn'`, rationale: 'null::text', ...change });
const again = (change: Values = {}) => view({ version: '3', rationale: `'More so.'`, ...change });

describe('a withdrawn view', () => {
  test('is taken, and may be held again as it was', async () => {
    expect(await attempt(owner, withdrawal() + again())).toBeNull();
    expect(await attempt(owner, withdrawal({ rationale: `'I left.'` }))).toBeNull();
  });

  test.each<[string, string, string]>([
    [
      'with other probabilities',
      withdrawal({ bear_bps: '4001', base_bps: '3999' }),
      'views_withdrawn',
    ],
    ['twice', withdrawal() + withdrawal({ version: '3' }), 'views_withdrawn'],
    [
      'before any was held',
      withdrawal({ analyst_id: `(select author_id from outlook_versions limit 1)`, version: '1' }),
      'views_withdrawn',
    ],
    ['of another kind', withdrawal({ kind: `'lost'` }), 'views_kind'],
    ['with a blank reason', withdrawal({ rationale: `' '` }), 'views_rationale'],
    [
      'held again without a rationale',
      withdrawal() + again({ rationale: 'null::text' }),
      'views_rationale_given',
    ],
    [
      'once the horizon is over',
      withdrawal({ recorded_at: `'2027-03-31T00:00:00Z'::timestamptz` }),
      'views_horizon',
    ],
  ])('%s is refused', async (_, statements, rule) => {
    expect(await refusal(owner, statements)).toBe(rule);
  });
});

test('a view is held until the last millisecond of the horizon', async () => {
  const late = (time: string) => view({ recorded_at: `'${time}'::timestamptz` });
  expect(await attempt(owner, late('2027-03-30T23:59:59.999Z'))).toBeNull();
  expect(await refusal(owner, late('2027-03-31T00:00:00.000Z'))).toBe('views_horizon');
});

test('a consensus pools no withdrawn view, and has an age of whole days', async () => {
  const consensus = { consensus_method: `'linear'`, consensus_weights: `'equal'` };
  const pooled = insert('version_views', {
    outlook_id: outlook,
    version: '3',
    analyst_id: holder,
    view_version: '2',
    weight: '1',
  });
  expect(await refusal(owner, `${withdrawal()}${version(consensus)};${pooled}`)).toBe(
    'version_views_held',
  );
  expect(await attempt(owner, `${view()}${version(consensus)};${pooled}`)).toBeNull();
  const aged = (days: string) => version({ ...consensus, consensus_max_age: days });
  expect(await attempt(owner, `${view()}${aged('30')};${pooled}`)).toBeNull();
  const rule = 'outlook_versions_consensus_max_age';
  expect(await refusal(owner, `${view()}${aged('0')};${pooled}`)).toBe(rule);
  expect(await refusal(owner, version({ consensus_max_age: '30' }))).toBe(rule);
});

test('only a version that reaffirms answers a condition by reaffirming', async () => {
  const change = insert('condition_changes', {
    outlook_id: outlook,
    key: `'refinancing-stress'`,
    state: `'triggered'`,
    cause: `'assessment'`,
    invalidates: `'bull'`,
    version: '0',
    reason: `'Because.'`,
    observations: `'[]'::json`,
    author_id: `(select author_id from outlook_versions limit 1)`,
    rationale: `'Why.'`,
    recorded_at: 'now()',
  });
  const answer = insert('condition_answers', {
    change_id: '(select max(id) from condition_changes)',
    outlook_id: outlook,
    version: '3',
    way: `'reaffirmed'`,
  });
  const same = { bear_bps: 'bear_bps', base_bps: 'base_bps' };
  const reaffirmed = version({ kind: `'reaffirmed'`, ...same });
  expect(await attempt(owner, `${change}${answer}${reaffirmed}`)).toBeNull();
  expect(await refusal(owner, `${change}${answer}${version()}`)).toBe(
    'condition_answers_reaffirmed',
  );
  expect(await refusal(owner, `${change}${reaffirmed}`)).toBe('outlook_versions_unanswered');
});
