import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FREQUENCIES, type Frequency } from '../../src/domain/series.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { type Climatology, naiveClimatology, type Vintage } from '../support/naive-climatology.ts';

let pool: pg.Pool;
beforeAll(async () => {
  pool = openDatabase(await createDatabase());
  await pool.query('alter table outlooks disable trigger require_first_version');
});
afterAll(() => pool.end());

type History = {
  vintages: readonly Vintage[];
  horizon: { from: string; to: string };
  frequency?: Frequency;
};

let count = 0;
/** Stores closes, and an outlook on them without its first version. */
async function store({ vintages, horizon, frequency = 'daily' }: History): Promise<number> {
  count += 1;
  const { rows: instruments } = await pool.query<{ id: number; closes_id: number }>(
    `with closes as (
       insert into series (key, name, unit, frequency, source, created_at)
       values ($1, 'Closes', 'points', $2, 'A desk', '2000-01-01') returning id)
     insert into instruments (symbol, name, kind, closes_id, created_at)
     select $3, 'An index', 'index', id, '2000-01-01' from closes returning id, closes_id`,
    [`closes-${count}`, frequency, `INDEX-${count}`],
  );
  const [instrument] = instruments;
  const times = [...new Set(vintages.map(({ recordedAt }) => recordedAt))].toSorted();
  for (const time of times) {
    const rows = vintages.filter(({ recordedAt }) => recordedAt === time);
    await pool.query(
      `insert into observations (series_id, date, value, provenance, recorded_at)
       select $1, date, value, 'sourced', $3 from json_to_recordset($2) as g (date date, value float8)`,
      [instrument?.closes_id, JSON.stringify(rows), time],
    );
  }
  const { rows: outlooks } = await pool.query<{ id: number }>(
    `insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
     values ($1, $2, $3, $4, now()) returning id`,
    [`case-${count}`, instrument?.id, horizon.from, horizon.to],
  );
  return outlooks[0]?.id ?? 0;
}

async function climatology(
  outlook: number,
  [low, high]: readonly [number | null, number | null],
  asOf: string | null = null,
): Promise<Climatology> {
  const { rows } = await pool.query<Climatology>(
    `select bear, base, bull, spans, independent, first, last
       from climatology($1, array[$2::float8], array[$3::float8], $4)`,
    [outlook, low, high, asOf],
  );
  return rows[0] as Climatology;
}

const near = (value: number) => expect.closeTo(value, 14);
const dayAfter = (date: string, days: number): string =>
  new Date(Date.parse(date) + days * 86_400_000).toISOString().slice(0, 10);

/** 61 daily closes until the day before the horizon: ten of 100, ten of 120, and so on, the last one of 100. */
const steps: Vintage[] = Array.from({ length: 61 }, (_, index) => ({
  date: dayAfter('2025-11-11', index),
  value: Math.floor(index / 10) % 2 === 0 ? 100 : 120,
  recordedAt: '2026-01-10T22:00:00.000Z',
}));
const tenDays = { from: '2026-01-11', to: '2026-01-21' };

test('is the share of past spans in each band, smoothed', async () => {
  const outlook = await store({ vintages: steps, horizon: tenDays });
  // 51 spans of ten days: 30 from 100 to 120, 21 from 120 to 100. Six of them follow on each other, so that by Laplace's
  // rule bear is (6 · 21/51 + 1) / 9 = 59/153, base (0 + 1) / 9 and bull (6 · 30/51 + 1) / 9 = 77/153.
  const expected = { spans: 51, independent: 6, first: '2025-11-11', last: '2026-01-10' };
  const shares = { bear: near(59 / 153), base: near(1 / 9), bull: near(77 / 153) };
  expect(await climatology(outlook, [-0.1, 0.1])).toEqual({ ...shares, ...expected });
  // +20 % is the start of bull, and as a quotient of doubles 0.19999999999999996.
  expect(await climatology(outlook, [-0.1, 0.2])).toEqual({ ...shares, ...expected });
});

test('is null with fewer than five independent spans, without bands and without closes', async () => {
  const outlook = await store({ vintages: steps.slice(-50), horizon: tenDays });
  const none = { bear: null, base: null, bull: null };
  expect(await climatology(outlook, [-0.1, 0.1])).toMatchObject({ ...none, independent: 4 });
  expect(await climatology(outlook, [null, null])).toMatchObject({ ...none, independent: null });
  const without = await store({ vintages: [], horizon: tenDays });
  const nothing = { ...none, spans: 0, independent: 0, first: null, last: null };
  expect(await climatology(without, [-0.1, 0.1])).toEqual(nothing);
});

