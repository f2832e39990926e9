import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type pg from 'pg';
import { STALE_AFTER_DAYS } from '../../src/domain/outcome.ts';
import {
  DATINGS,
  FREQUENCIES,
  type Frequency,
  mostObservations,
  periodEnd,
} from '../../src/domain/series.ts';
import { createDatabase, openDatabase } from '../support/database.ts';

let pool: pg.Pool;
beforeAll(async () => {
  pool = openDatabase(await createDatabase());
});
afterAll(() => pool.end());

test.for([
  ['2026-03-01', 'monthly', 'start', '2026-03-31'],
  ['2026-03-01', 'monthly', 'end', '2026-03-01'],
  ['2028-02-01', 'monthly', 'start', '2028-02-29'],
  ['2026-01-31', 'monthly', 'start', '2026-02-27'],
  ['2026-03-15', 'monthly', 'start', '2026-04-14'],
  ['2026-01-01', 'quarterly', 'start', '2026-03-31'],
  ['2025-11-01', 'quarterly', 'start', '2026-01-31'],
  ['2026-07-01', 'semiannual', 'start', '2026-12-31'],
  ['2026-01-01', 'annual', 'start', '2026-12-31'],
  ['2024-02-29', 'annual', 'start', '2025-02-27'],
  ['2026-03-02', 'weekly', 'start', '2026-03-08'],
  ['2026-03-02', 'biweekly', 'start', '2026-03-15'],
  ['2026-03-02', 'daily', 'start', '2026-03-02'],
] as const)('a period of %s, %s, dated by its %s, ends on %s', ([date, frequency, dated, end]) => {
  expect(periodEnd(date, frequency, dated)).toBe(end);
});

test('PostgreSQL computes the same last day of a period', async () => {
  const days = fc.date({
    min: new Date('0001-01-01'),
    max: new Date('9990-12-31'),
    noInvalidDate: true,
  });
  const cases = fc.sample(
    fc.record({
      date: days.map((at) => at.toISOString().slice(0, 10)),
      frequency: fc.constantFrom(...FREQUENCIES),
      dated: fc.constantFrom(...DATINGS),
    }),
    2_000,
  );
  const { rows } = await pool.query<{ end: string }>(
    `select period_end(date, frequency, dated) as end
       from unnest($1::date[], $2::text[], $3::text[]) with ordinality as c (date, frequency, dated, n)
      order by n`,
    [
      cases.map(({ date }) => date),
      cases.map(({ frequency }) => frequency),
      cases.map(({ dated }) => dated),
    ],
  );
  expect(rows.map(({ end }) => end)).toEqual(
    cases.map(({ date, frequency, dated }) => periodEnd(date, frequency, dated)),
  );
});

test('a horizon holds the ends of no more periods than it can have observations', () => {
  const day = (offset: number) =>
    new Date(Date.UTC(2026, 0, 1 + offset)).toISOString().slice(0, 10);
  const step = { monthly: 1, quarterly: 3, semiannual: 6, annual: 12 } as const;
  fc.assert(
    fc.property(
      fc.constantFrom('monthly', 'quarterly', 'semiannual', 'annual'),
      fc.nat({ max: 11 }),
      fc.nat({ max: 800 }),
      fc.integer({ min: 1, max: 1_000 }),
      (frequency, month, start, length) => {
        const horizon = { from: day(start), to: day(start + length) };
        const firsts = Array.from({ length: 80 }, (_, n) =>
          new Date(Date.UTC(2024, month - 12 + n * step[frequency], 1)).toISOString().slice(0, 10),
        );
        const ends = firsts.map((date) => periodEnd(date, frequency, 'start'));
        const within = ends.filter((end) => end >= horizon.from && end < horizon.to);
        expect(within.length).toBeLessThanOrEqual(mostObservations(frequency, horizon));
      },
    ),
  );
});

test('PostgreSQL knows for how many days a close stands', async () => {
  const { rows } = await pool.query<{ frequency: Frequency; days: number }>(
    'select frequency, stale_after(frequency) as days from unnest($1::text[]) as frequency',
    [FREQUENCIES],
  );
  expect(Object.fromEntries(rows.map(({ frequency, days }) => [frequency, days]))).toEqual(
    STALE_AFTER_DAYS,
  );
});
