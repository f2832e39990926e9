import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { publishSecond } from '../support/outlooks.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';
import { version } from '../support/rows.ts';

const ID = 1_000;
const STORED = '(select min(id) from frameworks)';

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
  await publishSecond(ledger);
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

type Parts = { scenarios?: string; labels?: string; more?: string; row?: string };

const scenario = (name: string, min = 'null', max = 'null', central = 'null') =>
  `(${ID}, '${name}', 'Title', 'Outcome', 'Conditions', 'lower', ${min}, ${max}, ${central})`;
const insertScenarios = (...rows: string[]) =>
  `insert into scenarios (framework_id, name, title, outcome, conditions, direction, return_min, return_max, central_return)
   values ${rows.join(', ')}`;
const THREE = insertScenarios(scenario('bear'), scenario('base'), scenario('bull'));

const label = (position: number, depth: string) =>
  `(${ID}, 'label-${position}', ${position}, 'Label', ${depth}, 'Cause', 'Implication')`;
const insertLabels = (...rows: string[]) => `insert into drawdown_labels values ${rows.join(', ')}`;

const headwind = (key: string, rank: number, id: number | string = ID) =>
  `insert into headwinds values (${id}, '${key}', ${rank}, 'Title', 'Description')`;

/** A framework written as the service writes it: the parts, then the row that seals them. */
function framework({ scenarios = THREE, labels, more, row }: Parts = {}): string {
  const sealing = `insert into frameworks (id, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references")
    select ${ID}, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references"
      from frameworks where id = ${STORED}`;
  return [scenarios, labels, more, row ?? sealing].filter(Boolean).join('; ');
}

test.each<[string, Parts]>([
  ['alone', {}],
  [
    'with bands',
    {
      scenarios: insertScenarios(
        scenario('bear', 'null', '-0.1'),
        scenario('base', '-0.1', '0.1'),
        scenario('bull', '0.1'),
      ),
    },
  ],
  [
    'with outer bounds and central returns, below −1 too',
    {
      scenarios: insertScenarios(
        scenario('bear', '-1.5', '-0.1', '-1.2'),
        scenario('base', '-0.1', '0.1', '-0.1'),
        scenario('bull', '0.1', '9', '0.3'),
      ),
    },
  ],
  [
    'with central returns alone',
    {
      scenarios: insertScenarios(
        scenario('bear', 'null', 'null', '-2'),
        scenario('base'),
        scenario('bull', 'null', 'null', '2'),
      ),
    },
  ],
  [
    'with labels, some without a depth',
    { labels: insertLabels(label(1, '0.1'), label(2, 'null'), label(3, '0.2')) },
  ],
  ['with a headwind', { more: headwind('rates', 1) }],
])('a framework %s is taken, and a version that points to it', async (_, parts) => {
  const pointing = version({ kind: `'framework'`, framework_id: String(ID) });
  expect(await attempt(owner, `${framework(parts)}; ${pointing}`)).toBeNull();
});

test.each<[string, string[], string]>([
  ['none', [], 'frameworks_three_scenarios'],
  ['two', [scenario('bear'), scenario('bull')], 'frameworks_three_scenarios'],
  [
    'four',
    [scenario('bear'), scenario('base'), scenario('bull'), scenario('crash')],
    'scenarios_name',
  ],
  ['a wrong name', [scenario('bear'), scenario('base'), scenario('Bull')], 'scenarios_name'],
  [
    'one twice',
    [scenario('bear'), scenario('base'), scenario('base')],
    'scenarios_framework_id_name_pk',
  ],
  [
    'bands on two of the',
    [scenario('bear', 'null', '0'), scenario('base'), scenario('bull', '0')],
    'frameworks_return_bands',
  ],
  [
    'a hole between the',
    [scenario('bear', 'null', '-0.2'), scenario('base', '-0.1', '0.1'), scenario('bull', '0.1')],
    'frameworks_return_bands',
  ],
  [
    'an overlap of the',
    [scenario('bear', 'null', '-0.1'), scenario('base', '-0.2', '0.1'), scenario('bull', '0.1')],
    'frameworks_return_bands',
  ],
  ...['-0.1', '0', `'NaN'`, `'-Infinity'`].map((min): [string, string[], string] => [
    `a bear band from ${min} in the`,
    [scenario('bear', min, '-0.1'), scenario('base', '-0.1', '0.1'), scenario('bull', '0.1')],
    'frameworks_return_bands',
  ]),
  ...['0.1', '0', `'NaN'`, `'Infinity'`].map((max): [string, string[], string] => [
    `a bull band up to ${max} in the`,
    [
      scenario('bear', 'null', '-0.1'),
      scenario('base', '-0.1', '0.1'),
      scenario('bull', '0.1', max),
    ],
    'frameworks_return_bands',
  ]),
  ...['-0.11', '0.1', `'NaN'`, `'Infinity'`].map((central): [string, string[], string] => [
    `a central return of ${central} in the`,
    [
      scenario('bear', 'null', '-0.1'),
      scenario('base', '-0.1', '0.1', central),
      scenario('bull', '0.1'),
    ],
    'scenarios_central_return',
  ]),
  [
    'an infinite central return in unbounded',
    [scenario('bear', 'null', 'null', `'-Infinity'`), scenario('base'), scenario('bull')],
    'scenarios_central_return',
  ],
  [
    'an empty band in the',
    [scenario('bear', 'null', '0'), scenario('base', '0', '0'), scenario('bull', '0')],
    'frameworks_return_bands',
  ],
  [
    'a backward band in the',
    [scenario('bear', 'null', '0.1'), scenario('base', '0.1', '-0.1'), scenario('bull', '-0.1')],
    'frameworks_return_bands',
  ],
  [
    'bands up to infinity in the',
    [
      scenario('bear', 'null', '0'),
      scenario('base', '0', `'Infinity'`),
      scenario('bull', `'Infinity'`),
    ],
    'frameworks_return_bands',
  ],
  [
    'bands from minus infinity in the',
    [
      scenario('bear', 'null', `'-Infinity'`),
      scenario('base', `'-Infinity'`, '0'),
      scenario('bull', '0'),
    ],
    'frameworks_return_bands',
  ],
  [
    'bands at NaN in the',
    [scenario('bear', 'null', '0'), scenario('base', '0', `'NaN'`), scenario('bull', `'NaN'`)],
    'frameworks_return_bands',
  ],
])('a framework with %s scenarios is refused', async (_, rows, rule) => {
  const scenarios = rows.length > 0 ? insertScenarios(...rows) : '';
  expect(await refusal(owner, framework({ scenarios }))).toBe(rule);
});

