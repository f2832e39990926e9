import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, outlookBody, send } from '../support/requests.ts';
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
  await createOver();
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

/** An outlook with return bands and all its closes, whose horizon is over. */
async function createOver(): Promise<void> {
  const { bear, base, bull } = outlookBody()['scenarios'] as Record<string, object>;
  const { now } = ledger.clock;
  const series = { key: 'over-close', name: 'N', unit: 'points', frequency: 'daily', source: 'S' };
  await send(ledger, 'POST', '/v1/series', series, { as: 'feed' });
  const instrument = { symbol: 'OVER', name: 'N', kind: 'index', closes: 'over-close' };
  await send(ledger, 'POST', '/v1/instruments', instrument);
  const observations = [
    { date: '2025-12-31', value: 100 },
    { date: '2026-11-19', value: 75 },
  ];
  const url = '/v1/series/over-close/observations';
  await send(ledger, 'POST', url, { observations }, { as: 'feed' });
  // It is created while its horizon runs.
  ledger.clock.now = new Date('2026-11-19T16:00:00.000Z');
  const created = await createOutlook(ledger, {
    slug: 'over',
    instrument: 'OVER',
    horizon: { from: '2026-01-01', to: '2026-11-20' },
    scenarios: {
      bear: { ...bear, returnBand: { max: -0.1 } },
      base: { ...base, returnBand: { min: -0.1, max: 0.1 } },
      bull: { ...bull, returnBand: { min: 0.1 } },
    },
  });
  ledger.clock.now = now;
  expect(created.statusCode, created.body).toBe(201);
}

type Values = Record<string, string>;
const insert = (table: string, values: Values) =>
  `insert into ${table} (${Object.keys(values).join(', ')}) select ${Object.values(values).join(', ')}`;
const outlook = (slug: string) => `(select id from outlooks where slug = '${slug}')`;
const author = `(select author_id from outlook_versions limit 1)`;

/** Of an outlook whose horizon is over, by its closes. */
const resolution = (change: Values = {}) =>
  insert('resolutions', {
    outlook_id: outlook('over'),
    number: '1',
    outcome: `'bear'`,
    realised_return: '-0.25',
    reason: 'null',
    band_low: '-0.1',
    band_high: '0.1',
    start_date: `'2025-12-31'::date`,
    start_value: '100',
    end_date: `'2026-11-19'::date`,
    end_value: '75',
    author_id: author,
    recorded_at: `'2026-11-20T16:00:00Z'::timestamptz`,
    ...change,
  });
const NO_CLOSES = {
  start_date: 'null::date',
  start_value: 'null::float8',
  end_date: 'null::date',
  end_value: 'null::float8',
};
/** Of the sample, before its horizon is over. */
const early = (change: Values = {}) =>
  resolution({
    outlook_id: outlook(SLUG),
    reason: `'R'`,
    band_low: 'null::float8',
    band_high: 'null::float8',
    ...NO_CLOSES,
    ...change,
  });

const reopening = (change: Values = {}) =>
  resolution({
    number: '2',
    outcome: 'null',
    realised_return: 'null::float8',
    reason: `'R'`,
    ...NO_CLOSES,
    reopens: 'true',
    ...change,
  });

