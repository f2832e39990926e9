import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyDerived } from '../../src/log/verification/derived.ts';
import { RowFaults } from '../../src/log/verification/faults.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { worlds } from '../support/forecast-worlds.ts';
import { naiveSums } from '../support/naive-sums.ts';
import { comparable, readTimes, storedSums } from '../support/stored-sums.ts';
import { WorldWriter } from '../support/world-writer.ts';

let pool: pg.Pool;
beforeAll(async () => {
  pool = openDatabase(await createDatabase());
  await pool.query('alter table outlooks disable trigger require_first_version');
});
afterAll(() => pool.end());

/** Numbers that differ by less than half of 1e-12 are equal. */
const close = (value: number): unknown => expect.closeTo(value, 12);

test('sums of forecasts are what the definitions say, worked through millisecond by millisecond', async () => {
  const writer = await WorldWriter.open(pool);
  const seen = { resolutions: 0, combined: 0, compared: 0, corrected: 0 };
  await fc.assert(
    fc.asyncProperty(worlds, async (world) => {
      const { id, resolved } = await writer.write(world);
      for (const { number, outlook, resolution } of resolved) {
        const times = await readTimes(pool, id, number, resolution);
        const expected = naiveSums(outlook, { ...resolution, ...times });
        expect(comparable(await storedSums(pool, id, number))).toEqual(comparable(expected, close));
        seen.resolutions += 1;
        seen.corrected += number > 1 ? 1 : 0;
        seen.combined += expected.filter(({ source }) => source === 'combined').length;
        seen.compared += expected.filter(({ climatology }) => climatology !== null).length;
      }
    }),
    { numRuns: 200 },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(30);
  // Later resolutions change nothing of it.
  const faults = new RowFaults();
  await verifyDerived(pool, faults, () => {});
  expect(faults.all()).toEqual([]);
});

test('reads the past closes once, whatever the number of bands', async () => {
  const symbol = 'CLOSES-OF-30-YEARS';
  await pool.query(
    `with closes as (
       insert into series (key, name, unit, frequency, source, created_at)
       values ('closes-of-30-years', 'Closes', 'points', 'daily', 'A desk', '2000-01-01') returning id
     ), observed as (
       insert into observations (series_id, date, value, provenance, recorded_at)
       select c.id, d, 100 + extract(doy from d) / 7 + extract(dow from d), 'sourced', '2026-01-01'
         from closes c, generate_series(date '1996-01-01', '2025-12-31', interval '1 day') as d)
     insert into instruments (symbol, name, kind, closes_id, created_at)
     select $1, 'An index', 'index', id, '2000-01-01' from closes`,
    [symbol],
  );
  const { rows } = await pool.query<{ id: number; analyst: string }>(
    `with analyst as (insert into analysts (name, created_at) values ('Flooder', '2020-01-01') returning id)
     insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
     select 'flooded', i.id, '2026-01-11', '2026-04-11', '2026-01-11' from instruments i where symbol = $1
     returning id, (select id from analyst) as analyst`,
    [symbol],
  );
  const { id, analyst } = rows[0] ?? {};
  const session = await pool.connect();
  try {
    await session.query('begin');
    await session.query(
      `insert into scenarios (framework_id, name, title, outcome, conditions, direction, return_min, return_max)
       select 1000000 + n, s.name, 'T', 'O', 'C', 'lower', s.low, s.high
         from generate_series(1, 300) n, lateral (values ('bear', null, -n / 1000.0), ('base', -n / 1000.0, n / 900.0),
           ('bull', n / 900.0, null)) as s (name, low, high)`,
    );
    await session.query(
      `insert into frameworks (id, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references")
       select 1000000 + n, $1, sha256('f'), 'T', 'S', '[]', '[]', '[]', '[]', '[]' from generate_series(1, 300) n`,
      [id],
    );
    await session.query(
      `insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps, bull_bps, author_id,
         rationale, recorded_at, hash, previous_hash)
       select $1, n, case n when 1 then 'created' else 'framework' end, 1000000 + n, 3000, 4000, 3000, $2, 'R',
           timestamptz '2026-01-11' + n * interval '1 hour', sha256(n::text::bytea),
           case when n > 1 then sha256((n - 1)::text::bytea) end
         from generate_series(1, 300) n order by n`,
      [id, analyst],
    );
    await session.query("set local track_functions = 'pl'");
    // Within the time that a statement has.
    await session.query(
      `insert into resolutions (outlook_id, number, outcome, reason, band_low, band_high, author_id, recorded_at)
       select $1, 1, 'base', 'R', return_min, return_max, $2, '2026-04-11' from scenarios
        where framework_id = 1000300 and name = 'base'`,
      [id, analyst],
    );
    const { rows: calls } = await session.query(
      "select calls::int from pg_stat_xact_user_functions where funcname = 'climatology'",
    );
    expect(calls).toEqual([{ calls: 1 }]);
    const { rows: sums } = await session.query<{ brier: number | null }>(
      "select climatology_brier as brier from forecast_sums where outlook_id = $1 and source = 'version'",
      [id],
    );
    expect(sums).toEqual([{ brier: expect.any(Number) }, { brier: expect.any(Number) }]);
    await session.query('commit');
  } finally {
    session.release();
  }
});
