import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  comparisonsOf,
  evaluate,
  type Figure,
  figuresKey,
  type FiguresBySeries,
  type WatchedCondition,
} from '../../src/domain/condition-rules.ts';
import { periodEnd } from '../../src/domain/series.ts';
import { type Made, type State, step, type Vintage, type World } from '../support/naive-rules.ts';
import { worlds } from '../support/rule-worlds.ts';

function figuresOf({ rule, series }: World, vintages: Vintage[]): FiguresBySeries {
  const known = new Map<string, Figure[]>();
  for (const one of comparisonsOf(rule)) {
    const own = vintages.filter((v) => v.series === one.series);
    const { frequency, dated } = series[one.series] as Made;
    const values = new Map(own.map(({ date, value }) => [date, value]));
    const figures =
      one.judgedOn === 'recorded'
        ? own.map(({ date, value, recordedOn }) => ({ date, value, from: recordedOn }))
        : [...values]
            .filter(([, value]) => value !== null)
            .map(([date, value]) => ({ date, value, from: periodEnd(date, frequency, dated) }))
            .toSorted((x, y) => (x.date < y.date ? -1 : 1));
    known.set(figuresKey(one), figures);
  }
  return known;
}

/** The first day on which an arrival can change anything. */
function firstDay({ rule, series }: World, vintages: readonly Vintage[]): string {
  const days = vintages.flatMap(({ series: key, date, recordedOn }) => {
    const { frequency, dated } = series[key] as Made;
    const isByPeriod = comparisonsOf(rule).some(
      (one) => one.series === key && one.judgedOn !== 'recorded',
    );
    return isByPeriod ? [recordedOn, periodEnd(date, frequency, dated)] : [recordedOn];
  });
  return days.toSorted()[0] ?? '';
}

test('2,000 random cases agree with the naive simulation', () => {
  const counts = { triggered: 0, untriggered: 0 };
  fc.assert(
    fc.property(worlds, ({ world, batches }) => {
      let now: State = { state: 'untriggered', day: null, isAnswered: false, answeredDay: null };
      let before: Vintage[] = [];
      for (const { vintages, isAnswered } of batches) {
        const after = [...before, ...vintages];
        const expected = step(world, before, after, now);
        const { state, day, answeredDay } = now;
        const watched: WatchedCondition =
          state === 'triggered'
            ? { state, day, isAnswered: now.isAnswered, answeredDay }
            : { state, answeredDay };
        for (const since of ['', firstDay(world, vintages)]) {
          const change = {
            before: figuresOf(world, before),
            after: figuresOf(world, after),
            since,
          };
          const found = evaluate(world.rule, change, watched, world);
          expect(found.map((one) => [one.state, one.day])).toEqual(expected);
        }
        for (const [next, on] of expected) {
          counts[next as 'triggered'] += 1;
          now = { ...now, state: next as State['state'], day: on, isAnswered: false };
        }
        if (isAnswered && now.state === 'triggered') {
          now = { ...now, isAnswered: true, answeredDay: now.day };
        }
        before = after;
      }
    }),
    { numRuns: 2_500 },
  );
  expect(counts.triggered).toBeGreaterThan(300);
  expect(counts.untriggered).toBeGreaterThan(100);
});
