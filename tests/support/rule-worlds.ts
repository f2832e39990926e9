import fc from 'fast-check';
import {
  type Comparison,
  JUDGED_ON,
  OPERATORS,
  type Rule,
} from '../../src/domain/condition-rules.ts';
import { DATINGS, FREQUENCIES, type Frequency } from '../../src/domain/series.ts';
import type { Vintage, World } from './naive-rules.ts';

/** An arrival of a series on a day; then a version may answer. */
export type Batch = { vintages: Vintage[]; isAnswered: boolean };

const START = Date.UTC(2026, 5, 1);
const dayAt = (offset: number) => new Date(START + offset * 86_400_000).toISOString().slice(0, 10);
const firstOf = (month: number) => new Date(Date.UTC(2026, month, 1)).toISOString().slice(0, 10);

/** No observation is recorded later. */
export const LAST_DAY = dayAt(61 + 9 * 3 + 1);

/** The dates of a series, so few that values meet; none is after day 60, and arrivals follow from day 61 on. */
const DATES: Record<Frequency, string[]> = {
  daily: Array.from({ length: 14 }, (_, n) => dayAt(n - 4)),
  weekly: Array.from({ length: 12 }, (_, n) => dayAt((n - 4) * 7)),
  biweekly: Array.from({ length: 8 }, (_, n) => dayAt((n - 4) * 14)),
  monthly: Array.from({ length: 8 }, (_, n) => firstOf(n)),
  quarterly: Array.from({ length: 6 }, (_, n) => firstOf(3 * n - 9)),
  semiannual: Array.from({ length: 5 }, (_, n) => firstOf(6 * n - 18)),
  annual: Array.from({ length: 5 }, (_, n) => firstOf(12 * n - 48)),
};

const comparison = fc.record<Comparison>({
  series: fc.constantFrom('a', 'b'),
  operator: fc.constantFrom(...OPERATORS),
  threshold: fc.constantFrom(2, 3, 4),
  forObservations: fc.integer({ min: 1, max: 4 }),
  judgedOn: fc.constantFrom(null, null, ...JUDGED_ON),
});
const several = fc.array(comparison, { minLength: 2, maxLength: 3 });
const rule: fc.Arbitrary<Rule> = fc.oneof(
  comparison as fc.Arbitrary<Rule>,
  fc.record({ all: several }) as fc.Arbitrary<Rule>,
  fc.record({ any: several }) as fc.Arbitrary<Rule>,
);
const frequency = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<Frequency>('daily') },
  { weight: 4, arbitrary: fc.constantFrom(...FREQUENCIES) },
);
const made = fc.record({ frequency, dated: fc.constantFrom(...DATINGS) });
const change = fc.record({
  place: fc.nat({ max: 13 }),
  value: fc.option(fc.integer({ min: 1, max: 5 }), { freq: 5, nil: null }),
});
const sent = (most: number) =>
  fc.record({
    key: fc.constantFrom('a', 'a', 'b'),
    later: fc.constantFrom(0, 0, 1, 3),
    changes: fc.uniqueArray(change, {
      selector: ({ place }) => place,
      minLength: 1,
      maxLength: most,
      size: 'max',
    }),
    isAnswered: fc.boolean(),
  });

/** Rules, series and arrivals: backfill, revisions, retractions and answers in any order. */
export const worlds: fc.Arbitrary<{ world: World; batches: Batch[] }> = fc
  .record({
    rule,
    a: made,
    b: made,
    start: fc.integer({ min: 0, max: 8 }),
    length: fc.constantFrom(3, 10, 80, 100),
    // The first arrival is a history, so that there is more than a window of it.
    first: sent(14),
    sent: fc.array(sent(6), { maxLength: 8 }),
  })
  .map(({ rule: one, a, b, start, length, first, sent: others }) => {
    const series = { a, b };
    const world = { rule: one, series, from: dayAt(start), to: dayAt(start + length) };
    const current = new Map<string, number | null>();
    let on = 61;
    const batches = [first, ...others].flatMap(({ key, later, changes, isAnswered }): Batch[] => {
      on += later;
      const dates = DATES[series[key].frequency];
      const fresh = new Map(
        changes.map(({ place, value }) => [dates[place % dates.length] as string, value]),
      );
      const vintages = [...fresh].flatMap(([date, value]): Vintage[] => {
        const known = current.get(key + date);
        // Nothing is retracted that was never known, and what is known already is no news.
        if (value === (known ?? null)) return [];
        current.set(key + date, value);
        return [{ series: key, date, value, recordedOn: dayAt(on) }];
      });
      const isEmpty = vintages.length === 0;
      return isEmpty
        ? []
        : [{ vintages: vintages.toSorted((x, y) => (x.date < y.date ? -1 : 1)), isAnswered }];
    });
    return { world, batches };
  });
