import { type Fault, repeated } from './errors.ts';
import type { ScenarioName } from './probabilities.ts';
import { countUntil, type Observation } from './series.ts';

export const OPERATORS = ['lt', 'lte', 'gt', 'gte', 'crossesAbove', 'crossesBelow'] as const;
export type Operator = (typeof OPERATORS)[number];

/** A series, by its key, compared with a threshold on its newest `forObservations` (from 1) in a row. */
export type Comparison = {
  series: string;
  operator: Operator;
  threshold: number;
  forObservations: number;
};

/** One comparison, or several of which all or any must hold. */
export type Rule = Comparison | { all: Comparison[] } | { any: Comparison[] };

/** What would show a scenario to be wrong: as a rule tells, or, without one, as an analyst assesses. */
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

/** What is known of each series, by its key, ascending by date. */
export type Known = ReadonlyMap<string, readonly Observation[]>;

/**
 * Whether a rule holds as of a day, by the observations dated until then. A comparison holds where there
 * are as many observations as it asks for and each compares so; a crossing, where moreover the one before
 * them is there and is not beyond the threshold.
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

/** Where a condition stands that observations are judged for. */
export type Watched =
  | { state: 'untriggered' }
  /** `day`: of the observations that triggered it; null where an analyst did. */
  | { state: 'triggered'; day: string | null; isAnswered: boolean };

/** A change of state, with the newest values that it went by. */
export type Transition = {
  state: 'triggered' | 'untriggered';
  day: string;
  observations: { series: string; date: string; value: number }[];
};

/**
 * What observations of one series that came in, or were revised, do to a condition: first what a revised
 * value takes away, then in the order of days.
 *
 * Only days of the horizon whose windows a changed day reaches, and the first after them, are judged. A
 * condition triggers on a day on which its rule comes to hold. Triggered and not answered it stays, unless
 * a revised value takes the rule's hold on that very day away; answered, it is armed again on the first
 * day after on which the rule does not hold, or did not before it comes to hold anew.
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
 * Whether a rule holds on a day and, by what was known `before`, did not: or did only in going on from a day
 * on which it holds no more, or from one before `from`, on which nothing is judged.
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

/** The newest day before `day` on which some series of a rule has an observation; '' for none. */
function dayBefore(rule: Rule, known: Known, day: string): string {
  return comparisonsOf(rule).reduce((newest, { series }) => {
    const observations = known.get(series) ?? [];
    const end = countUntil(observations, day);
    const date = observations[observations[end - 1]?.date === day ? end - 2 : end - 1]?.date ?? '';
    return date > newest ? date : newest;
  }, '');
}

function valuesOf(rule: Rule, known: Known, day: string, state: Transition['state']) {
  const isTold = (comparison: Comparison) =>
    state === 'untriggered' || !('any' in rule) || compares(comparison, known, day);
  const keys = new Set(
    comparisonsOf(rule)
      .filter(isTold)
      .map(({ series }) => series),
  );
  return [...keys].flatMap((series) => {
    const observations = known.get(series) ?? [];
    const newest = observations[countUntil(observations, day) - 1];
    return newest ? [{ series, ...newest }] : [];
  });
}

/**
 * The days on which some series of a rule has an observation and a changed day is looked back at, and
 * the first after each row of them, on which the rule may hold anew.
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
  // Each changed day is seen from its own until before that of `reach` observations later.
  const spans = changed.dates.toSorted().map((day) => {
    const end = own[countUntil(own, day) - 1 + reach]?.date ?? null;
    return { day, end };
  });
  const days = new Set<string>();
  for (const { series } of comparisons) {
    for (const { date } of known.get(series) ?? []) if (date >= from && date < to) days.add(date);
  }
  let open = 0;
  let latest: string | null = ''; // until where the spans reach that began; null is for ever
  return [...days].toSorted().filter((day) => {
    for (; open < spans.length && (spans[open]?.day ?? '') <= day; open += 1) {
      const end = spans[open]?.end ?? null;
      latest = latest === null || end === null ? null : end > latest ? end : latest;
    }
    return open > 0 && (latest === null || day <= latest);
  });
}

/** Keys are used once. */
export function invalidationConditionFaults(
  conditions: readonly Partial<InvalidationCondition>[],
): Fault[] {
  return repeated(conditions, 'key');
}
