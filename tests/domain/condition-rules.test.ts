import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Comparison,
  evaluate,
  type Figure,
  figuresKey,
  holds,
  type FiguresBySeries,
  ruleReader,
  type Operator,
  OPERATORS,
  type Rule,
  type WatchedCondition,
} from '../../src/domain/condition-rules.ts';
import { valuesOf } from '../../src/domain/review.ts';
import { ruleFaults, unreachableFaults } from '../../src/domain/rule-faults.ts';
import { mostObservations, type Observation } from '../../src/domain/series.ts';

const dayAt = (index: number) => new Date(Date.UTC(2026, 0, 1 + index)).toISOString().slice(0, 10);
const daily = (...values: number[]): Observation[] =>
  values.map((value, index) => ({ date: dayAt(index), value }));
const over = (operator: Operator, threshold: number, forObservations = 1): Comparison => ({
  series: 'a',
  operator,
  threshold,
  forObservations,
  judgedOn: null,
});
const known = (series: Record<string, Observation[]>): FiguresBySeries =>
  new Map(
    Object.entries(series).map(([key, observations]) => [
      figuresKey({ series: key, judgedOn: null }),
      observations.map((one): Figure => ({ ...one, from: one.date })),
    ]),
  );
const holdsOn = (rule: Rule, by: FiguresBySeries, day: string) =>
  holds(rule, ruleReader(rule, by)(day));
const LAST = dayAt(999);

describe('a comparison', () => {
  test.for<[string, Comparison, number[], boolean]>([
    ['lt below', over('lt', 3), [2.9], true],
    ['lt at', over('lt', 3), [3], false],
    ['lte at', over('lte', 3), [3], true],
    ['lte above', over('lte', 3), [3.1], false],
    ['gt above', over('gt', 3), [3.1], true],
    ['gt at', over('gt', 3), [3], false],
    ['gte at', over('gte', 3), [3], true],
    ['gte below', over('gte', 3), [2.9], false],
    ['without any observation', over('lt', 3), [], false],
    ['of more than there are', over('lt', 3, 3), [1, 1], false],
    ['of as many as there are', over('lt', 3, 3), [1, 1, 1], true],
    ['of the newest in a row', over('lt', 3, 2), [1, 1, 9, 1], false],
    ['that crosses above', over('crossesAbove', 3), [3, 3.1], true],
    ['that was above already', over('crossesAbove', 3), [3.1, 3.2], false],
    ['that starts above', over('crossesAbove', 3), [3.1], false],
    ['that crosses above and stays for two', over('crossesAbove', 3, 2), [3, 4, 4], true],
    ['that crossed above three ago', over('crossesAbove', 3, 2), [3, 4, 4, 4], false],
    ['that crosses below', over('crossesBelow', 3), [3, 2.9], true],
    ['that only touches', over('crossesBelow', 3), [3.1, 3], false],
  ])('%s', ([, comparison, values, isMet]) => {
    expect(holdsOn(comparison, known({ a: daily(...values) }), LAST)).toBe(isMet);
  });

  test('ignores everything after the day', () => {
    const series = known({ a: daily(1, 9) });
    expect(holdsOn(over('lt', 3), series, dayAt(0))).toBe(true);
    expect(holdsOn(over('lt', 3), series, dayAt(1))).toBe(false);
    expect(holdsOn(over('lt', 3), series, '2025-12-31')).toBe(false);
  });
});

test('all holds if each does, any if one does, each with its own newest value', () => {
  const rule = [over('lt', 3), { ...over('gt', 5), series: 'b' }];
  const at = (a: number, b: number) =>
    known({ a: daily(a), b: [{ date: '2025-06-30', value: b }] });
  const outcomes = [at(1, 6), at(1, 5), at(3, 6), at(3, 5)].map((series) => [
    holdsOn({ all: rule }, series, LAST),
    holdsOn({ any: rule }, series, LAST),
  ]);
  expect(outcomes).toEqual([
    [true, true],
    [false, true],
    [false, true],
    [false, false],
  ]);
});

