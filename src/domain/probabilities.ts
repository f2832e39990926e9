export const SCENARIO_NAMES = ['bear', 'base', 'bull'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

/** Basis points in a probability of 1. A basis point is 0.0001. */
export const WHOLE = 10_000;

declare const sumsToWhole: unique symbol;

/**
 * Whole basis points, 0–10000 each, that sum to exactly 10000. Integers, because 0.6 + 0.3 + 0.1
 * in floating point is 0.9999999999999999. Made only by {@link probabilitiesOf}.
 */
export type Probabilities = Readonly<Record<ScenarioName, number>> & {
  readonly [sumsToWhole]: true;
};

/** One value for each scenario. */
export type ByScenario<Value> = Record<ScenarioName, Value>;

export function byScenario<Value>(of: (name: ScenarioName) => Value): ByScenario<Value> {
  return { bear: of('bear'), base: of('base'), bull: of('bull') };
}

/** Fractions in [0, 1], as the API writes probabilities and their changes. */
export type Fractions = Record<ScenarioName, number>;

/**
 * Says why `value` is not a probability (a number in [0, 1] with at most four decimals) and how to
 * fix it; null if it is one.
 */
export function probabilityFault(value: unknown): string | null {
  if (value === undefined) return 'is required';
  if (typeof value === 'string') return 'must be a number without quotes, such as 0.35';
  if (typeof value !== 'number' || Number.isNaN(value)) return 'must be a number, such as 0.35';
  if (value < 0) return 'must not be negative: a probability is between 0 and 1';
  if (value > 100) return 'must be between 0 and 1';
  if (value > 1) {
    return `probabilities are fractions: ${value} % is ${basisPoints(value / 100) / WHOLE}`;
  }
  const nearest = basisPoints(value) / WHOLE;
  if (nearest === value) return null;
  return `has more than four decimals; the smallest step is 0.0001, so write ${nearest}`;
}

/** A fraction as whole basis points. Exact for values without a {@link probabilityFault}. */
export function basisPoints(fraction: number): number {
  return Math.round(fraction * WHOLE) + 0; // + 0 turns -0 into 0
}

/** Why three probabilities do not sum to 1. `sum` and `excess` are fractions; excess is signed. */
export type SumFault = { sum: number; excess: number; detail: string; correction: string };

/** Checks the sum of three values in basis points; null if it is exactly 10000. */
export function sumFault(points: Readonly<Record<ScenarioName, number>>): SumFault | null {
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
export function probabilitiesOf(points: Readonly<Record<ScenarioName, number>>): Probabilities {
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
export function fractionsOf(points: Readonly<Record<ScenarioName, number>>): Fractions {
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
