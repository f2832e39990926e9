import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { outcomeFor, returnOfCloses } from '../../src/domain/outcome.ts';
import { SCENARIO_NAMES } from '../../src/domain/probabilities.ts';
import { cases, outcomeByFractions } from '../support/closes.ts';
import { createDatabase, openDatabase } from '../support/database.ts';

let pool: pg.Pool;
beforeAll(async () => {
  pool = openDatabase(await createDatabase(), 1);
});
afterAll(() => pool.end());

test('Postgres decides 3,000 random bands and closes as fractions of whole numbers do', async () => {
  const sampled = fc.sample(cases, 3_000);
  const { rows } = await pool.query<{ outcome: string; value: number }>(
    `select outcome_of_closes(s, e, low, high) as outcome, return_of_closes(s, e) as value
       from unnest($1::float8[], $2::float8[], $3::float8[], $4::float8[]) with ordinality
         as c (s, e, low, high, place) order by place`,
    [
      sampled.map(({ closes }) => closes.start),
      sampled.map(({ closes }) => closes.end),
      sampled.map(({ band }) => band.low),
      sampled.map(({ band }) => band.high),
    ],
  );
  const found = rows.map(({ outcome, value }, index) => ({ case: sampled[index], outcome, value }));
  expect(found).toEqual(
    sampled.map((one) => ({
      case: one,
      outcome: outcomeByFractions(one),
      value: returnOfCloses(one.closes),
    })),
  );
});

const resolutions = fc
  .record({
    one: cases,
    other: cases,
    outcome: fc.constantFrom(...SCENARIO_NAMES),
    isByCloses: fc.boolean(),
    hasCloses: fc.boolean(),
    hasBand: fc.boolean(),
    stated: fc.constantFrom('exact', 'noisy', 'edge', 'other', null),
  })
  .map(({ one, other, outcome, isByCloses, hasCloses, hasBand, stated }) => {
    const { closes, band } = one;
    const returns = {
      exact: returnOfCloses(closes),
      // As releases before 0.2 stored it.
      noisy: closes.end / closes.start - 1,
      edge: other.band.high,
      other: returnOfCloses(other.closes),
    };
    const resolved = {
      outcome: isByCloses ? outcomeByFractions(one) : outcome,
      realisedReturn: stated && returns[stated],
      closes: hasCloses ? closes : null,
      band: hasBand ? band : null,
    };
    return { resolved, band: other.band };
  });

test('Postgres judges 5,000 random forecasts by bands of their own as the service does', async () => {
  const sampled = fc.sample(resolutions, 5_000);
  const { rows } = await pool.query<{ outcome: string }>(
    `select outcome_for(jsonb_populate_record(null::resolutions, r), (band->>'low')::float8, (band->>'high')::float8)
        as outcome
       from jsonb_to_recordset($1) as c (r jsonb, band jsonb, place int) order by place`,
    [
      JSON.stringify(
        sampled.map(({ resolved, band }, place) => ({
          place,
          band,
          r: {
            outcome: resolved.outcome,
            realised_return: resolved.realisedReturn,
            start_value: resolved.closes?.start,
            end_value: resolved.closes?.end,
            band_low: resolved.band?.low,
            band_high: resolved.band?.high,
          },
        })),
      ),
    ],
  );
  const found = rows.map(({ outcome }, index) => ({ ...sampled[index], outcome }));
  expect(found).toEqual(
    sampled.map((one) => ({ ...one, outcome: outcomeFor(one.resolved, one.band) })),
  );
  const changed = sampled.filter((one, index) => rows[index]?.outcome !== one.resolved.outcome);
  expect(changed.length).toBeGreaterThan(500);
});
