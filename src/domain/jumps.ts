import type { Observation } from './series.ts';

/** Two observations in a row that are far apart. */
export type Jump = Observation & {
  previousDate: string;
  previousValue: number;
  /** Relative to the value before; null if that is 0. */
  change: number | null;
};

/**
 * The changes from one observation to the next that exceed `maxJump`, a ratio of the value before, such as 0.2. A change
 * from 0 to any other value always does.
 * @param observations ascending by date
 */
export function jumpsIn(observations: readonly Observation[], maxJump: number): Jump[] {
  return observations.slice(1).flatMap(({ date, value }, index) => {
    const { date: previousDate, value: previousValue } = observations[index] as Observation;
    const change = previousValue === 0 ? null : (value - previousValue) / Math.abs(previousValue);
    const isJump = change === null ? value !== 0 : Math.abs(change) > maxJump;
    return isJump ? [{ previousDate, previousValue, date, value, change }] : [];
  });
}
