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

/** Which day stands for a month or a quarter in a file of the series; undefined where a file must have days. */
export function datingOfPeriods(series: {
  frequency: Frequency;
  dated: Dating;
}): Dating | undefined {
  return series.frequency in MONTHS_APART ? series.dated : undefined;
}

/**
 * The day for which an observation stands: its date or, in a series that dates observations by the start of their
 * period, the last day of that period. Months are counted from the date, and a day that a month lacks is its last one.
 * SQL has the same function, `period_end`.
 */
export function periodEnd(date: string, frequency: Frequency, dated: Dating): string {
  if (dated === 'end') return date;
  const days = DAYS_APART[frequency];
  const next = days === undefined ? monthsLater(date, frequency) : Date.parse(date) + days * DAY;
  return new Date(next - DAY).toISOString().slice(0, 10);
}

function monthsLater(date: string, frequency: Frequency): number {
  const [year = 0, month = 0, day = 0] = date.split('-').map(Number);
  const target = month - 1 + (MONTHS_APART[frequency] ?? 0);
  const first = new Date(0);
  first.setUTCFullYear(year, target, 1); // Date.UTC takes the years 0 to 99 for those of a century
  const last = new Date(0);
  last.setUTCFullYear(year, target + 1, 0);
  return first.setUTCDate(Math.min(day, last.getUTCDate()));
}

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
