import { type Fault, repeated } from './errors.ts';
import type { ScenarioName } from './probabilities.ts';
import type { Observation } from './series.ts';

export const OPERATORS = ['lt', 'lte', 'gt', 'gte', 'crossesAbove', 'crossesBelow'] as const;
export type Operator = (typeof OPERATORS)[number];

export const JUDGED_ON = ['periodEnd', 'recorded'] as const;
/** The day from which a rule sees a value: the last day of its period, or the UTC day on which it was recorded. */
export type JudgedOn = (typeof JUDGED_ON)[number];

/** Compares the newest `forObservations` (at least 1) of a series with a threshold. */
export type Comparison = {
  series: string;
  operator: Operator;
  threshold: number;
  forObservations: number;
  /** Null: `periodEnd`. */
  judgedOn: JudgedOn | null;
};

/** One comparison, or several: all of them or any of them must hold. */
export type Rule = Comparison | { all: Comparison[] } | { any: Comparison[] };

/** What would prove a scenario wrong. A rule decides it, or without one an analyst. */
export type InvalidationCondition = {
  key: string;
  invalidates: ScenarioName;
  statement: string;
  rule: Rule | null;
};

export const CONDITION_STATES = ['untriggered', 'triggered', 'expired'] as const;
export type ConditionState = (typeof CONDITION_STATES)[number];

export function comparisonsOf(rule: Rule): readonly Comparison[] {
  if ('all' in rule) return rule.all;
  return 'any' in rule ? rule.any : [rule];
}

export const judgedOn = (comparison: Pick<Comparison, 'judgedOn'>): JudgedOn =>
  comparison.judgedOn ?? 'periodEnd';

export const isCrossing = (operator: Operator): boolean => operator.startsWith('crosses');

/** The value of a date as rules see it from the day `from` on; null: the value was retracted. */
export type Figure = { date: string; value: number | null; from: string };

/** The figures of the series that rules compare, by {@link figuresKey}, ascending by `from`. */
export type FiguresBySeries = ReadonlyMap<string, readonly Figure[]>;

/** A series has other figures if they are judged on the day that they were recorded. */
export const figuresKey = (comparison: Pick<Comparison, 'series' | 'judgedOn'>): string =>
  `${comparison.series} ${judgedOn(comparison)}`;

/** What a comparison looks at as of a day. */
export type ComparisonReading = {
  comparison: Comparison;
  isMet: boolean;
  /** The newest observation by then; null if there is none. */
  newest: Observation | null;
};

/** Whether a rule holds, given its comparisons as of a day. */
export function holds(rule: Rule, readings: readonly ComparisonReading[]): boolean {
  return 'any' in rule ? readings.some(({ isMet }) => isMet) : readings.every(({ isMet }) => isMet);
}

/**
 * Reads a rule as of successive days: for each comparison, the observations that it sees by then, ascending by date. A
 * comparison is met if there are enough of them and each of the newest `forObservations` is beyond the threshold. A
 * crossing also requires the one before them to exist and not to be beyond it.
 * @returns a function of the day; call it with ascending days
 */
export function ruleReader(
  rule: Rule,
  known: FiguresBySeries,
): (day: string) => ComparisonReading[] {
  const readers = comparisonsOf(rule).map((comparison) => {
    const figures = known.get(figuresKey(comparison)) ?? [];
    const seen: Observation[] = [];
    let next = 0;
    return (day: string): ComparisonReading => {
      for (let figure = figures[next]; figure && figure.from <= day; figure = figures[next]) {
        put(seen, figure);
        next += 1;
      }
      return { comparison, isMet: isMet(comparison, seen), newest: seen.at(-1) ?? null };
    };
  });
  return (day) => readers.map((read) => read(day));
}

function put(seen: Observation[], { date, value }: Figure): void {
  let at = seen.length; // new figures are nearly always the newest
  while (at > 0 && (seen[at - 1]?.date ?? '') >= date) at -= 1;
  const isKnown = seen[at]?.date === date;
  seen.splice(at, isKnown ? 1 : 0, ...(value === null ? [] : [{ date, value }]));
}

