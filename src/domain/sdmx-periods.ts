import type { Dating, Frequency } from './series.ts';

const DAY = 86_400_000;

/** SDMX's codes of frequencies (code list CL_FREQ) and ours, which are FRED's words. B is business days. */
export const SDMX_FREQUENCIES: Readonly<Record<string, Frequency>> = {
  D: 'daily',
  B: 'daily',
  W: 'weekly',
  M: 'monthly',
  Q: 'quarterly',
  S: 'semiannual',
  H: 'semiannual',
  A: 'annual',
};

/**
 * The day of a year, a half-year or a week by which a series dates it; null for any other text. A week is that of ISO 8601,
 * from Monday to Sunday.
 * @see https://sdmx.org/wp-content/uploads/SDMX_3-0-0_SECTION_6_FINAL-1_0.pdf time formats
 */
export function dayOfPeriod(text: string, dated: Dating): string | null {
  const [, year = '', part = '', number = ''] = /^(\d{4})(?:-([SW])(\d{1,2}))?$/.exec(text) ?? [];
  if (year === '') return null;
  const isEnd = dated === 'end';
  if (part === '') return isEnd ? `${year}-12-31` : `${year}-01-01`;
  if (part === 'S') {
    if (number === '1') return isEnd ? `${year}-06-30` : `${year}-01-01`;
    return number === '2' ? (isEnd ? `${year}-12-31` : `${year}-07-01`) : null;
  }
  return dayOfWeek(Number(year), Number(number), isEnd ? 6 : 0);
}

/** @param after days after the Monday of the week */
function dayOfWeek(year: number, week: number, after: number): string | null {
  const fourth = new Date(0).setUTCFullYear(year, 0, 4); // always in the first week
  const first = fourth - ((new Date(fourth).getUTCDay() + 6) % 7) * DAY;
  const monday = first + (week - 1) * 7 * DAY;
  const isOfYear = week >= 1 && new Date(monday + 3 * DAY).getUTCFullYear() === year;
  return isOfYear ? new Date(monday + after * DAY).toISOString().slice(0, 10) : null;
}
