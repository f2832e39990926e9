import type { Comparison, Rule } from '../../src/domain/condition-rules.ts';
import type { Dating, Frequency } from '../../src/domain/series.ts';

// The semantics of rules (docs/guides/conditions.md) by brute force: whole histories, filters and no windows. It shares no
// code with the service.

export type Made = { frequency: Frequency; dated: Dating };
/** A value or its retraction, in the order of recording. */
export type Vintage = { series: string; date: string; value: number | null; recordedOn: string };
export type World = { rule: Rule; series: Record<string, Made>; from: string; to: string };
export type State = {
  state: 'untriggered' | 'triggered';
  day: string | null;
  isAnswered: boolean;
  answeredDay: string | null;
};

const next = (day: string) => new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10);

const lastDays = new Map<string, string>();

/** Walks to the end of a period that begins on a weekday or on the first of a month. */
function lastDay(date: string, { frequency, dated }: Made): string {
  if (dated === 'end') return date;
  const known = lastDays.get(date + frequency);
  if (known !== undefined) return known;
  const days = { daily: 1, weekly: 7, biweekly: 14 }[frequency as string] ?? Infinity;
  const months =
    { monthly: 1, quarterly: 3, semiannual: 6, annual: 12 }[frequency as string] ?? Infinity;
  let [day, walked, firsts] = [date, 1, next(date).endsWith('-01') ? 1 : 0];
  for (; walked < days && firsts < months; walked += 1) {
    day = next(day);
    if (next(day).endsWith('-01')) firsts += 1;
  }
  lastDays.set(date + frequency, day);
  return day;
}

const comparisons = (rule: Rule): Comparison[] =>
  'all' in rule ? rule.all : 'any' in rule ? rule.any : [rule];

/** What a comparison sees as of a day: dates and values, ascending by date. */
function seen({ series }: World, one: Comparison, vintages: Vintage[], day: string) {
  const made = series[one.series] as Made;
  const own = vintages.filter((v) => v.series === one.series);
  const visible = own.filter((v) =>
    one.judgedOn === 'recorded' ? v.recordedOn <= day : lastDay(v.date, made) <= day,
  );
  const values = new Map(visible.map((v) => [v.date, v.value])); // the last vintage of a date wins
  return [...values].filter(([, value]) => value !== null).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function isMet(world: World, one: Comparison, vintages: Vintage[], day: string): boolean {
  const values = seen(world, one, vintages, day).map(([, value]) => value as number);
  const newest = values.slice(-one.forObservations);
  const before = values.at(-one.forObservations - 1);
  const t = one.threshold;
  if (newest.length < one.forObservations) return false;
  if (one.operator === 'lt') return newest.every((v) => v < t);
  if (one.operator === 'lte') return newest.every((v) => v <= t);
  if (one.operator === 'gt') return newest.every((v) => v > t);
  if (one.operator === 'gte') return newest.every((v) => v >= t);
  if (before === undefined) return false;
  if (one.operator === 'crossesAbove') return before <= t && newest.every((v) => v > t);
  return before >= t && newest.every((v) => v < t);
}

export function holds(world: World, vintages: Vintage[], day: string): boolean {
  const met = (one: Comparison) => isMet(world, one, vintages, day);
  return 'any' in world.rule ? world.rule.any.some(met) : comparisons(world.rule).every(met);
}

function daysOf(world: World, vintages: Vintage[]): string[] {
  const days = comparisons(world.rule).flatMap((one) =>
    one.judgedOn === 'recorded'
      ? vintages.filter((v) => v.series === one.series).map((v) => v.recordedOn)
      : seen(world, one, vintages, '9999-12-31').map(([date]) =>
          lastDay(date, world.series[one.series] as Made),
        ),
  );
  return [...new Set(days)].filter((day) => day >= world.from && day < world.to).toSorted();
}

/** What an arrival does to a condition: the changes of its state, each with its day. */
export function step(world: World, before: Vintage[], after: Vintage[], now: State) {
  const [was, is] = [daysOf(world, before), daysOf(world, after)];
  const held = (day: string) => holds(world, before, day);
  const holdsOn = (day: string) => holds(world, after, day);
  const startsOf = (days: string[], on: (day: string) => boolean) =>
    days.filter((day, n) => on(day) && !(n > 0 && on(days[n - 1] as string)));
  const [startedOn, startsOn] = [startsOf(was, held), startsOf(is, holdsOn)];
  const previous = (day: string) => is.findLast((one) => one < day) ?? '';
  const { answeredDay } = now;
  const isPast = (day: string, limit: string | null) => limit === null || day > limit;

  const isTrigger = (day: string) =>
    (startsOn.includes(day) && !startedOn.includes(day) && isPast(previous(day), answeredDay)) ||
    (was.includes(day) && !held(day) && holdsOn(day) && isPast(day, answeredDay));
  const firstTrigger = (days: string[], isOne = isTrigger): [string, string][] =>
    days
      .filter(isOne)
      .slice(0, 1)
      .map((day) => ['triggered', day]);

  if (now.state === 'untriggered') return firstTrigger(is);
  if (!now.isAnswered) {
    const { day } = now;
    if (day === null || !held(day) || holdsOn(day)) return [];
    const isAny = (one: string) => isTrigger(one) || (startsOn.includes(one) && one > day);
    return [['untriggered', day], ...firstTrigger(is, isAny)] as [string, string][];
  }
  const answered = [answeredDay ?? '', ...startsOn.filter((day) => startedOn.includes(day))];
  const covered = answered.toSorted().at(-1) as string;
  for (const day of is.filter((one) => one > covered)) {
    const isNews = !was.includes(day) || held(day);
    if (!holdsOn(day) && isNews) {
      return [['untriggered', day], ...firstTrigger(is.filter((one) => one > day))] as [
        string,
        string,
      ][];
    }
    if (startsOn.includes(day) && previous(day) > covered) {
      return [
        ['untriggered', previous(day)],
        ['triggered', day],
      ] as [string, string][];
    }
  }
  return [];
}
