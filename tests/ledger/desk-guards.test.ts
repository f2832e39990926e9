import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { SLUG } from '../support/ledger.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
  await owner.query(`
    insert into desks (slug, name, created_at) values ('credit', 'Credit', now());
    insert into series (key, name, unit, frequency, source, created_at, desk_id, is_internal) values
      ('credit-internal', 'Spreads', 'percent', 'daily', 'A survey', now(), 2, true),
      ('main-internal', 'Orders', 'percent', 'daily', 'A survey', now(), 1, true);
    begin;
    ${outlook('internal', 'desk_id, is_internal', '2, true')};
    ${outlook('public', 'desk_id', '2')};
    commit`);
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

/** Copies the sample as a new outlook with version 1. */
function outlook(slug: string, columns: string, values: string, watched = ''): string {
  return `
    insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at, ${columns})
    select '${slug}', instrument_id, horizon_from, horizon_to + 1, published_at, ${values} from outlooks where slug = '${SLUG}';
    ${framework(slug, watched)};
    insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps, bull_bps, author_id, rationale, recorded_at, hash)
    select o.id, 1, 'created', f.id, 3000, 4500, 2500, v.author_id, 'Why', v.recorded_at, sha256('${slug}')
      from outlooks o join frameworks f on f.outlook_id = o.id, outlook_versions v
     where o.slug = '${slug}' and v.version = 1 and v.outlook_id = (select id from outlooks where slug = '${SLUG}')`;
}

/** A framework of an outlook, with the scenarios of the sample's; its only condition watches a series, unless that is empty. */
function framework(slug: string, watched: string): string {
  const rule =
    watched === ''
      ? 'select'
      : `insert into invalidation_conditions (framework_id, key, position, invalidates, statement)
           values (currval('frameworks_id_seq'), 'watched', 1, 'bear', 'It falls.');
         insert into condition_comparisons (framework_id, condition_key, position, series_id, operator, threshold, for_observations)
           select currval('frameworks_id_seq'), 'watched', 1, id, 'lt', 1, 1 from series where key = '${watched}'`;
  return `select nextval('frameworks_id_seq');
    insert into scenarios select (jsonb_populate_record(s, jsonb_build_object('framework_id', currval('frameworks_id_seq')))).*
      from scenarios s where framework_id = (select framework_id from outlooks where slug = '${SLUG}');
    ${rule};
    insert into frameworks overriding system value
    select (jsonb_populate_record(f, jsonb_build_object('id', currval('frameworks_id_seq'), 'outlook_id', o.id, 'hash', sha256('${slug} ${watched}')::text))).*
      from frameworks f, outlooks o where f.id = (select framework_id from outlooks where slug = '${SLUG}') and o.slug = '${slug}'`;
}

const disclose = (slug: string) => `
  insert into disclosures (outlook_id, author_id, recorded_at)
  select o.id, a.id, now() from outlooks o, (select id from analysts limit 1) a where o.slug = '${slug}'`;
const discloseSeries = (key: string) => `
  insert into disclosures (series_id, author_id, recorded_at)
  select s.id, a.id, now() from series s, (select id from analysts limit 1) a where s.key = '${key}'`;

describe('the visibility of an outlook or a series', () => {
  test('an outlook starts internal to its own desk, whatever the statement says', async () => {
    const { rows } = await owner.query(
      `select slug, desk_id, internal_to from outlooks where slug in ('internal', 'public') order by slug`,
    );
    expect(rows).toEqual([
      { slug: 'internal', desk_id: 2, internal_to: 2 },
      { slug: 'public', desk_id: 2, internal_to: null },
    ]);
    expect(
      await attempt(
        owner,
        `insert into series (key, name, unit, frequency, source, created_at, desk_id, internal_to)
           values ('x', 'X', 'x', 'daily', 'x', now(), 2, 1);
         do $$ begin assert (select internal_to is null from series where key = 'x'); end $$`,
      ),
    ).toBeNull();
  });

  test.each([
    [
      'an outlook is made public',
      `update outlooks set internal_to = null where slug = 'internal'`,
      'outlooks_visibility',
    ],
    [
      'an outlook is made internal',
      `update outlooks set internal_to = 2 where slug = 'public'`,
      'outlooks_visibility',
    ],
    [
      'an outlook changes its desk',
      `update outlooks set desk_id = 1 where slug = 'public'`,
      'outlooks_subject_fixed',
    ],
    [
      'how an outlook started is rewritten',
      `update outlooks set is_internal = null where slug = 'internal'`,
      'outlooks_subject_fixed',
    ],
    [
      'a series is made public',
      `update series set internal_to = null where key = 'credit-internal'`,
      'series_append_only',
    ],
    [
      'a series changes its desk',
      `update series set desk_id = 1 where key = 'credit-internal'`,
      'series_append_only',
    ],
    ['a public outlook is disclosed', disclose('public'), 'disclosures_internal'],
    [
      'an outlook is disclosed twice',
      `${disclose('internal')}; ${disclose('internal')}`,
      'disclosures_outlook_id_unique',
    ],
    ['a public series is disclosed', discloseSeries('rut-close'), 'disclosures_internal'],
    ['an outlook of no desk', outlook('x', 'desk_id', '99'), 'outlooks_desk_id_desks_id_fk'],
    ['a desk changes its slug', `update desks set slug = 'rates' where id = 2`, 'desks_fixed'],
  ])('stays if %s', async (_, statements, rule) => {
    expect(await refusal(owner, statements)).toBe(rule);
  });

  test('changes by a disclosure, which is an event', async () => {
    const done = `${disclose('internal')}; ${discloseSeries('credit-internal')};
      do $$ begin
        assert (select internal_to is null and is_internal from outlooks where slug = 'internal');
        assert (select internal_to is null from series where key = 'credit-internal');
        assert (select count(*) = 1 from events where kind = 'outlook.disclosed');
      end $$`;
    expect(await attempt(owner, done)).toBeNull();
  });
});

