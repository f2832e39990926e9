import type { Fault } from './errors.ts';

export const SCENARIO_NAMES = ['bear', 'base', 'bull'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

/** Basis points in a probability of 1. A basis point is 0.0001. */
export const WHOLE = 10_000;

// Numbers of either unit may be written as they are; values of one type do not pass for the other.
declare const unit: unique symbol;

/** Whole basis points, signed where they are changes. */
export type BasisPoints = Readonly<Record<ScenarioName, number>> & {
  readonly [unit]?: 'basis point';
};

/** Fractions in [0, 1], or signed changes of them, as the API writes both. */
export type Fractions = Record<ScenarioName, number> & { readonly [unit]?: 'fraction' };

declare const sumsToWhole: unique symbol;

/**
 * Basis points, 0–10000 each, that sum to exactly 10000. Integers, because 0.6 + 0.3 + 0.1 in
 * floating point is 0.9999999999999999. Made only by {@link probabilitiesOf}.
 */
export type Probabilities = BasisPoints & { readonly [sumsToWhole]: true };

/** One value for each scenario. */
export type ByScenario<Value> = Record<ScenarioName, Value>;

export function byScenario<Value>(of: (name: ScenarioName) => Value): ByScenario<Value> {
  return { bear: of('bear'), base: of('base'), bull: of('bull') };
}

/** How far a double may be from the basis point that it stands for: 1 − 0.55 − 0.3 is 0.14999999999999997. */
const NOISE = 1e-9;

/**
 * Says why `value` is not a probability (a number in [0, 1] with at most four decimals, a double's noise aside)
 * and how to fix it; null if it is one.
 */
export function probabilityFault(value: unknown): string | null {
  if (value === undefined) return 'is required';
  if (typeof value === 'string') return 'must be a number without quotes, such as 0.35';
  if (typeof value !== 'number' || Number.isNaN(value)) return 'must be a number, such as 0.35';
  const points = basisPoints(value);
  if (isNear(points, value) && points >= 0 && points <= WHOLE) return null;
  if (value < 0) return 'must not be negative: a probability is between 0 and 1';
  if (value > 100) return 'must be between 0 and 1';
  if (value > 1) {
    return `probabilities are fractions: ${value} % is ${basisPoints(value / 100) / WHOLE}`;
  }
  return `has more than four decimals; the smallest step is 0.0001, so write ${points / WHOLE}`;
}

/** A fraction as whole basis points. A value without a {@link probabilityFault} is within a double's noise of them. */
export function basisPoints(fraction: number): number {
  return Math.round(fraction * WHOLE) + 0; // + 0 turns -0 into 0
}

const isNear = (points: number, fraction: number): boolean =>
  Math.abs(points / WHOLE - fraction) <= NOISE;

/**
 * The {@link probabilityFault} of each of three values. Values with too many decimals are rounded together where
 * that makes the three sum to 1, because each rounded alone may miss the sum: thirds would be 0.3333 three times.
 */
export function probabilityFaults(values: Readonly<Record<ScenarioName, unknown>>): Fault[] {
  const together = roundedTogether(values);
  return SCENARIO_NAMES.flatMap((name) => {
    const alone = probabilityFault(values[name]);
    if (alone === null) return [];
    if (together === null) return [{ path: [name], detail: alone }];
    const sum = SCENARIO_NAMES.map((each) => together[each]).join(' + ');
    const detail = `has more than four decimals; write ${together[name]}, so that the three sum to 1: ${sum}`;
    return [{ path: [name], detail }];
  });
}

/** The values with too many decimals rounded up or down so that all three sum to 1; null if that is impossible. */
function roundedTogether(values: Readonly<Record<ScenarioName, unknown>>): Fractions | null {
  const inRange = (value: unknown) =>
    typeof value === 'number' && value >= -NOISE && value <= 1 + NOISE;
  if (!SCENARIO_NAMES.every((name) => inRange(values[name]))) return null;
  const isFine = (name: ScenarioName) => probabilityFault(values[name]) === null;
  // Without noise, which must not count as a remainder.
  const fractions = byScenario((name) => {
    const value = values[name] as number;
    return isFine(name) ? basisPoints(value) / WHOLE : value;
  });
  const { bear, base, bull } = roundedDown(fractions);
  const left = WHOLE - bear - base - bull;
  const rounded = SCENARIO_NAMES.filter((name) => !isFine(name)).length;
  return left >= 0 && left <= rounded ? fractionsOf(inBasisPoints(fractions)) : null;
}

// A value that is whole except for its last binary digits counts as whole.
const roundedDown = (distribution: Readonly<Fractions>): ByScenario<number> =>
  byScenario((name) => Math.floor(distribution[name] * WHOLE + 1e-7));

/**
 * A distribution in whole basis points that sum to exactly 10000, by the largest remainder (Hamilton): each is
 * rounded down, and those that lost most get one point more; ties go to the first of bear, base, bull.
 */
export function inBasisPoints(distribution: Readonly<Fractions>): Probabilities {
  const points = roundedDown(distribution);
  const left = WHOLE - points.bear - points.base - points.bull;
  const remainder = (name: ScenarioName) => distribution[name] * WHOLE - points[name];
  const byRemainder = [...SCENARIO_NAMES].sort((a, b) => {
    const difference = remainder(b) - remainder(a);
    return Math.abs(difference) < 1e-7 ? 0 : difference;
  });
  for (const name of byRemainder.slice(0, left)) points[name] += 1;
  return probabilitiesOf(points);
}

/** Why three probabilities do not sum to 1. `sum` and `excess` are fractions; excess is signed. */
export type SumFault = { sum: number; excess: number; detail: string; correction: string };

/** Checks the sum of three values in basis points; null if it is exactly 10000. */
export function sumFault(points: BasisPoints): SumFault | null {
  const sum = points.bear + points.base + points.bull;
  if (sum === WHOLE) return null;
  const excess = (sum - WHOLE) / WHOLE;
  const amount = Math.abs(excess);
  const terms = SCENARIO_NAMES.map((name) => `${name} ${points[name] / WHOLE}`).join(' + ');
  return {
    sum: sum / WHOLE,
    excess,
    detail: `${terms} = ${sum / WHOLE}, which is ${amount} too ${excess > 0 ? 'much' : 'little'}.`,
    correction: `sums to ${sum / WHOLE}; ${excess > 0 ? `take ${amount} away` : `add ${amount}`}`,
  };
}

/**
 * Basis points as {@link Probabilities}.
 * @throws RangeError if one is not a whole number in 0–10000 or the sum is not 10000
 */
export function probabilitiesOf(points: BasisPoints): Probabilities {
  const { bear, base, bull } = points;
  for (const value of [bear, base, bull]) {
    if (!Number.isInteger(value) || value < 0 || value > WHOLE) {
      throw new RangeError(`${value} is not a whole number of basis points in 0–${WHOLE}`);
    }
  }
  const fault = sumFault(points);
  if (fault) throw new RangeError(fault.detail);
  return { bear, base, bull } as Probabilities;
}

/** Probabilities as the API writes them: fractions with at most four decimals. */
export function fractionsOf(points: BasisPoints): Fractions {
  return {
    bear: points.bear / WHOLE,
    base: points.base / WHOLE,
    bull: points.bull / WHOLE,
  };
}

/** How far each probability moved, as signed fractions that sum to 0. */
export function deltasOf(before: Probabilities, after: Probabilities): Fractions {
  return fractionsOf({
    bear: after.bear - before.bear,
    base: after.base - before.base,
    bull: after.bull - before.bull,
  });
}

export function sameProbabilities(a: Probabilities, b: Probabilities): boolean {
  return a.bear === b.bear && a.base === b.base && a.bull === b.bull;
}
