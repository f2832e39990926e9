import type { Fault } from './errors.ts';
import { type Probabilities, SCENARIO_NAMES, type ScenarioName, WHOLE } from './probabilities.ts';

export const DIRECTIONS = ['lower', 'sideways', 'higher'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** The direction of a scenario unless the desk sets another. */
export const DEFAULT_DIRECTIONS: Record<ScenarioName, Direction> = {
  bear: 'lower',
  base: 'sideways',
  bull: 'higher',
};

/**
 * The returns over the horizon that a scenario covers, as fractions (-0.1 is −10 %), half-open
 * [min, max); null is an open end. The outer bounds, min of bear and max of bull, only say how far the desk
 * expects the return to go: a return beyond one still counts as bear or bull.
 */
export type ReturnBand = { min: number | null; max: number | null };

export type Scenario = {
  title: string;
  outcome: string;
  conditions: string;
  direction: Direction;
  directionComment: string | null;
  returnBand: ReturnBand | null;
  /** The return over the horizon that the desk expects in this scenario, a fraction within its band. */
  centralReturn: number | null;
};
export type Scenarios = Record<ScenarioName, Scenario>;

/** The probability of each direction, a fraction: the sum over the scenarios with that direction. */
export function directionsOf(
  probabilities: Probabilities,
  directions: Readonly<Record<ScenarioName, Direction>>,
): Record<Direction, number> {
  const points: Record<Direction, number> = { lower: 0, sideways: 0, higher: 0 };
  for (const name of SCENARIO_NAMES) points[directions[name]] += probabilities[name];
  return {
    lower: points.lower / WHOLE,
    sideways: points.sideways / WHOLE,
    higher: points.higher / WHOLE,
  };
}

/**
 * Return bands are given for all three scenarios or for none. They join in the order bear, base, bull: each band
 * starts where the previous one ends, and ends above its start. Only the outer bounds may be open.
 */
export function returnBandFaults(
  scenarios: Readonly<Record<ScenarioName, Pick<Scenario, 'returnBand'>>>,
): Fault[] {
  const without = SCENARIO_NAMES.filter((name) => scenarios[name].returnBand === null);
  if (without.length === SCENARIO_NAMES.length) return [];
  if (without.length > 0) {
    return without.map((name) => ({
      path: [name, 'returnBand'],
      detail: 'is missing: give return bands for all three scenarios or for none',
    }));
  }
  const [bear, base, bull] = SCENARIO_NAMES.map(
    (name) => scenarios[name].returnBand as ReturnBand,
  ) as [ReturnBand, ReturnBand, ReturnBand];
  const faults: Fault[] = [];
  const refuse = (name: ScenarioName, end: 'min' | 'max', detail: string) =>
    faults.push({ path: [name, 'returnBand', end], detail });

  if (bear.min !== null && bear.max !== null && bear.min >= bear.max) {
    refuse('bear', 'min', `must be less than ${bear.max}, where the bear band ends`);
  }
  if (bull.min !== null && bull.max !== null && bull.min >= bull.max) {
    refuse('bull', 'max', `must be greater than ${bull.min}, where the bull band starts`);
  }
  faults.push(...seamFaults('bear', bear.max, 'base', base.min));
  faults.push(...seamFaults('base', base.max, 'bull', bull.min));
  if (base.min !== null && base.max !== null && base.min >= base.max) {
    refuse('base', 'max', `must be greater than ${base.min}, where the base band starts`);
  }
  return faults;
}

/** A central return lies within the band of its scenario, if that has one. */
export function centralReturnFaults({
  returnBand,
  centralReturn,
}: Partial<Pick<Scenario, 'returnBand' | 'centralReturn'>>): Fault[] {
  if (typeof centralReturn !== 'number' || !returnBand) return [];
  const { min, max } = returnBand;
  const refuse = (detail: string): Fault[] => [{ path: ['centralReturn'], detail }];
  if (min !== null && centralReturn < min) {
    return refuse(`must be at least ${min}, where the scenario's return band starts`);
  }
  if (max !== null && centralReturn >= max) {
    return refuse(`must be less than ${max}, where the scenario's return band ends`);
  }
  return [];
}

function seamFaults(
  left: ScenarioName,
  max: number | null,
  right: ScenarioName,
  min: number | null,
): Fault[] {
  const faults: Fault[] = [];
  if (max === null) {
    faults.push({
      path: [left, 'returnBand', 'max'],
      detail: `must be a number: the ${left} band ends where the ${right} band starts`,
    });
  }
  if (min === null) {
    faults.push({
      path: [right, 'returnBand', 'min'],
      detail: `must be a number: the ${right} band starts where the ${left} band ends`,
    });
  }
  if (max !== null && min !== null && max !== min) {
    const flaw = min > max ? 'leaves a gap above' : 'overlaps';
    faults.push({
      path: [right, 'returnBand', 'min'],
      detail: `must be ${max}: the ${right} band ${flaw} the ${left} band, which ends there`,
    });
  }
  return faults;
}
