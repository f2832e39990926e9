import type { Fault } from './errors.ts';
import type { Horizon } from './framework.ts';
import {
  type Comparison,
  comparisonsOf,
  figuresKey,
  isCrossing,
  type Operator,
  type Rule,
} from './condition-rules.ts';
import { type Frequency, mostObservations } from './series.ts';

/** Comparisons under `all` do not contradict each other, and none is repeated. Paths start at the rule. */
export function ruleFaults(rule: Rule): Fault[] {
  const [part] = 'series' in rule ? [] : Object.keys(rule);
  if (part === undefined) return [];
  const comparisons = comparisonsOf(rule);
  return comparisons.flatMap((comparison, index): Fault[] => {
    const earlier = comparisons.slice(0, index);
    const same = earlier.findIndex((one) => isSame(one, comparison));
    if (same >= 0) return [{ path: [part, index], detail: `repeats entry ${same}` }];
    if (part === 'any') return [];
    const opposed = earlier.findIndex((one) => contradicts(one, comparison));
    if (opposed < 0) return [];
    const detail = `contradicts entry ${opposed}; remove one of them, or use any`;
    return [{ path: [part, index], detail }];
  });
}

const isSame = (one: Comparison, other: Comparison): boolean =>
  figuresKey(one) === figuresKey(other) &&
  one.operator === other.operator &&
  one.threshold === other.threshold &&
  one.forObservations === other.forObservations;

type Bound = { side: 'above' | 'below'; isOpen: boolean };
const BOUNDS: Record<Operator, Bound> = {
  lt: { side: 'below', isOpen: true },
  lte: { side: 'below', isOpen: false },
  gt: { side: 'above', isOpen: true },
  gte: { side: 'above', isOpen: false },
  crossesAbove: { side: 'above', isOpen: true },
  crossesBelow: { side: 'below', isOpen: true },
};

/** Whether no newest value can satisfy both or, for opposite crossings, no value before it. */
function contradicts(one: Comparison, other: Comparison): boolean {
  if (figuresKey(one) !== figuresKey(other)) return false;
  const [first, second] = [BOUNDS[one.operator], BOUNDS[other.operator]];
  if (first.side === second.side) return false;
  const areCrossings = isCrossing(one.operator) && isCrossing(other.operator);
  if (areCrossings && one.forObservations === other.forObservations) return true;
  const [above, below] = first.side === 'above' ? [one, other] : [other, one];
  if (above.threshold > below.threshold) return true;
  return above.threshold === below.threshold && (first.isOpen || second.isOpen);
}

/**
 * A rule requires no more observations than its series can have within the horizon.
 * @param frequencyOf the frequency of a series by key; undefined for an unknown series, which is skipped
 */
export function unreachableFaults(
  rule: Rule,
  horizon: Horizon,
  frequencyOf: (series: string) => Frequency | undefined,
): Fault[] {
  const [part] = 'series' in rule ? [] : Object.keys(rule);
  return comparisonsOf(rule).flatMap((comparison, index): Fault[] => {
    const { series, operator, forObservations } = comparison;
    const frequency = frequencyOf(series);
    if (frequency === undefined) return [];
    const crosses = isCrossing(operator);
    const most = mostObservations(frequency, horizon) - (crosses ? 1 : 0);
    if (forObservations <= most) return [];
    const place = part === undefined ? [] : [part, index];
    const detail = `${series} is ${frequency} and can have at most ${most} observations within the horizon${crosses ? ', besides the one before the crossing' : ''}`;
    return [{ path: [...place, 'forObservations'], detail }];
  });
}
