import { type Fault, repeated } from './errors.ts';
import type { ScenarioName } from './probabilities.ts';

/** What would show a scenario to be wrong. */
export type InvalidationCondition = { key: string; invalidates: ScenarioName; statement: string };

/** Keys are used once. */
export function invalidationConditionFaults(
  conditions: readonly Partial<InvalidationCondition>[],
): Fault[] {
  return repeated(conditions, 'key');
}