function isMet(
  { operator, threshold, forObservations }: Comparison,
  seen: readonly Observation[],
): boolean {
  const start = seen.length - forObservations;
  if (start < 0) return false;
  const isBeyond = BEYOND[operator];
  for (let at = start; at < seen.length; at += 1) {
    const value = seen[at]?.value;
    if (value === undefined || !isBeyond(value, threshold)) return false;
  }
  if (!isCrossing(operator)) return true;
  const before = seen[start - 1]?.value;
  return before !== undefined && !isBeyond(before, threshold);
}

const BEYOND: Record<Operator, (value: number, threshold: number) => boolean> = {
  lt: (value, threshold) => value < threshold,
  lte: (value, threshold) => value <= threshold,
  gt: (value, threshold) => value > threshold,
  gte: (value, threshold) => value >= threshold,
  crossesAbove: (value, threshold) => value > threshold,
  crossesBelow: (value, threshold) => value < threshold,
};

/** The state of a condition whose rule is evaluated. */
export type WatchedCondition = (
  | { state: 'untriggered' }
  /** `day`: the day as of which the rule triggered it; null if an analyst did. */
  | { state: 'triggered'; day: string | null; isAnswered: boolean }
) & {
  /** The newest day on which the rule triggered it and a version answered; null if there is none. */
  answeredDay: string | null;
};

/** What observations change: the figures before and after, which differ from the day `since` on. */
export type FigureChange = { before: FiguresBySeries; after: FiguresBySeries; since: string };

/** A change of state as of a day, and what the rule saw then. */
export type Transition = {
  state: 'triggered' | 'untriggered';
  day: string;
  readings: ComparisonReading[];
};

/**
 * The transitions of a condition after observations were added, revised or retracted.
 *
 * The days of a horizon are those on which any series of the rule has a figure. The rule starts to hold on such a day if
 * it holds as of it, but not as of the day before it in the horizon. With the figures before and after,
 *
 * - an untriggered condition triggers on the first day on which the rule now starts to hold and did not before, or did
 *   not hold before and now does. If a version answered it, only days after the answered one count: the rule must hold on
 *   such a day and, where it starts to hold, fail on an earlier one that is after the answered one, too;
 * - a triggered one without an answer stays, unless the rule held as of its day before and does not now. It may then
 *   trigger on any later day on which the rule starts to hold;
 * - an answered one is armed again by the first later day on which the rule does not hold, and may then trigger again.
 *   What was known about days when it was answered does not arm it.
 */
export function evaluate(
  rule: Rule,
  change: FigureChange,
  watched: WatchedCondition,
  horizon: { from: string; to: string },
): Transition[] {
  const { since } = change;
  const day = watched.state === 'triggered' && !watched.isAnswered ? watched.day : null;
  const was = judge(rule, change.before, horizon, since, day);
  const is = judge(rule, change.after, horizon, since, day);
  const steps = stepsOf(was, is, since);
  const { answeredDay } = watched;
  if (watched.state === 'untriggered') {
    return withReadings(rule, change.after, triggers(steps, answeredDay, null));
  }
  if (watched.isAnswered) return withReadings(rule, change.after, rearms(steps, answeredDay));
  if (day === null || day < since || !was.holdsOn.get(day) || is.holdsOn.get(day)) return [];
  const cleared: Change[] = [{ state: 'untriggered', day }];
  return withReadings(rule, change.after, [...cleared, ...triggers(steps, answeredDay, day)]);
}

type Change = Pick<Transition, 'state' | 'day'>;

/** The days of the horizon from the last one before `since` on, and whether the rule holds as of them and of `more`. */
type Judged = { days: string[]; holdsOn: Map<string, boolean> };

