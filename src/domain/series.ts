/** A value of a series on a day, `YYYY-MM-DD`. */
export type Observation = { date: string; value: number };

export const FREQUENCIES = [
  'daily',
  'weekly',
  'biweekly',
  'monthly',
  'quarterly',
  'semiannual',
  'annual',
] as const;
/** How often a series has an observation, in FRED's words. */
export type Frequency = (typeof FREQUENCIES)[number];

export const DATINGS = ['start', 'end'] as const;
/** The day of its period by which a series dates an observation: FRED dates March by its start, 1 March. */
export type Dating = (typeof DATINGS)[number];

const DAY = 86_400_000;
const DAYS_APART: Partial<Record<Frequency, number>> = { daily: 1, weekly: 7, biweekly: 14 };
const MONTHS_APART: Partial<Record<Frequency, number>> = {
  monthly: 1,
  quarterly: 3,
  semiannual: 6,
  annual: 12,
};

/** The most observations of a frequency that can fall into a half-open span of days. */
export function mostObservations(
  frequency: Frequency,
  { from, to }: { from: string; to: string },
): number {
  const days = (Date.parse(to) - Date.parse(from)) / DAY;
  const apart = DAYS_APART[frequency];
  if (apart !== undefined) return Math.ceil(days / apart); // some instruments trade every day
  const period = (at: number) => {
    const day = new Date(at);
    return Math.floor(
      (day.getUTCFullYear() * 12 + day.getUTCMonth()) / (MONTHS_APART[frequency] ?? 1),
    );
  };
  return period(Date.parse(to) - DAY) - period(Date.parse(from)) + 1;
}

/** The number of observations, ascending by date, that are dated `day` or earlier. */
export function countUntil(observations: readonly Observation[], day: string): number {
  let [low, high] = [0, observations.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((observations[middle]?.date ?? '') <= day) low = middle + 1;
    else high = middle;
  }
  return low;
}