// Rules and observations so small that each matters.
const value = fc.integer({ min: 1, max: 5 });
const comparison = fc.record<Comparison>({
  series: fc.constantFrom('a', 'b'),
  operator: fc.constantFrom(...OPERATORS),
  threshold: fc.constantFrom(2, 3, 4),
  forObservations: fc.integer({ min: 1, max: 3 }),
  judgedOn: fc.constant(null),
});
const rules = fc.oneof<[fc.Arbitrary<Rule>, fc.Arbitrary<Rule>, fc.Arbitrary<Rule>]>(
  comparison,
  fc.record({ all: fc.array(comparison, { minLength: 2, maxLength: 3 }) }),
  fc.record({ any: fc.array(comparison, { minLength: 2, maxLength: 3 }) }),
);
const days = fc.uniqueArray(fc.integer({ min: 0, max: 14 }), { maxLength: 15 });
const series = days.chain((picked) =>
  fc
    .array(value, { minLength: picked.length, maxLength: picked.length })
    .map((values) =>
      picked
        .toSorted((a, b) => a - b)
        .map((day, index) => ({ date: dayAt(day), value: values[index] ?? 0 })),
    ),
);
const batch = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 14 }), value), {
  selector: ([day]) => day,
  minLength: 1,
  maxLength: 6,
});
const watched = fc.oneof<[fc.Arbitrary<WatchedCondition>, fc.Arbitrary<WatchedCondition>]>(
  fc.constant({ state: 'untriggered', answeredDay: null }),
  fc
    .record({
      state: fc.constant('triggered' as const),
      day: fc.option(fc.integer({ min: 0, max: 14 }).map(dayAt), { nil: null }),
      isAnswered: fc.boolean(),
      answeredDay: fc.constant(null),
    })
    .map((one) => ({ ...one, answeredDay: one.isAnswered ? one.day : null })),
);

const ALWAYS = { from: '', to: LAST };

const merged = (before: readonly Observation[], sent: readonly Observation[]): Observation[] =>
  [...before.filter(({ date }) => sent.every((one) => one.date !== date)), ...sent].toSorted(
    (a, b) => (a.date < b.date ? -1 : 1),
  );