function judge(
  rule: Rule,
  known: FiguresBySeries,
  { from, to }: { from: string; to: string },
  since: string,
  more: string | null,
): Judged {
  const days = new Set<string>();
  let last = '';
  for (const key of new Set(comparisonsOf(rule).map(figuresKey))) {
    for (const { from: day } of known.get(key) ?? []) {
      if (day < from || day >= to) continue;
      if (day >= since) days.add(day);
      else if (day > last) last = day;
    }
  }
  if (last !== '') days.add(last);
  const read = ruleReader(rule, known);
  const judged = new Set(more === null ? days : [...days, more]);
  const holdsOn = new Map([...judged].toSorted().map((day) => [day, holds(rule, read(day))]));
  return { days: [...days].toSorted(), holdsOn };
}

/** A day of the horizon, and what changed about it. */
type Step = {
  day: string;
  previous: string | null;
  isHeld: boolean;
  /** Whether it starts to hold now, and whether it already did. */
  isStart: boolean;
  wasStart: boolean;
  /** Null: it was no day of the horizon. */
  wasHeld: boolean | null;
};

function stepsOf(was: Judged, is: Judged, since: string): Step[] {
  const isStart = ({ days, holdsOn }: Judged, index: number) =>
    holdsOn.get(days[index] ?? '') === true && holdsOn.get(days[index - 1] ?? '') !== true;
  const starts = new Set(was.days.filter((_, index) => isStart(was, index)));
  const knownBefore = new Set(was.days);
  return is.days.flatMap((day, index): Step[] => {
    if (day < since) return [];
    const isHeld = is.holdsOn.get(day) === true;
    const wasHeld = knownBefore.has(day) ? was.holdsOn.get(day) === true : null;
    const previous = is.days[index - 1] ?? null;
    const [now, before] = [isStart(is, index), starts.has(day)];
    return [{ day, previous, isHeld, isStart: now, wasStart: before, wasHeld }];
  });
}

const isAfter = (day: string | null, answeredDay: string | null): boolean =>
  answeredDay === null || (day !== null && day > answeredDay);

/** The first day that triggers an untriggered condition; `cleared`: the day of a trigger that was just taken back. */
function triggers(
  steps: readonly Step[],
  answeredDay: string | null,
  cleared: string | null,
): Change[] {
  const found = steps.find(({ day, previous, isHeld, isStart, wasStart, wasHeld }) => {
    if (isStart && cleared !== null && day > cleared) return true;
    if (isStart && !wasStart && isAfter(previous, answeredDay)) return true;
    return isHeld && wasHeld === false && isAfter(day, answeredDay);
  });
  return found ? [{ state: 'triggered', day: found.day }] : [];
}

/** What arms an answered condition again, and what then triggers it. */
function rearms(steps: readonly Step[], answeredDay: string | null): Change[] {
  // The answer also covers a day on which the rule was already known to start to hold.
  const covered = steps
    .filter(({ isStart, wasStart }) => isStart && wasStart)
    .reduce((newest, { day }) => (newest === null || day > newest ? day : newest), answeredDay);
  for (const [index, { day, previous, isHeld, isStart, wasHeld }] of steps.entries()) {
    if (!isAfter(day, covered)) continue;
    if (!isHeld && wasHeld !== false) {
      const later = triggers(steps.slice(index + 1), answeredDay, null);
      return [{ state: 'untriggered', day }, ...later];
    }
    if (isStart && previous !== null && isAfter(previous, covered)) {
      return [
        { state: 'untriggered', day: previous },
        { state: 'triggered', day },
      ];
    }
  }
  return [];
}

function withReadings(
  rule: Rule,
  known: FiguresBySeries,
  changes: readonly Change[],
): Transition[] {
  return changes.map(({ state, day }) => ({ state, day, readings: ruleReader(rule, known)(day) }));
}

/** Keys are unique. */
export function invalidationConditionFaults(
  conditions: readonly Partial<InvalidationCondition>[],
): Fault[] {
  return repeated(conditions, 'key');
}
