import type { Dating } from './series.ts';

/** The value of a cell, or why it can't be read. */
export type Reading<Value> = { value: Value } | { fault: string };

/** A day of a file, `YYYY-MM-DD`, and the time of day written beside it; null if there is none, or midnight. */
export type WrittenDay = { day: string; time: string | null };

export type DateOptions = {
  /** How all dates are written, in the syntax of {@link dateFormatFault}; detected if left out. */
  dateFormat?: string | undefined;
  /** Which day of its period stands for a month or a quarter; without it, they are refused. */
  dated?: Dating | undefined;
};

type Order = 'month first' | 'day first';
const ORDERS = { 'month first': 'MM/DD/YYYY', 'day first': 'DD/MM/YYYY' } as const;

const YEAR_FIRST = /^(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[T ] ?([^ ].*))?$/;
const COMPACT = /^(\d{4})(\d\d)(\d\d)$/;
const YEAR_LAST = /^(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:,? ([^ ].*))?$/;
const SHORT_YEAR = /^\d{1,2}([-/.])\d{1,2}\1\d\d$/;
const NAMED_DAY_FIRST = /^(\d{1,2})[-/ .]([a-z]{3,9})\.?,?[-/ ](\d{4})$/i;
const NAMED_MONTH_FIRST = /^([a-z]{3,9})\.? (\d{1,2}),? (\d{4})$/i;
const MONTH = /^(\d{4})-?(?:M)?(\d\d)$/i;
const DASHED_MONTH = /^\d{4}-M?\d\d$/i;
const QUARTER = /^(\d{4})[- ]?Q([1-4])$/i;
const TIME =
  /^(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?(?: ?(AM|PM))?(?: ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?$/i;

/**
 * Reads the dates of a column: ISO 8601, `20261119`, year first, English names of months, and numbers with the year last.
 * A date such as 11/19/2026 shows whether the month or the day comes first; if none does, all are refused. A time zone is ignored: the day is the one that is written, which is the local one.
 */
export function readDates(
  texts: readonly string[],
  { dateFormat, dated }: DateOptions = {},
): Reading<WrittenDay>[] {
  if (dateFormat !== undefined) {
    const pattern = patternOf(dateFormat);
    return texts.map((text) => readByPattern(text, pattern, dateFormat));
  }
  const order = orderOf(texts);
  return texts.map((text) => readOne(text, order, dated));
}

/** Whether a text looks like a date, whatever the others of its column say. */
export function looksLikeDate(text: string): boolean {
  const isNamed = NAMED_DAY_FIRST.test(text) || NAMED_MONTH_FIRST.test(text);
  if (isNamed || YEAR_FIRST.test(text) || YEAR_LAST.test(text)) return true;
  if (SHORT_YEAR.test(text) || QUARTER.test(text) || DASHED_MONTH.test(text)) return true;
  const [, year, month, day] = COMPACT.exec(text) ?? [];
  return year !== undefined && 'value' in dayOf(text, year, month, day, undefined);
}

function orderOf(texts: readonly string[]): { order: Order; shown: string } | null {
  for (const text of texts) {
    const [, first = '', , second = ''] = YEAR_LAST.exec(text) ?? [];
    if (Number(first) > 12) return { order: 'day first', shown: text };
    if (Number(second) > 12) return { order: 'month first', shown: text };
  }
  return null;
}

function readOne(
  text: string,
  shown: ReturnType<typeof orderOf>,
  dated: Dating | undefined,
): Reading<WrittenDay> {
  const [, year, , month, day, time] = YEAR_FIRST.exec(text) ?? [];
  if (year !== undefined) return dayOf(text, year, month, day, time);
  const compact = COMPACT.exec(text);
  if (compact) return dayOf(text, compact[1], compact[2], compact[3], undefined);
  if (YEAR_LAST.test(text)) return readYearLast(text, shown);
  const named = NAMED_DAY_FIRST.exec(text);
  if (named) return dayOf(text, named[3], monthNamed(named[2]), named[1], undefined);
  const american = NAMED_MONTH_FIRST.exec(text);
  if (american) return dayOf(text, american[3], monthNamed(american[1]), american[2], undefined);
  if (MONTH.test(text) || QUARTER.test(text)) return readPeriod(text, dated);
  return { fault: `${quoted(text)} ${notADate(text)}` };
}

function notADate(text: string): string {
  if (SHORT_YEAR.test(text)) {
    return `has a year of two digits: say how dates are written with dateFormat, such as dateFormat=MM/DD/YY`;
  }
  if (/^\d{5}(?:\.\d+)?$/.test(text)) {
    return 'is a number, as Excel stores a day: format the column as a date, such as 2026-11-19, and save the file again';
  }
  if (/^\d{10}(?:\d{3})?$/.test(text)) {
    return 'is a Unix time: write the local day, such as 2026-11-19';
  }
  return 'is not a date that can be read: write days like 2026-11-19, or say how they are written with dateFormat, such as dateFormat=DD/MM/YYYY';
}

function readYearLast(text: string, shown: ReturnType<typeof orderOf>): Reading<WrittenDay> {
  const [, first = '', , second = '', year, time] = YEAR_LAST.exec(text) ?? [];
  if (!shown && Number(first) !== Number(second)) {
    const days = [`${year}-${two(first)}-${two(second)}`, `${year}-${two(second)}-${two(first)}`];
    return {
      fault: `${quoted(text)} may be ${days.join(' or ')}, and no other date shows which: say how dates are written with dateFormat=${ORDERS['month first']} or dateFormat=${ORDERS['day first']}`,
    };
  }
  const [month, day] = shown?.order === 'day first' ? [second, first] : [first, second];
  if (shown && Number(month) > 12 && Number(day) <= 12) {
    const other = shown.order === 'day first' ? 'the month' : 'the day';
    return {
      fault: `${quoted(text)} does not have ${shown.order === 'day first' ? 'the day' : 'the month'} first, as ${quoted(shown.shown)} has, but ${other}: write all dates alike`,
    };
  }
  return dayOf(text, year, month, day, time);
}

const MONTHS =
  'january february march april may june july august september october november december'.split(
    ' ',
  );

/** The number of a month by its English name, or the beginning of it; 0 for any other, such as marraskuu. */
function monthNamed(name = ''): string {
  return String(MONTHS.findIndex((month) => month.startsWith(name.toLowerCase())) + 1);
}

function readPeriod(text: string, dated: Dating | undefined): Reading<WrittenDay> {
  const [, year = '', quarter] = QUARTER.exec(text) ?? [];
  const [, yearOfMonth = '', month = ''] = MONTH.exec(text) ?? [];
  const last = quarter === undefined ? Number(month) : Number(quarter) * 3;
  const first = quarter === undefined ? last : last - 2;
  if (dated === undefined) {
    return { fault: `${quoted(text)} is a period, not a day: write the day that stands for it` };
  }
  const years = year || yearOfMonth;
  if (dated === 'start') return dayOf(text, years, String(first), '1', undefined);
  return dayOf(text, years, String(last), String(lastDayOf(Number(years), last)), undefined);
}

function dayOf(
  text: string,
  year = '',
  month = '',
  day = '',
  time: string | undefined,
): Reading<WrittenDay> {
  const iso = `${year}-${two(month)}-${two(day)}`;
  if (!isDay(Number(year), Number(month), Number(day))) {
    return { fault: `${quoted(text)} is not a day of the calendar` };
  }
  if (time === undefined) return { value: { day: iso, time: null } };
  const clock = TIME.exec(time);
  if (!clock) return { fault: `${quoted(text)} has more after its day than a time and a zone` };
  const [, hour = '', minute, second = '00', half = '', zone = ''] = clock;
  const isMidnight = Number(hour) === (half.toUpperCase() === 'AM' ? 12 : 0) && half !== 'PM';
  if (isMidnight && Number(minute) === 0 && Number(second) === 0) {
    return { value: { day: iso, time: null } };
  }
  if (/^(?:Z|UTC|GMT|[+-]00(?::?00)?)$/i.test(zone)) {
    return {
      fault: `${quoted(text)} is a time in UTC, so its day depends on the market's time zone: write the local day, such as 2026-11-19, or set dateFormat to take the day as written`,
    };
  }
  return { value: { day: iso, time: `${hour}:${minute}` } };
}

function isDay(year: number, month: number, day: number): boolean {
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  return day <= 28 || day <= lastDayOf(year, month);
}

function lastDayOf(year: number, month: number): number {
  const next = new Date(0);
  next.setUTCFullYear(year, month, 0); // Date.UTC takes the years 0 to 99 for those of a century
  return next.getUTCDate();
}

const two = (digits: string): string => digits.padStart(2, '0');

const quoted = (text: string): string => JSON.stringify(text.slice(0, 100));

/** What each token of a format matches. The directives of strftime, which pandas uses, are translated into these. */
const TOKENS: Readonly<Record<string, { is: string; matches: string; exactly: string }>> = {
  YYYY: { is: 'year', matches: '(?<year>\\d{4})', exactly: '(?<year>\\d{4})' },
  YY: { is: 'year', matches: '(?<year>\\d{2})', exactly: '(?<year>\\d{2})' },
  MMMM: { is: 'month', matches: '(?<month>[A-Za-z]{3,9})', exactly: '(?<month>[A-Za-z]{3,9})' },
  MMM: { is: 'month', matches: '(?<month>[A-Za-z]{3,9})', exactly: '(?<month>[A-Za-z]{3,9})' },
  MM: { is: 'month', matches: '(?<month>\\d{1,2})', exactly: '(?<month>\\d{2})' },
  M: { is: 'month', matches: '(?<month>\\d{1,2})', exactly: '(?<month>\\d{1,2})' },
  DD: { is: 'day', matches: '(?<day>\\d{1,2})', exactly: '(?<day>\\d{2})' },
  D: { is: 'day', matches: '(?<day>\\d{1,2})', exactly: '(?<day>\\d{1,2})' },
  HH: { is: 'hour', matches: '\\d{1,2}', exactly: '\\d{2}' },
  mm: { is: 'minute', matches: '\\d{2}', exactly: '\\d{2}' },
  ss: { is: 'second', matches: '\\d{2}(?:\\.\\d{1,9})?', exactly: '\\d{2}' },
  Z: { is: 'zone', matches: '(?:Z|[+-]\\d{2}:?\\d{2})', exactly: '(?:Z|[+-]\\d{2}:?\\d{2})' },
};
const STRFTIME: Readonly<Record<string, string>> = {
  '%Y': 'YYYY',
  '%y': 'YY',
  '%m': 'MM',
  '%b': 'MMM',
  '%B': 'MMMM',
  '%d': 'DD',
  '%H': 'HH',
  '%M': 'mm',
  '%S': 'ss',
  '%z': 'Z',
};

/** The words of a format, and the characters between them. */
function wordsOf(dateFormat: string): string[] {
  const plain = dateFormat.replaceAll(/%[A-Za-z]/g, (word) => STRFTIME[word] ?? word);
  // Excel writes months as mm, too.
  const isExcel = !/[YMDH]/.test(plain);
  const text = isExcel ? plain.toUpperCase() : plain;
  return text.match(/Y+|M+|D+|H+|m+|s+|Z|[^YMDHmsZ]/g) ?? [];
}

/**
 * Why a text is no format of dates; null if it is one. It is written in YYYY, MM and DD, as in DD/MM/YYYY; with YY, M, D,
 * MMM for the English name of a month, and HH, mm, ss and Z for a time that is ignored; or as strftime writes it.
 */
export function dateFormatFault(dateFormat: string): string | null {
  const words = wordsOf(dateFormat);
  const unknown = words.find((word) => !(word in TOKENS) && /[A-Za-z%]/.test(word) && word !== 'T');
  const parts = words.map((word) => TOKENS[word]?.is).filter((part) => part !== undefined);
  const isWhole = ['year', 'month', 'day'].every((part) => parts.includes(part));
  if (words.some((word, index) => ['MD', 'DM'].includes(word + (words[index + 1] ?? '')))) {
    return 'must have MM and DD where nothing separates the month from the day, as in YYYYMMDD';
  }
  if (unknown === undefined && isWhole && new Set(parts).size === parts.length) return null;
  return 'must have the year, the month and the day once, such as DD/MM/YYYY, MM/DD/YY, YYYYMMDD, D MMM YYYY or %d/%m/%Y';
}

function patternOf(dateFormat: string): RegExp {
  const words = wordsOf(dateFormat);
  const isDense = words.some((word, index) => word in TOKENS && (words[index + 1] ?? '') in TOKENS);
  const source = words.map((word) => {
    const token = TOKENS[word];
    if (token) return isDense ? token.exactly : token.matches;
    return word.replace(/[\\^$.*+?()[\]{}|/-]/, '\\$&');
  });
  return new RegExp(`^${source.join('')}$`);
}

function readByPattern(text: string, pattern: RegExp, dateFormat: string): Reading<WrittenDay> {
  const { year = '', month = '', day } = pattern.exec(text)?.groups ?? {};
  if (year === '') return { fault: `${quoted(text)} is not written as ${dateFormat}` };
  // POSIX strptime takes 69 to 99 for years of the twentieth century.
  const century = Number(year) >= 69 ? '19' : '20';
  const whole = year.length === 2 ? century + year : year;
  return dayOf(text, whole, /^\d/.test(month) ? month : monthNamed(month), day, undefined);
}