describe('a resolution', () => {
  test.each([
    ['by the closes', resolution()],
    ['against the closes, with a reason', resolution({ outcome: `'bull'`, reason: `'R'` })],
    ['void, with a reason', resolution({ outcome: 'null', reason: `'R'` })],
    ['early, with a reason', early()],
    ['anew, with a reason', `${resolution()}; ${resolution({ number: '2', reason: `'R'` })}`],
    ['known when the last close was', resolution({ known_at: `'2026-11-20T00:00:00Z'` })],
    ['known earlier, with a reason', resolution({ known_at: `'2026-06-01'`, reason: `'R'` })],
    ['reopened, with a reason', `${resolution()}; ${reopening()}`],
    [
      'after a reopening, without one',
      `${resolution()}; ${reopening()}; ${resolution({ number: '3' })}`,
    ],
  ])('%s is taken', async (_, statement) => {
    expect(await attempt(owner, statement)).toBeNull();
  });

  const anew = (change: Values) => `${resolution()}; ${resolution(change)}`;
  test.each([
    [
      'against the closes without one',
      resolution({ outcome: `'bull'` }),
      'resolutions_contradiction',
    ],
    [
      'against its own return without one',
      resolution({ realised_return: '0.5', ...NO_CLOSES }),
      'resolutions_contradiction',
    ],
    ['void without one', resolution({ outcome: 'null' }), 'resolutions_reason_given'],
    ['early without one', early({ reason: 'null' }), 'resolutions_early'],
    ['anew without one', anew({ number: '2' }), 'resolutions_reason_given'],
    ['for a blank one', resolution({ reason: `' '` }), 'resolutions_reason'],
    ['twice', anew({ reason: `'R'` }), 'resolutions_gapless'],
    ['by a number to come', resolution({ number: '2', reason: `'R'` }), 'resolutions_gapless'],
    ['by no number', resolution({ number: '0' }), 'resolutions_gapless'],
    ['of another outcome', early({ outcome: `'crash'` }), 'resolutions_outcome'],
    ['of no number', early({ realised_return: `'NaN'::float8` }), 'resolutions_realised_return'],
    ['by another band', resolution({ band_low: '-0.3' }), 'resolutions_band_stands'],
    ['by no band', resolution({ band_low: 'null::float8' }), 'resolutions_band_stands'],
    ['by a close only', resolution({ end_value: 'null::float8' }), 'resolutions_closes'],
    ['by a close of nothing', resolution({ start_value: '0' }), 'resolutions_closes'],
    [
      'from a close within the horizon',
      resolution({ start_date: `'2026-01-01'::date` }),
      'resolutions_closes_of_horizon',
    ],
    [
      'by a close after the horizon',
      resolution({ end_date: `'2026-11-20'::date` }),
      'resolutions_closes_of_horizon',
    ],
    [
      'by closes before the end',
      early({
        start_date: `'2026-03-30'`,
        start_value: '1',
        end_date: `'2026-11-19'`,
        end_value: '1',
      }),
      'resolutions_early',
    ],
    [
      'that is superseded from the start',
      resolution().replace('recorded_at) select', 'recorded_at, superseded_at) select') + ', now()',
      'resolutions_newest',
    ],
    [
      'by closes of which the last is not in',
      `insert into observations (series_id, date, recorded_at, value, provenance)
         select id, '2026-11-19', now(), null, 'sourced' from series where key = 'over-close';
       ${resolution({ end_date: `'2026-11-18'::date` })}`,
      'resolutions_close_awaited',
    ],
    [
      'known later than the last close was',
      resolution({ known_at: `'2026-11-20T00:00:00.001Z'`, reason: `'R'` }),
      'resolutions_known_late',
    ],
    [
      'known earlier without a reason',
      resolution({ known_at: `'2026-11-19'` }),
      'resolutions_known_early',
    ],
    [
      'known before the horizon',
      resolution({ known_at: `'2025-12-31'`, reason: `'R'` }),
      'resolutions_known_within',
    ],
    [
      'void and known',
      resolution({ outcome: 'null', reason: `'R'`, known_at: `'2026-11-19'` }),
      'resolutions_known_at',
    ],
    ['that reopens nothing', reopening({ number: '1' }), 'resolutions_reopens'],
    [
      'that reopens twice',
      `${resolution()}; ${reopening()}; ${reopening({ number: '3' })}`,
      'resolutions_reopens',
    ],
    [
      'that reopens with an outcome',
      `${resolution()}; ${reopening({ outcome: `'bear'` })}`,
      'resolutions_reopens',
    ],
    [
      'that reopens without a reason',
      `${resolution()}; ${reopening({ reason: 'null' })}`,
      'resolutions_reason_given',
    ],
    ['of no outlook', early({ outlook_id: '-1' }), 'resolutions_outlook_id_outlooks_id_fk'],
    [
      'by nobody',
      resolution({ author_id: 'gen_random_uuid()' }),
      'resolutions_author_id_analysts_id_fk',
    ],
  ])('%s is refused', async (_, statement, rule) => {
    expect(await refusal(owner, statement)).toBe(rule);
  });

  test('is not superseded by hand', async () => {
    const statement = `${resolution()}; update resolutions set superseded_at = now() where number = 1`;
    expect(await refusal(owner, statement)).toBe('resolutions_append_only');
  });

  test('never comes before the one that it supersedes, whatever the clock says', async () => {
    await owner.query('begin');
    await owner.query(resolution());
    const back = { number: '2', reason: `'R'`, recorded_at: `'2026-11-20T15:00:00Z'::timestamptz` };
    await owner.query(resolution(back));
    const { rows } = await owner.query(
      `select recorded_at as at from resolutions where outlook_id = ${outlook('over')} order by number`,
    );
    await owner.query('rollback');
    expect(rows.map(({ at }: { at: Date }) => at.toISOString())).toEqual([
      '2026-11-20T16:00:00.000Z',
      '2026-11-20T16:00:00.000Z',
    ]);
  });

  test('cites evidence of its own outlook', async () => {
    const cite = insert('resolution_evidence', {
      outlook_id: outlook('over'),
      number: '1',
      position: '1',
      evidence_id: `(select id from evidence limit 1)`,
    });
    expect(await refusal(owner, `${resolution()}; ${cite}`)).toBe('resolution_evidence_of_outlook');
  });
});

