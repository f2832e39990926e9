import { exact, nearestQuotient } from './decimals.ts';
import type { Horizon } from './framework.ts';
import type { ScenarioName } from './probabilities.ts';
import type { Frequency, Observation } from './series.ts';
import { startOf } from './time-weighting.ts';

/** The base scenario's return band, half-open [low, high): bear is below it, bull starts at its end. */
export type BaseBand = { low: number; high: number };

export function bandOf(low: number | null, high: number | null): BaseBand | null {
  return low === null || high === null ? null : { low, high };
}

/** The first and last close of a horizon; `start` is positive. */
export type Closes = { start: number; end: number };

/** The scenario that a return over the horizon, a fraction, falls into. */
export function outcomeOfReturn({ low, high }: BaseBand, value: number): ScenarioName {
  if (value < low) return 'bear';
  return value < high ? 'base' : 'bull';
}

/**
 * The scenario that the return between two closes falls into. It is decided in decimals and multiplied out, because a
 * quotient is rounded: end / start − 1 < low if and only if end < start × (1 + low).
 */
export function outcomeOfCloses({ low, high }: BaseBand, { start, end }: Closes): ScenarioName {
  const isBelow = (bound: number) => exact(end).lt(exact(start).times(exact(bound).plus(1)));
  if (isBelow(low)) return 'bear';
  return isBelow(high) ? 'base' : 'bull';
}

/** The return between two closes: the double nearest to end / start − 1, a fraction. */
export function returnOfCloses({ start, end }: Closes): number {
  return nearestQuotient(exact(end).minus(exact(start)), exact(start));
}

/** What a resolution says about the outcome: the closes or a stated return may have decided it. */
export type ResolvedBy = {
  outcome: ScenarioName;
  /** Stated or computed. */
  realisedReturn: number | null;
  closes: Closes | null;
  /** The band by which it was decided. */
  band: BaseBand | null;
};

/**
 * The outcome for a forecast with a band of its own. If the closes or a stated return decided the resolution, they decide
 * for each version by that version's own bands. Bands that moved later neither help nor harm it.
 */
export function outcomeFor(resolved: ResolvedBy, band: BaseBand | null): ScenarioName {
  const { outcome, realisedReturn, closes, band: resolvedBand } = resolved;
  if (band === null || resolvedBand === null) return outcome;
  if (band.low === resolvedBand.low && band.high === resolvedBand.high) return outcome;
  if (closes && outcomeOfCloses(resolvedBand, closes) === outcome) {
    return outcomeOfCloses(band, closes);
  }
  if (realisedReturn === null || (closes && isReturnOf(closes, realisedReturn))) return outcome;
  if (outcomeOfReturn(resolvedBand, realisedReturn) !== outcome) return outcome;
  return outcomeOfReturn(band, realisedReturn);
}

/** Releases before 0.2 stored the rounded quotient of two doubles, such as 0.1499999999999999 for 100 and 115. */
function isReturnOf(closes: Closes, value: number): boolean {
  return value === returnOfCloses(closes) || value === closes.end / closes.start - 1;
}

/** The return over a finished horizon, computed from the instrument's closes. */
export type HorizonReturn = {
  /** The last close before the first day of the horizon, and the last one within it. */
  start: Observation;
  end: Observation;
  /** end / start − 1, a fraction. */
  value: number;
};

/** The scenario that a return computed from closes falls into. */
export function outcomeOfHorizonReturn(
  band: BaseBand,
  { start, end }: HorizonReturn,
): ScenarioName {
  return outcomeOfCloses(band, { start: start.value, end: end.value });
}

// The maximum age of the close that is used for a day: some days without trading or, for a series that
// is less frequent than daily, twice the time between two observations.
export const STALE_AFTER_DAYS: Record<Frequency, number> = {
  daily: 10,
  weekly: 14,
  biweekly: 28,
  monthly: 62,
  quarterly: 184,
  semiannual: 366,
  annual: 731,
};
const DAY = 86_400_000;

/** The return over a horizon [from, to), from its closes; or why they give none. */
export function returnOverHorizon(
  horizon: Horizon,
  frequency: Frequency,
  { start, end }: { start: Observation | null; end: Observation | null },
): HorizonReturn | { missing: string } {
  const most = STALE_AFTER_DAYS[frequency];
  const staleAt = (close: Observation | null, day: string): boolean =>
    close === null || startOf(day) - startOf(close.date) > most * DAY;
  const missing = (day: string) => ({
    missing: `there is no close within the ${most} days before ${day}`,
  });
  if (start === null || staleAt(start, horizon.from)) return missing(horizon.from);
  if (end === null || staleAt(end, horizon.to) || end.date < horizon.from) {
    return missing(horizon.to);
  }
  if (start.value <= 0) {
    return {
      missing: `the close of ${start.date} is not positive, so no return can be computed from it`,
    };
  }
  const ratio = end.value / start.value;
  if (!Number.isFinite(ratio) || (ratio === 0 && end.value !== 0)) {
    return {
      missing: `the closes ${start.value} and ${end.value} are too far apart to compute a return`,
    };
  }
  return { start, end, value: returnOfCloses({ start: start.value, end: end.value }) };
}