test.each<[string, string[], string]>([
  ['from deep to shallow', [label(1, '0.2'), label(2, '0.1')], 'frameworks_drawdown_order'],
  ['of one depth', [label(1, '0.1'), label(2, '0.1')], 'frameworks_drawdown_order'],
  [
    'unordered around one without a depth',
    [label(1, '0.2'), label(2, 'null'), label(3, '0.1')],
    'frameworks_drawdown_order',
  ],
  ['from depth 0', [label(1, '0')], 'drawdown_labels_min_depth'],
  ['deeper than all', [label(1, '1.1')], 'drawdown_labels_min_depth'],
  ['of no number', [label(1, `'NaN'`)], 'drawdown_labels_min_depth'],
  [
    'at one position',
    [label(1, '0.1'), label(1, '0.2').replace('label-1', 'other')],
    'drawdown_labels_position',
  ],
])('a framework with drawdown labels %s is refused', async (_, rows, rule) => {
  expect(await refusal(owner, framework({ labels: insertLabels(...rows) }))).toBe(rule);
});

const condition = (key: string, position: number, invalidates = 'bear', id: number | string = ID) =>
  `insert into invalidation_conditions values (${id}, '${key}', ${position}, '${invalidates}', 'Statement')`;
const columns =
  'id, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references"';
const row = (hash: string, risks: string, id: number | string = ID) =>
  `insert into frameworks (${columns})
    select ${id}, outlook_id, ${hash}, title, summary, ${risks}, positioning, metrics, faqs, "references"
      from frameworks where id = ${STORED}`;
test.each<[string, Parts, string]>([
  [
    'one headwind twice',
    { more: `${headwind('rates', 1)}; ${headwind('rates', 2)}` },
    'headwinds_framework_id_key_pk',
  ],
  [
    'two headwinds of one rank',
    { more: `${headwind('rates', 1)}; ${headwind('breadth', 1)}` },
    'headwinds_rank',
  ],
  ['a headwind of rank 0', { more: headwind('rates', 0) }, 'headwinds_rank_from_1'],
  [
    'one condition twice',
    { more: `${condition('relief', 1)}; ${condition('relief', 2)}` },
    'invalidation_conditions_framework_id_key_pk',
  ],
  [
    'two conditions at one place',
    { more: `${condition('relief', 1)}; ${condition('other', 1)}` },
    'invalidation_conditions_position',
  ],
  [
    'a condition of no scenario',
    { more: condition('relief', 1, 'crash') },
    'invalidation_conditions_invalidates',
  ],
  [
    'a scenario that points nowhere',
    { scenarios: THREE.replace("'lower'", "'up'") },
    'scenarios_direction',
  ],
  ['a hash of another length', { row: row(`'short'`, 'risks') }, 'frameworks_hash'],
  ['a list that is none', { row: row('hash', `'{}'`) }, 'frameworks_lists'],
  ['an id that is taken', { scenarios: '', row: row('hash', 'risks', 'id') }, 'frameworks_pkey'],
])('a framework with %s is refused', async (_, parts, rule) => {
  expect(await refusal(owner, framework(parts))).toBe(rule);
});