test.each([
  [
    'a forecaster',
    insert('forecasters', {
      outlook_id: outlook(SLUG),
      source: `'view'`,
      analyst_id: author,
      since: 'now()',
    }),
    'forecasters_derived',
  ],
  [
    'a sum',
    `insert into forecast_sums select (jsonb_populate_record(s, '{"id": 999, "number": 9}')).* from forecast_sums s limit 1`,
    'forecast_sums_derived',
  ],
  [
    'a bucket',
    `insert into forecast_buckets select (jsonb_populate_record(b, '{"bucket": 9}')).* from forecast_buckets b limit 1`,
    'forecast_buckets_derived',
  ],
  [
    'a lead',
    `insert into forecast_leads values (1, 0, 10, 3000, 4500, 2500, 'bear', 0.755, null)`,
    'forecast_leads_derived',
  ],
])('%s is not added by hand', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});

test('sums cover the versions that were current within the horizon', async () => {
  const { rows } = await owner.query<Record<string, number> & { source: string }>(
    `select s.source, s.bear_share + s.base_share + s.bull_share as share, b.bear_predicted + b.base_predicted as predicted,
        (select count(*)::int from forecast_leads l where l.sums_id = s.id) as leads
       from forecast_sums s left join forecast_buckets b on b.sums_id = s.id and b.bucket = 4
      where s.outlook_id = ${outlook('resolved-case')} order by s.source, s.analyst_id nulls first`,
  );
  // 40 of 365 days, a version that was never current, the consensus after it, and a view; all say bear 0.4, base 0.4. One
  // tenth of the horizon lies in them, the seventh.
  const share = 40 / 365;
  expect(rows.map(({ source }) => source)).toEqual(['combined', 'version', 'version', 'view']);
  for (const row of rows) {
    expect((row['share'] ?? NaN) / share).toBeCloseTo(1, 4);
    expect((row['predicted'] ?? 0) / share).toBeCloseTo(row.source === 'combined' ? 0 : 0.8, 4);
    expect(row['leads']).toBe(row.source === 'combined' ? 0 : 1);
  }
});

test('the conditions of an outlook that is closed stay as they are', async () => {
  const change = insert('condition_changes', {
    outlook_id: outlook('resolved-case'),
    key: `'refinancing-stress'`,
    state: `'triggered'`,
    cause: `'assessment'`,
    invalidates: `'bull'`,
    version: '0',
    reason: `'Because.'`,
    observations: `'[]'::json`,
    author_id: author,
    rationale: `'Why.'`,
    recorded_at: 'now()',
  });
  expect(await refusal(owner, change)).toBe('condition_changes_open');
  expect(await attempt(owner, change.replace('resolved-case', 'over'))).toBeNull();
});

