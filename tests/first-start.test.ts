import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';
import { loadSamples } from '../src/first-start.ts';
import { SLUG } from './support/ledger.ts';
import { createDatabase, openDatabase } from './support/database.ts';

let pool: pg.Pool;
beforeAll(async () => {
  pool = openDatabase(await createDatabase(), 2);
});
afterAll(() => pool.end());

const slugs = async () =>
  (await pool.query<{ slug: string }>('select slug from outlooks')).rows.map(({ slug }) => slug);

// The last day of the sample's horizon is 30 March 2027.
test('a ledger that starts after the end of the sample has its series and instrument, and no outlook', async () => {
  await loadSamples(pool, new Date('2027-03-31T00:00:00.000Z'));
  expect(await slugs()).toEqual([]);
  const { rows } = await pool.query<object>('select symbol from instruments');
  expect(rows).toEqual([{ symbol: 'RUT' }]);
  // A second start changes nothing, either.
  await loadSamples(pool, new Date('2028-01-01T00:00:00.000Z'));
  expect(await slugs()).toEqual([]);
});

test('until then it has the sample', async () => {
  await loadSamples(pool, new Date('2027-03-30T23:59:59.999Z'));
  expect(await slugs()).toEqual([SLUG]);
});

test.each([
  ['that has the sample', SLUG],
  ['without the sample', 'other'],
])('a ledger %s starts with a policy that asks for approval of new outlooks', async (_, slug) => {
  const own = openDatabase(await createDatabase(), 2);
  const at = new Date('2027-03-30T00:00:00.000Z');
  if (slug === SLUG) await loadSamples(own, at);
  await own.query(`insert into desk_policies (desk_id, version, outlook, revision, framework, resolution, withdrawal, consensus,
      author_may_resolve, author_id, recorded_at)
    values (1, 1, 1, 1, 1, 1, 1, 1, true, null, '2027-03-30')`);
  await loadSamples(own, at);
  const { rowCount } = await own.query('select from outlooks');
  expect(rowCount).toBe(slug === SLUG ? 1 : 0);
  await own.end();
});

// Whoever runs a ledger of their own may have these names for something else.
test.each([
  [
    'whose first desk has an internal series with a key of the sample',
    `insert into series (key, name, unit, frequency, dated, source, created_at, desk_id, is_internal)
     values ('rut-close', 'Close', 'index', 'daily', 'end', 'Ours', '2027-01-01', 1, true)`,
  ],
  [
    'where another desk has the series of the sample',
    `with added as (insert into desks (slug, name, created_at) values ('rates', 'Rates', '2027-01-01') returning id)
     insert into series (key, name, unit, frequency, dated, source, created_at, desk_id, is_internal)
     select 'rut-close', 'Close', 'index', 'daily', 'end', 'Ours', '2027-01-01', id, false from added`,
  ],
  [
    'where the analyst of the sample is deactivated',
    `with added as (insert into analysts (name, created_at) values ('Sample desk', '2027-01-01') returning id)
     insert into analyst_changes (analyst_id, kind, recorded_at) select id, 'deactivated', '2027-01-02' from added`,
  ],
])('a ledger %s starts', async (_, statement) => {
  const own = openDatabase(await createDatabase(), 2);
  await own.query(statement);
  await expect(loadSamples(own, new Date('2027-03-30T00:00:00.000Z'))).resolves.toBeUndefined();
  await own.end();
});
