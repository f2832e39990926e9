import { type Frequency } from '../../src/domain/series.ts';

/** A value of a day, as it was known from `recordedAt` until the next vintage of the day; null if retracted. */
export type Vintage = { date: string; value: number | null; recordedAt: string };

export type Climatology = {
  bear: number | null;
  base: number | null;
  bull: number | null;
  spans: number;
  independent: number;
  first: string | null;
  last: string | null;
};

const DAY = 86_400_000;
const dayOf = (date: string): number => Date.parse(`${date}T00:00:00Z`) / DAY;
const dateOf = (day: number): string => new Date(day * DAY).toISOString().slice(0, 10);

// Written anew, so that the service's own table is tested, too.
const STALE: Record<Frequency, number> = {
  daily: 10,
  weekly: 14,
  biweekly: 28,
  monthly: 62,
  quarterly: 184,
  semiannual: 366,
  annual: 731,
};

/** A decimal as a whole number of 10^-30, by its digits. */
function scaled(value: number): bigint {
  const [digits = '', exponent = '0'] = String(value).split('e');
  const [whole = '', decimals = ''] = digits.split('.');
  const shift = 30 - decimals.length + Number(exponent);
  if (shift < 0) throw new RangeError(`${value} has too many decimals`);
  return BigInt(whole + decimals) * 10n ** BigInt(shift);
}

/** The band of a return, in whole numbers: end / start < 1 + edge. */
function bandOf(start: number, end: number, [low, high]: readonly [number, number]) {
  const isBelow = (edge: number) =>
    scaled(end) * scaled(1) < scaled(start) * (scaled(1) + scaled(edge));
  if (isBelow(low)) return 'bear';
  return isBelow(high) ? 'base' : 'bull';
}

/** The climatology by its definition, span by span, with neither SQL nor floating point but for the shares. */
export function naiveClimatology(
  vintages: readonly Vintage[],
  horizon: { from: string; to: string },
  frequency: Frequency,
  band: readonly [number, number],
  asOf: string | null = null,
): Climatology {
  const opens = dayOf(horizon.from);
  const length = dayOf(horizon.to) - opens;
  const century = Number(horizon.from.slice(0, 4)) - 50;
  const oldest = dayOf(`${String(century).padStart(4, '0')}${horizon.from.slice(4)}`);
  const known = new Map<number, number | null>();
  const inOrder = vintages.toSorted((a, b) => (a.recordedAt < b.recordedAt ? -1 : 1));
  for (const { date, value, recordedAt } of inOrder) {
    const isKnown = Date.parse(recordedAt) < opens * DAY && (asOf === null || recordedAt <= asOf);
    if (isKnown && dayOf(date) < opens && dayOf(date) >= oldest) known.set(dayOf(date), value);
  }
  const closes = [...known]
    .flatMap(([day, value]) => (value === null ? [] : [{ day, value }]))
    .toSorted((a, b) => a.day - b.day);
  const newest = closes.at(-1)?.day ?? 0;
  const counts = { bear: 0, base: 0, bull: 0 };
  let [spans, independent, first, free] = [0, 0, null as number | null, -Infinity];
  for (const { day, value } of closes) {
    const end = closes.findLast((one) => one.day > day && one.day <= day + length);
    if (value <= 0 || !end || day + length > newest) continue;
    if (day + length + 1 - end.day > STALE[frequency]) continue;
    spans += 1;
    counts[bandOf(value, end.value, band)] += 1;
    first ??= day;
    if (day < free) continue;
    independent += 1;
    free = day + length;
  }
  const share = (count: number) =>
    independent < 5 ? null : ((independent * count) / spans + 1) / (independent + 3);
  return {
    bear: share(counts.bear),
    base: share(counts.base),
    bull: share(counts.bull),
    spans,
    independent,
    first: first === null ? null : dateOf(first),
    last: first === null ? null : dateOf(newest),
  };
}