/** The second version of a view of the sample. */
const view = (change: Values = {}) =>
  insert('views', {
    outlook_id: outlook(SLUG),
    analyst_id: `(select id from analysts where name = 'Another desk')`,
    version: '2',
    bear_bps: '5000',
    base_bps: '3000',
    bull_bps: '2000',
    rationale: `'R'`,
    recorded_at: 'now()',
    ...change,
  });

describe('a view', () => {
  test('is taken', async () => {
    expect(await attempt(owner, view())).toBeNull();
  });

  test.each([
    ['whose sum is off', { bear_bps: '5001' }, 'views_probabilities_sum_to_1'],
    ['below nothing', { bear_bps: '-1', base_bps: '8001' }, 'views_probabilities_in_range'],
    ['without a rationale', { rationale: `' '` }, 'views_rationale'],
    ['that leaves one out', { version: '3' }, 'views_gapless'],
    ['that is there', { version: '1' }, 'views_gapless'],
    [
      'that says what it said',
      { bear_bps: '4000', base_bps: '4000', rationale: `'More so.'` },
      'views_change',
    ],
    [
      'of an outlook that is closed',
      { outlook_id: outlook('resolved-case'), version: '1' },
      'views_open',
    ],
    [
      'of nobody',
      { analyst_id: 'gen_random_uuid()', version: '1' },
      'views_analyst_id_analysts_id_fk',
    ],
  ])('%s is refused', async (_, change, rule) => {
    expect(await refusal(owner, view(change))).toBe(rule);
  });
});

describe('a consensus', () => {
  const pooled = (change: Values = {}) =>
    insert('version_views', {
      outlook_id: outlook(SLUG),
      version: '3',
      analyst_id: `(select id from analysts where name = 'Another desk')`,
      view_version: '1',
      weight: '1',
      ...change,
    });
  const consensus = version({ consensus_method: `'linear'`, consensus_weights: `'equal'` });

  test('comes with its views', async () => {
    expect(await attempt(owner, `${consensus}; ${pooled()}`)).toBeNull();
  });

  test.each([
    ['without views', consensus, 'outlook_versions_pooled_views'],
    [
      'whose weights leave something out',
      `${consensus}; ${pooled({ weight: '0.5' })}`,
      'outlook_versions_pooled_views',
    ],
    [
      'with a weight below nothing',
      `${consensus}; ${pooled({ weight: '-1' })}`,
      'version_views_weight',
    ],
    [
      'of a view that there is not',
      `${consensus}; ${pooled({ view_version: '9' })}`,
      'version_views_view',
    ],
    ['by no weights', version({ consensus_method: `'linear'` }), 'outlook_versions_consensus'],
    [
      'by another method',
      version({ consensus_method: `'median'`, consensus_weights: `'equal'` }),
      'outlook_versions_consensus',
    ],
    ['that is none', `${version()}; ${pooled()}`, 'version_views_consensus'],
    ['of before, to which a view is added', pooled({ version: '2' }), 'version_views_consensus'],
  ])('%s is refused', async (_, statement, rule) => {
    expect(await refusal(owner, statement)).toBe(rule);
  });
});

describe('a withdrawal', () => {
  const stay = { bear_bps: 'bear_bps', base_bps: 'base_bps' };
  const withdrawal = version({ kind: `'withdrawn'`, ...stay });

  test('closes the outlook', async () => {
    await owner.query('begin');
    await owner.query(withdrawal);
    const { rows } = await owner.query(`select status from outlooks where slug = '${SLUG}'`);
    await owner.query('rollback');
    expect(rows).toEqual([{ status: 'withdrawn' }]);
  });

  test.each([
    ['that moves the numbers', version({ kind: `'withdrawn'` }), 'outlook_versions_withdrawn'],
    [
      'that brings another framework',
      version({ kind: `'withdrawn'`, ...stay, framework_id: '-1' }),
      'outlook_versions_kind_of_change',
    ],
    [
      'that is followed',
      `${withdrawal}; ${version({ hash: `sha256('after')` }).replace('version = 2', 'version = 3')}`,
      'outlook_versions_open',
    ],
  ])('%s is refused', async (_, statement, rule) => {
    expect(await refusal(owner, statement)).toBe(rule);
  });
});