describe('the series that an outlook watches', () => {
  test.each([
    ['public', 'desk_id', '2', 'us-30y-yield', null],
    [
      'internal, of an internal outlook of its desk',
      'desk_id, is_internal',
      '2, true',
      'credit-internal',
      null,
    ],
    [
      'internal, of a public outlook',
      'desk_id',
      '2',
      'credit-internal',
      'frameworks_series_visibility',
    ],
    [
      'internal to another desk',
      'desk_id, is_internal',
      '2, true',
      'main-internal',
      'frameworks_series_visibility',
    ],
  ])('may be %s: %s', async (_, columns, values, watched, rule) => {
    const refused = await attempt(owner, outlook('watching', columns, values, watched));
    expect(refused?.constraint ?? null).toBe(rule);
  });

  test('are disclosed before it', async () => {
    const watching = outlook('watching', 'desk_id, is_internal', '2, true', 'credit-internal');
    const series = discloseSeries('credit-internal');
    expect(await refusal(owner, `${watching}; ${disclose('watching')}`)).toBe('disclosures_series');
    expect(await attempt(owner, `${watching}; ${series}; ${disclose('watching')}`)).toBeNull();
  });

  test('are public if they are the closes of an instrument', async () => {
    const closes = `(select id from series where key = 'main-internal')`;
    expect(
      await refusal(
        owner,
        `insert into instruments (symbol, name, kind, closes_id, created_at) values ('X', 'X', 'index', ${closes}, now())`,
      ),
    ).toBe('instruments_closes_public');
  });
});

describe('an outlook that continues another', () => {
  const later = (columns: string, values: string, continued: string) =>
    outlook(
      'later',
      `${columns}, continues_id`,
      `${values}, (select id from outlooks where slug = '${continued}')`,
    ).replace('horizon_to + 1', 'horizon_to + 2');
  test.each([
    ['is of its desk', later('desk_id', '1', 'public'), 'outlooks_continuation_desk'],
    [
      'is not internal if that is public',
      later('desk_id, is_internal', '2, true', 'public'),
      'outlooks_continuation_visibility',
    ],
    [
      'is not public if that is internal',
      later('desk_id', '2', 'internal'),
      'outlooks_continuation_visibility',
    ],
    [
      'is disclosed with it',
      `${later('desk_id, is_internal', '2, true', 'internal')}; ${disclose('later')}`,
      'disclosures_linked',
    ],
    [
      'is not forgotten when that is disclosed',
      `${later('desk_id, is_internal', '2, true', 'internal')}; ${disclose('internal')}`,
      'disclosures_linked',
    ],
  ])('%s', async (_, statements, rule) => {
    expect(await refusal(owner, statements)).toBe(rule);
  });

  test('is disclosed together with it', async () => {
    const both = `${later('desk_id, is_internal', '2, true', 'internal')}; ${disclose('internal')}; ${disclose('later')}`;
    expect(await attempt(owner, both)).toBeNull();
  });

  test('is not internal if that is disclosed at the same time', async () => {
    await owner.query(`begin; ${outlook('raced', 'desk_id, is_internal', '2, true')}; commit`);
    const other = await openSession(ledger.url);
    try {
      await other.query(`begin; ${disclose('raced')}`);
      const refused = refusal(owner, later('desk_id, is_internal', '2, true', 'raced'));
      await expect
        .poll(async () => {
          const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
          return (await ledger.pool.query(waiting)).rowCount;
        })
        .toBe(1);
      await other.query('commit');
      expect(await refused).toBe('outlooks_continuation_visibility');
    } finally {
      await other.end();
    }
  });
});

test.each([
  ['unknown desks', `'analyst', '{1,99}'`, 'api_keys_desks'],
  ['no desk', `'analyst', '{}'`, 'api_keys_desks'],
  ['an unnamed desk', `'analyst', '{1,null}'`, 'api_keys_desks'],
  ['a desk alone, for an admin', `'admin', '{1}'`, 'api_keys_desks'],
])('no key acts for %s', async (_, values, rule) => {
  const key = `insert into api_keys (analyst_id, role, desk_ids, hash, hint, created_at)
    select id, ${values}, sha256('key'), 'olk_12', now() from analysts limit 1`;
  expect(await refusal(owner, key)).toBe(rule);
});
