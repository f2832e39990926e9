import { type Fault, repeated } from './errors.ts';
import type { ScenarioName } from './probabilities.ts';
import { countUntil, type Observation } from './series.ts';

export const OPERATORS = ['lt', 'lte', 'gt', 'gte', 'crossesAbove', 'crossesBelow'] as const;
export type Operator = (typeof OPERATORS)[number];

export const JUDGED_ON = ['periodEnd', 'recorded'] as const;
/** The day on which a rule judges an observation: the last day of its period, or the day it was recorded. */
export type JudgedOn = (typeof JUDGED_ON)[number];

/** Compares the newest `forObservations` (at least 1) of a series with a threshold. */
export type Comparison = {
  series: string;
  operator: Operator;
  threshold: number;
  forObservations: number;
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

/** The known observations of each series, by key, ascending by date. */
export type Known = ReadonlyMap<string, readonly Observation[]>;

/**
 * Whether a rule holds as of a day, given the observations dated up to then. A comparison holds if enough
 * observations exist and each one meets it. A crossing also requires the observation before them to exist
 * and not to be beyond the threshold.
 */
export function holds(rule: Rule, known: Known, day: string): boolean {
  const isMet = (comparison: Comparison) => compares(comparison, known, day);
  return 'any' in rule ? rule.any.some(isMet) : comparisonsOf(rule).every(isMet);
}

function compares(
  { series, operator, threshold, forObservations }: Comparison,
  known: Known,
  day: string,
): boolean {
  const observations = known.get(series) ?? [];
  const end = countUntil(observations, day);
  const start = end - forObservations;
  if (start < 0) return false;
  const isBeyond = BEYOND[operator];
  for (let at = start; at < end; at += 1) {
    const value = observations[at]?.value;
    if (value === undefined || !isBeyond(value, threshold)) return false;
  }
  if (operator !== 'crossesAbove' && operator !== 'crossesBelow') return true;
  const before = observations[start - 1]?.value;
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
export type Watched =
  | { state: 'untriggered' }
  /** `day`: the day of the observations that triggered it; null if an analyst did. */
  | { state: 'triggered'; day: string | null; isAnswered: boolean };

/** A change of state, with the newest values that caused it. */
export type Transition = {
  state: 'triggered' | 'untriggered';
  day: string;
  observations: { series: string; date: string; value: number }[];
};

/**
 * The transitions of a condition after observations of one series were added or revised: first the
 * clearing caused by a revised value, then day by day.
 *
 * Only days of the horizon whose windows include a changed day, and the first day after them, are
 * evaluated. A condition triggers on a day on which its rule starts to hold. An unanswered trigger stays,
 * unless a revised value means that the rule did not hold on that day. An answered one is armed again on
 * the first later day on which the rule does not hold, or did not before it starts to hold again.
 */
export function evaluate(
  rule: Rule,
  before: Known,
  after: Known,
  changed: { series: string; dates: readonly string[] },
  watched: Watched,
  horizon: { from: string; to: string },
): Transition[] {
  const transitions: Transition[] = [];
  let now = watched;
  const become = (state: Transition['state'], day: string) => {
    transitions.push({ state, day, observations: valuesOf(rule, after, day, state) });
    now = state === 'untriggered' ? { state } : { state, day, isAnswered: false };
  };
  const days = evaluatedDays(rule, after, changed, horizon);
  const triggerDay = now.state === 'triggered' ? now.day : null;
  if (triggerDay !== null && days.includes(triggerDay) && !holds(rule, after, triggerDay)) {
    become('untriggered', triggerDay);
  }
  for (const day of days) {
    if (now.state === 'untriggered') {
      if (comesToHold(rule, before, after, day, horizon.from)) become('triggered', day);
    } else if (now.isAnswered && (now.day === null || day > now.day)) {
      if (!holds(rule, after, day)) become('untriggered', day);
      else if (comesToHold(rule, before, after, day, horizon.from)) {
        become('untriggered', dayBefore(rule, after, day) || day);
        become('triggered', day);
      }
    }
  }
  return transitions;
}

/**
 * Whether a rule starts to hold on a day: it holds now and, with the observations known `before`, did not.
 * It also starts if it held before only as a continuation from a day on which it no longer holds, or from a
 * day before `from`, which is not evaluated.
 */
function comesToHold(rule: Rule, before: Known, after: Known, day: string, from: string): boolean {
  if (!holds(rule, after, day)) return false;
  if (!holds(rule, before, day)) return true;
  const previous = dayBefore(rule, after, day);
  if (previous < from && !isObserved(rule, before, day)) return true;
  return holds(rule, before, previous) && !holds(rule, after, previous);
}

function isObserved(rule: Rule, known: Known, day: string): boolean {
  return comparisonsOf(rule).some(({ series }) => {
    const observations = known.get(series) ?? [];
    return observations[countUntil(observations, day) - 1]?.date === day;
  });
}

/** The newest day before `day` on which any series of a rule has an observation; '' if there is none. */
function dayBefore(rule: Rule, known: Known, day: string): string {
  return comparisonsOf(rule).reduce((newest, { series }) => {
    const observations = known.get(series) ?? [];
    const end = countUntil(observations, day);
    const date = observations[observations[end - 1]?.date === day ? end - 2 : end - 1]?.date ?? '';
    return date > newest ? date : newest;
  }, '');
}

function valuesOf(rule: Rule, known: Known, day: string, state: Transition['state']) {
  const isReported = (comparison: Comparison) =>
    state === 'untriggered' || !('any' in rule) || compares(comparison, known, day);
  const keys = new Set(
    comparisonsOf(rule)
      .filter(isReported)
      .map(({ series }) => series),
  );
  return [...keys].flatMap((series) => {
    const observations = known.get(series) ?? [];
    const newest = observations[countUntil(observations, day) - 1];
    return newest ? [{ series, ...newest }] : [];
  });
}

/**
 * The days on which any series of a rule has an observation and whose window includes a changed day, and
 * the first day after each run of them, on which the rule may start to hold again.
 */
function evaluatedDays(
  rule: Rule,
  known: Known,
  changed: { series: string; dates: readonly string[] },
  { from, to }: { from: string; to: string },
): string[] {
  const comparisons = comparisonsOf(rule);
  const own = known.get(changed.series) ?? [];
  const reach = comparisons
    .filter(({ series }) => series === changed.series)
    .reduce((most, { operator, forObservations }) => {
      const isCrossing = operator === 'crossesAbove' || operator === 'crossesBelow';
      return Math.max(most, forObservations + (isCrossing ? 1 : 0));
    }, 0);
  if (reach === 0) return [];
  // A changed day affects the days from its own up to, not including, that of `reach` observations later.
  const spans = changed.dates.toSorted().map((day) => {
    const end = own[countUntil(own, day) - 1 + reach]?.date ?? null;
    return { day, end };
  });
  const days = new Set<string>();
  for (const { series } of comparisons) {
    for (const { date } of known.get(series) ?? []) if (date >= from && date < to) days.add(date);
  }
  let open = 0;
  let latest: string | null = ''; // the end of the spans that have begun; null is unbounded
  return [...days].toSorted().filter((day) => {
    for (; open < spans.length && (spans[open]?.day ?? '') <= day; open += 1) {
      const end = spans[open]?.end ?? null;
      latest = latest === null || end === null ? null : end > latest ? end : latest;
    }
    return open > 0 && (latest === null || day <= latest);
  });
}

/** Keys are unique. */
export function invalidationConditionFaults(
  conditions: readonly Partial<InvalidationCondition>[],
): Fault[] {
  return repeated(conditions, 'key');
}
