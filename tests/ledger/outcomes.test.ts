import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { returnOfCloses } from '../../src/domain/outcome.ts';
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