describe('once a framework is published', () => {
  const late = (table: string, statement: string) =>
    [table, statement, `${table}_framework_sealed`] as const;
  test.each([
    late('scenarios', insertScenarios(scenario('bear').replace(String(ID), STORED))),
    late('headwinds', headwind('late', 99, STORED)),
    late('drawdown_labels', insertLabels(label(99, 'null').replace(String(ID), STORED))),
    late('invalidation_conditions', condition('late', 99, 'bear', STORED)),
  ])('none of its %s can be added', async (_, statement, rule) => {
    expect(await refusal(owner, statement)).toBe(rule);
  });

  test('nothing can be added in the transaction that sealed it', async () => {
    expect(await refusal(owner, `${framework()}; ${headwind('late', 1)}`)).toBe(
      'headwinds_framework_sealed',
    );
  });

  test.each(['read committed', 'repeatable read', 'serializable'])(
    'nothing can be slipped in by a transaction that began before, at %s',
    async (isolation) => {
      const intruder = await openSession(ledger.url);
      const publisher = await openSession(ledger.url);
      try {
        await publisher.query(`set lock_timeout = '200ms'; begin`);
        await intruder.query(`begin isolation level ${isolation}; ${headwind('slipped-in', 9)}`);
        const published = publisher.query(`${framework()}; commit`);
        const [publishing] = await Promise.allSettled([published]);
        const [slipping] = await Promise.allSettled([intruder.query('commit')]);
        expect([publishing.status, slipping.status]).toContain('rejected');
      } finally {
        await intruder.end();
        await publisher.end();
      }
      const { rows } = await owner.query(
        `select f.id from frameworks f join headwinds h on h.framework_id = f.id where f.id = ${ID}`,
      );
      expect(rows).toEqual([]);
    },
  );
});

test.each([
  ['scenarios', THREE],
  ['headwinds', headwind('rates', 1)],
  ['drawdown_labels', insertLabels(label(1, '0.1'))],
  ['invalidation_conditions', condition('relief', 1)],
])('%s of a framework that never comes are refused', async (table, statement) => {
  expect(await refusal(owner, statement)).toBe(`${table}_framework_id_frameworks_id_fk`);
});

const ruled = (combination = 'null') =>
  `insert into invalidation_conditions (framework_id, key, position, invalidates, statement, combination)
   values (${ID}, 'met', 1, 'bear', 'Statement', ${combination})`;
const comparison = (position = 1, change: Record<string, string> = {}) => {
  const row = {
    framework_id: String(ID),
    condition_key: `'met'`,
    position: String(position),
    series_id: '(select min(id) from series)',
    operator: `'lt'`,
    threshold: '4',
    for_observations: '1',
    ...change,
  };
  return `insert into condition_comparisons (${Object.keys(row).join(', ')})
    values (${Object.values(row).join(', ')})`;
};
const all = (...statements: string[]) => framework({ more: statements.join('; ') });

test.each([
  ['a condition without a rule', all(ruled())],
  ['a rule of one comparison', all(ruled(), comparison())],
  ['a rule of several', all(ruled(`'any'`), comparison(1), comparison(2))],
  ['a label that is defined by its speed', all(speed(`null, 0.2, 10`))],
])('%s is taken', async (_, statements) => {
  const pointing = version({ kind: `'framework'`, framework_id: String(ID) });
  expect(await attempt(owner, `${statements}; ${pointing}`)).toBeNull();
});

function speed(values: string): string {
  return `insert into drawdown_labels (framework_id, key, position, label, min_depth, speed_depth,
    speed_days, typical_cause, implication)
    values (${ID}, 'crash', 1, 'Crash', ${values}, 'Cause', 'Implication')`;
}

test.each([
  ['a combination of one', all(ruled(`'all'`), comparison()), 'frameworks_rules'],
  ['a combination of none', all(ruled(`'all'`)), 'frameworks_rules'],
  ['several that nothing combines', all(ruled(), comparison(1), comparison(2)), 'frameworks_rules'],
  ['another combination', all(ruled(`'most'`)), 'invalidation_conditions_combination'],
  ['a comparison for no condition', all(comparison()), 'condition_comparisons_condition'],
  [
    'an unknown operator',
    all(ruled(), comparison(1, { operator: `'eq'` })),
    'condition_comparisons_operator',
  ],
  [
    'a threshold that is no number',
    all(ruled(), comparison(1, { threshold: `'NaN'` })),
    'condition_comparisons_threshold',
  ],
  [
    'no observation',
    all(ruled(), comparison(1, { for_observations: '0' })),
    'condition_comparisons_for_observations',
  ],
  [
    'a series that there is not',
    all(ruled(), comparison(1, { series_id: '-1' })),
    'condition_comparisons_series_id_series_id_fk',
  ],
  ['a depth beside a speed', all(speed('0.3, 0.2, 10')), 'drawdown_labels_speed'],
  ['half a speed', all(speed('null, 0.2, null')), 'drawdown_labels_speed'],
  ['a speed over no day', all(speed('null, 0.2, 0')), 'drawdown_labels_speed'],
  ['a speed of no depth', all(speed('null, 0, 10')), 'drawdown_labels_speed'],
])('%s is refused', async (_, statements, rule) => {
  expect(await refusal(owner, statements)).toBe(rule);
});