test('counts only what was known when the horizon started, with retractions and revisions until then', async () => {
  const recordedAt = '2026-01-10T23:00:00.000Z';
  const late = '2026-01-11T00:00:00.000Z';
  const outlook = await store({
    horizon: tenDays,
    vintages: [
      ...steps,
      { date: '2025-11-11', value: null, recordedAt },
      { date: '2025-11-21', value: 100, recordedAt },
      { date: '2025-11-12', value: null, recordedAt: late },
      { date: '2025-11-22', value: 100, recordedAt: late },
      { date: '2025-10-01', value: 50, recordedAt: late },
    ],
  });
  const spans = { spans: 50, first: '2025-11-12', last: '2026-01-10' };
  expect(await climatology(outlook, [-0.1, 0.1])).toMatchObject(spans);
  // As known an hour before.
  const before = { spans: 51, first: '2025-11-11' };
  const asOf = '2026-01-10T22:59:59.999Z';
  expect(await climatology(outlook, [-0.1, 0.1], asOf)).toMatchObject(before);
});

test('takes its closes from the 50 years before the horizon', async () => {
  const years = Array.from({ length: 60 }, (_, index) => ({
    date: `${1966 + index}-12-31`,
    value: 100 + (index % 3),
    recordedAt: '2026-01-01T00:00:00.000Z',
  }));
  const horizon = { from: '2026-06-01', to: '2027-06-01' };
  const outlook = await store({ vintages: years, horizon, frequency: 'annual' });
  const found = await climatology(outlook, [-0.01, 0.01]);
  expect(found).toMatchObject({ first: '1976-12-31', last: '2025-12-31' });
  expect(found).toEqual(roughly(naiveClimatology(years, horizon, 'annual', [-0.01, 0.01])));
});

const roughly = ({ bear, base, bull, ...rest }: Climatology) => {
  const nearOrNull = (value: number | null) => (value === null ? null : near(value));
  return { bear: nearOrNull(bear), base: nearOrNull(base), bull: nearOrNull(bull), ...rest };
};

const SCALES: Record<Frequency, number> = {
  daily: 1,
  weekly: 7,
  biweekly: 14,
  monthly: 30,
  quarterly: 91,
  semiannual: 182,
  annual: 365,
};

const histories = fc.constantFrom(...FREQUENCIES).chain((frequency) => {
  const scale = SCALES[frequency];
  const close = fc.record({
    gap: fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 1, max: 3 }) },
      { weight: 1, arbitrary: fc.integer({ min: 4, max: 30 }) },
    ),
    // Few distinct values, so that returns often meet the edge of a band exactly.
    value: fc.constantFrom(100, 115, 85, 90, 110, 99.5, 0.3, 0.1, -2, 0),
    fate: fc.constantFrom('kept', 'kept', 'kept', 'kept', 'late', 'retracted', 'revised'),
  });
  return fc.record({
    frequency: fc.constant(frequency),
    length: fc.integer({ min: 1, max: 12 }).map((days) => days * scale),
    band: fc.constantFrom<[number, number]>(
      [-0.1, 0.15],
      [-0.15, 0.1],
      [0, 0.1],
      [-0.3, 2],
      [-1, 0],
    ),
    closes: fc.array(close, { minLength: 0, maxLength: 120, size: 'max' }),
  });
});

function vintagesOf(
  closes: readonly { gap: number; value: number; fate: string }[],
  scale: number,
): { vintages: Vintage[]; from: string } {
  const [at, later, late] = ['2019-12-31T10', '2019-12-31T11', '2020-01-01T00'].map(
    (hour) => `${hour}:00:00.000Z`,
  ) as [string, string, string];
  let date = '2020-01-01';
  const vintages = closes.flatMap(({ gap, value, fate }): Vintage[] => {
    date = dayAfter(date, -gap * scale);
    const first = { date, value, recordedAt: at };
    if (fate === 'late') return [{ ...first, recordedAt: late }];
    if (fate === 'retracted') return [first, { ...first, value: null, recordedAt: later }];
    if (fate === 'revised') return [first, { ...first, value: value + 1, recordedAt: later }];
    return [first];
  });
  return { vintages, from: '2020-01-01' };
}

test('equals the definition worked through span by span', async () => {
  let counted = 0;
  await fc.assert(
    fc.asyncProperty(histories, async ({ frequency, length, band, closes }) => {
      const { vintages, from } = vintagesOf(closes, SCALES[frequency]);
      const horizon = { from, to: dayAfter(from, length) };
      const outlook = await store({ vintages, horizon, frequency });
      const expected = naiveClimatology(vintages, horizon, frequency, band);
      if (expected.bear !== null) counted += 1;
      expect(await climatology(outlook, band)).toEqual(roughly(expected));
    }),
    { numRuns: 150 },
  );
  expect(counted).toBeGreaterThan(50);
});