describe('evaluation', () => {
  test('new days one by one or at once have the same result', () => {
    fc.assert(
      fc.property(
        rules,
        series,
        series,
        fc.integer({ min: 0, max: 15 }),
        watched,
        (rule, a, b, cut, state) => {
          fc.pre(state.state === 'untriggered' || (state.day ?? '') < (a[cut]?.date ?? LAST));
          // Of b only what is older: as days of their own they would be judged each with its own batch.
          const old = b.filter(({ date }) => date < (a[cut]?.date ?? LAST));
          const judged = (from: number, to: number, now: WatchedCondition) => {
            const [before, after] = [a.slice(0, from), a.slice(0, to)];
            const change = {
              before: known({ a: before, b: old }),
              after: known({ a: after, b: old }),
              since: a[from]?.date ?? LAST,
            };
            return evaluate(rule, change, now, ALWAYS);
          };
          const atOnce = judged(cut, a.length, state);
          let now = state;
          const oneByOne = a.slice(cut).flatMap((_, index) => {
            const transitions = judged(cut + index, cut + index + 1, now);
            for (const { state: next, day } of transitions) {
              const { answeredDay } = now;
              now =
                next === 'triggered'
                  ? { state: next, day, isAnswered: false, answeredDay }
                  : { state: next, answeredDay };
            }
            return transitions;
          });
          expect(atOnce).toEqual(oneByOne);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('misses no day on which a rule starts to hold, in any order of observations', () => {
    fc.assert(
      fc.property(rules, fc.array(batch, { maxLength: 8 }), (rule, batches) => {
        let a: Observation[] = [];
        const b: Observation[] = [];
        for (const sent of batches) {
          const brought = sent.map(([day, one]) => ({ date: dayAt(day), value: one }));
          const [before, after] = [known({ a, b }), known({ a: merged(a, brought), b })];
          const old = a;
          a = merged(a, brought);
          const isHeld = (by: FiguresBySeries, index: number, days: Observation[]) =>
            index >= 0 && holdsOn(rule, by, days[index]?.date ?? '');
          const came = a.some(({ date }, index) => {
            const earlier = old.findIndex((one) => one.date === date);
            const isStart = isHeld(after, index, a) && !isHeld(after, index - 1, a);
            const wasStart = isHeld(before, earlier, old) && !isHeld(before, earlier - 1, old);
            const isNewlyHeld = earlier >= 0 && !isHeld(before, earlier, old);
            return (isStart && !wasStart) || (isHeld(after, index, a) && isNewlyHeld);
          });
          const change = { before, after, since: '' };
          const judged = evaluate(
            rule,
            change,
            { state: 'untriggered', answeredDay: null },
            ALWAYS,
          );
          expect(judged.length > 0).toBe(came);
        }
      }),
      { numRuns: 500 },
    );
  });

  const LOW = over('lt', 3);
  const TWICE_LOW = over('lt', 3, 2);
  const UNTRIGGERED: WatchedCondition = { state: 'untriggered', answeredDay: null };
  const triggeredOn = (index: number, isAnswered: boolean): WatchedCondition => ({
    state: 'triggered',
    day: dayAt(index),
    isAnswered,
    answeredDay: isAnswered ? dayAt(index) : null,
  });
  test.for<
    [string, Rule, number[], number[], WatchedCondition, [WatchedCondition['state'], number][]]
  >([
    ['triggers on the first day that holds', LOW, [5], [5, 2, 1], UNTRIGGERED, [['triggered', 1]]],
    ['passes over days that held before', LOW, [2, 5], [2, 6], UNTRIGGERED, []],
    [
      'triggers on a later day by an earlier one that is revised',
      TWICE_LOW,
      [5, 2],
      [2, 2],
      UNTRIGGERED,
      [['triggered', 1]],
    ],
    [
      'stays unanswered through days that do not hold',
      LOW,
      [2],
      [2, 5, 2],
      triggeredOn(0, false),
      [],
    ],
    [
      'is cleared by a vintage that takes its day away',
      LOW,
      [5, 2],
      [5, 4],
      triggeredOn(1, false),
      [['untriggered', 1]],
    ],
    [
      'answered, is armed again and triggers anew',
      LOW,
      [2],
      [2, 5, 2],
      triggeredOn(0, true),
      [
        ['untriggered', 1],
        ['triggered', 2],
      ],
    ],
    [
      'is cleared by a vintage and triggers on the next day that holds',
      LOW,
      [2, 2],
      [5, 2],
      triggeredOn(0, false),
      [
        ['untriggered', 0],
        ['triggered', 1],
      ],
    ],
    ['answered, stays while the rule holds', LOW, [2], [2, 1, 2], triggeredOn(0, true), []],
    [
      'answered after the rule held no more, triggers anew once it does again',
      LOW,
      [2, 5],
      [2, 5, 2],
      triggeredOn(0, true),
      [
        ['untriggered', 1],
        ['triggered', 2],
      ],
    ],
  ])('%s', ([, rule, was, is, state, expected]) => {
    const [before, after] = [daily(...was), daily(...is)];
    const dates = after
      .filter(({ value }, index) => before[index]?.value !== value)
      .map(({ date }) => date);
    const since = dates.toSorted()[0] ?? LAST;
    const change = { before: known({ a: before }), after: known({ a: after }), since };
    const judged = evaluate(rule, change, state, ALWAYS);
    expect(judged.map((one) => [one.state, one.day])).toEqual(
      expected.map(([next, index]) => [next, dayAt(index)]),
    );
  });

  test('triggers on the first day of the horizon if the rule already held before', () => {
    const horizon = { from: dayAt(1), to: LAST };
    const judged = (was: number[], is: number[], [since = '']: string[]) =>
      evaluate(
        LOW,
        { before: known({ a: daily(...was) }), after: known({ a: daily(...is) }), since },
        UNTRIGGERED,
        horizon,
      );
    expect(judged([2], [2, 2], [dayAt(1)])).toMatchObject([{ state: 'triggered', day: dayAt(1) }]);
    expect(judged([], [2], [dayAt(0)])).toEqual([]);
    // Once it was judged, a revised value by which it holds as well is no news.
    expect(judged([2, 2], [2, 1], [dayAt(1)])).toEqual([]);
  });

  test('gives the values of every series if any of them no longer holds', () => {
    const rule = { any: [LOW, { ...over('gt', 5), series: 'b' }] };
    const b = [{ date: dayAt(-10), value: 4 }];
    const [before, after] = [known({ a: daily(1), b }), known({ a: daily(1, 9), b })];
    const change = { before, after, since: dayAt(1) };
    const [cleared] = evaluate(rule, change, triggeredOn(0, true), ALWAYS);
    expect(cleared).toMatchObject({ state: 'untriggered', day: dayAt(1) });
    expect(valuesOf('untriggered', cleared?.readings ?? [])).toEqual([
      { series: 'a', date: dayAt(1), value: 9 },
      { series: 'b', date: dayAt(-10), value: 4 },
    ]);
  });

  test('gives the newest value of each series; for any, only of those that hold', () => {
    const both = [over('lt', 3), { ...over('gt', 5), series: 'b' }];
    const b = [{ date: dayAt(-10), value: 4 }];
    const explained = (rule: Rule) => {
      const after = known({ a: daily(1), b });
      const change = { before: known({ b }), after, since: dayAt(0) };
      const [triggered] = evaluate(rule, change, UNTRIGGERED, ALWAYS);
      return valuesOf('triggered', triggered?.readings ?? []);
    };
    const a = { series: 'a', date: dayAt(0), value: 1 };
    expect(explained({ any: both })).toEqual([a]);
    const lower = { ...over('gt', 3), series: 'b' };
    expect(explained({ all: [over('lt', 3), lower] })).toEqual([
      a,
      { series: 'b', date: dayAt(-10), value: 4 },
    ]);
  });
});

describe('a rule', () => {
  test.for<[Comparison, Comparison, boolean]>([
    [over('lt', 3), over('gt', 4), true],
    [over('gt', 4), over('lt', 3), true],
    [over('lte', 3), over('gt', 3), true],
    [over('lte', 3), over('gte', 3), false],
    [over('lt', 3), over('gte', 3), true],
    [over('lt', 4), over('gt', 3), false],
    [over('lt', 3), { ...over('gt', 4), series: 'b' }, false],
    [over('crossesAbove', 4), over('lt', 4), true],
    [over('crossesAbove', 3), over('lt', 4), false],
    [over('crossesAbove', 3), over('crossesBelow', 4), true],
    [over('crossesAbove', 3, 2), over('crossesBelow', 4), false],
    [over('lt', 3, 5), over('lt', 4), false],
  ])('of all of %j and %j is contradictory: %s', ([one, other, isRefused]) => {
    const path = { path: ['all', 1] };
    expect(ruleFaults({ all: [one, other] })).toMatchObject(isRefused ? [path] : []);
    expect(ruleFaults({ any: [one, other] })).toEqual([]);
  });

  test.for(['all', 'any'] as const)('that says the same twice in %s is refused', (part) => {
    const comparisons = [over('lt', 3), over('lt', 3, 2), over('lt', 3)];
    const rule = part === 'all' ? { all: comparisons } : { any: comparisons };
    expect(ruleFaults(rule)).toEqual([{ path: [part, 2], detail: 'repeats entry 0' }]);
  });

  test('that is refused as a contradiction never holds', () => {
    const contradictory = fc
      .record({ all: fc.array(comparison, { minLength: 2, maxLength: 3 }) })
      .filter((rule) => ruleFaults(rule).some(({ detail }) => detail.startsWith('contradicts')));
    fc.assert(
      fc.property(contradictory, series, series, (rule, a, b) => {
        for (let day = 0; day < 15; day += 1) {
          expect(holdsOn(rule, known({ a, b }), dayAt(day))).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('requires no more observations than its series can have within the horizon', () => {
    const horizon = { from: '2026-03-31', to: '2027-03-31' };
    const faults = (rule: Rule) => unreachableFaults(rule, horizon, () => 'monthly');
    expect(faults(over('lt', 3, 13))).toEqual([]);
    expect(faults(over('lt', 3, 14))).toEqual([
      {
        path: ['forObservations'],
        detail: 'a is monthly and can have at most 13 observations within the horizon',
      },
    ]);
    expect(faults({ any: [over('lt', 3), over('crossesAbove', 3, 13)] })).toEqual([
      {
        path: ['any', 1, 'forObservations'],
        detail:
          'a is monthly and can have at most 12 observations within the horizon, besides the one before the crossing',
      },
    ]);
    expect(unreachableFaults(over('lt', 3, 999), horizon, () => undefined)).toEqual([]);
  });
});

test.for([
  ['daily', '2026-01-01', '2027-01-01', 365],
  ['weekly', '2026-01-01', '2026-01-08', 1],
  ['weekly', '2026-01-01', '2026-01-09', 2],
  ['biweekly', '2026-01-01', '2026-01-16', 2],
  ['monthly', '2026-01-31', '2026-03-01', 2],
  ['monthly', '2026-01-31', '2026-03-02', 3],
  ['quarterly', '2026-03-31', '2027-03-31', 5],
  ['semiannual', '2026-01-01', '2026-07-01', 1],
  ['annual', '2026-12-31', '2027-01-02', 2],
] as const)('a %s series from %s to %s has %i at most', ([frequency, from, to, most]) => {
  expect(mostObservations(frequency, { from, to })).toBe(most);
});
