import type { DecimalMark } from './written-numbers.ts';

export const PROVIDERS = ['fred', 'yahoo', 'stooq', 'alphavantage'] as const;
/** A provider whose files are read by name. */
export type Provider = (typeof PROVIDERS)[number];

export const DELIMITERS = [',', ';', '|', 'tab'] as const;
export type Delimiter = (typeof DELIMITERS)[number];

/** The format of a file of a series. Whatever is left out is detected, if the file allows only one reading. */
export type FileFormat = {
  provider?: Provider | undefined;
  dateColumn?: string | undefined;
  valueColumn?: string | undefined;
  /** Such as DD/MM/YYYY; see {@link dateFormatFault}. */
  dateFormat?: string | undefined;
  decimal?: DecimalMark | undefined;
  delimiter?: Delimiter | undefined;
  /** Texts that mean no value, besides {@link NO_VALUE}. */
  missing?: readonly string[] | undefined;
};

/** Texts that mean no value, in lower case: an empty cell, FRED's point, and the words of Yahoo, pandas, R, Excel and Stooq. */
export const NO_VALUE: readonly string[] = [
  '',
  '.',
  'null',
  'nan',
  'na',
  'n/a',
  '#n/a',
  '<na>',
  'none',
  'n/d',
  'nd',
];

type Names = { dates: readonly string[]; values: readonly string[] };

// The columns of the downloads: FRED's graphs (fredgraph.csv; DATE until 2024), Yahoo's and yfinance's histories, Stooq's
// in English and in Polish, and Alpha Vantage's daily prices, indicators and technical indicators.
const COLUMNS: Readonly<Record<Provider, Names>> = {
  fred: { dates: ['observation_date', 'date'], values: [] },
  yahoo: { dates: ['date', 'datetime'], values: ['close'] },
  stooq: { dates: ['date', 'data'], values: ['close', 'zamkniecie'] },
  alphavantage: { dates: ['timestamp', 'time'], values: ['close', 'value'] },
};

// TIME_PERIOD and OBS_VALUE are those of SDMX, by which central banks publish. An unnamed first column is pandas's index.
const USUAL: Names = {
  dates: ['date', 'observation_date', 'timestamp', 'datetime', 'time_period', 'day', 'time'],
  values: ['value', 'obs_value'],
};
/** Further columns of the ledger's own files. */
const OWN = ['provenance', 'note'];

export type Columns = { date: number; value: number; provenance: number; note: number };

/** Why a column can't be chosen; follows `line N: `. */
export type ColumnFault = { fault: string };

/**
 * Chooses the columns of a file by the names in its header. If no name says which has the dates, the cells decide.
 * @param looksLikeDates whether the cells of a column look like dates
 */
export function chooseColumns(
  header: readonly string[],
  format: FileFormat,
  looksLikeDates: (column: number) => boolean,
): Columns | ColumnFault {
  const names = header.map((name) => name.trim());
  const known = format.provider ? COLUMNS[format.provider] : USUAL;
  const date = dateColumn(names, format, known, looksLikeDates);
  if (typeof date === 'object') return date;
  const own = OWN.map((name) => (format.provider ? -1 : indexOf(names, name)));
  const others = names.flatMap((name, index) =>
    name === '' || index === date || own.includes(index) ? [] : [index],
  );
  const value = valueColumn(names, format, known, others);
  if (typeof value === 'object') return value;
  const [provenance = -1, note = -1] = own;
  return { date, value, provenance, note };
}

function dateColumn(
  names: readonly string[],
  { dateColumn: named, provider }: FileFormat,
  known: Names,
  looksLikeDates: (column: number) => boolean,
): number | ColumnFault {
  if (named !== undefined) return namedColumn(names, named, 'dateColumn');
  const dates = known.dates.filter((name) => looksLikeDates(indexOf(names, name)));
  if (provider === undefined && dates.length > 1) {
    return {
      fault: `has several columns of dates: say with dateColumn which to read, of ${dates.join(', ')}`,
    };
  }
  for (const name of known.dates) {
    if (count(names, name) > 1) return { fault: `has several columns ${name}: keep one` };
    const index = indexOf(names, name);
    if (index >= 0) return index;
  }
  const candidates = names.flatMap((_, index) => (looksLikeDates(index) ? [index] : []));
  if (provider === undefined && candidates.length === 1) return candidates[0] ?? 0;
  if (provider !== undefined) {
    return {
      fault: `a file of ${provider} has a column ${known.dates.join(' or ')}, but the header is ${shown(names)}: name the column of the dates with dateColumn, or leave out the provider`,
    };
  }
  return {
    fault: `the header must name a column of dates and one of values, such as date,value, not ${shown(names)}; or name them with dateColumn and valueColumn`,
  };
}

function valueColumn(
  names: readonly string[],
  { valueColumn: named, provider }: FileFormat,
  known: Names,
  others: readonly number[],
): number | ColumnFault {
  if (named !== undefined) return namedColumn(names, named, 'valueColumn');
  for (const name of known.values) {
    if (count(names, name) > 1) {
      return { fault: `has several columns ${name}: send a file with one series, or rename them` };
    }
    const index = indexOf(names, name);
    if (index >= 0) return index;
  }
  const [only] = others;
  if (others.length === 1 && only !== undefined) return only;
  const columns = others.map((index) => names[index]).join(', ');
  if (others.length === 0) {
    return { fault: `the header has no column of values beside the dates: ${shown(names)}` };
  }
  const hint =
    provider === undefined && count(names, 'close') === 1
      ? '; closes of Yahoo, for example, are read with format=yahoo'
      : '';
  return {
    fault: `has several columns of values: name one with valueColumn: ${columns.slice(0, 300)}${hint}`,
  };
}

function namedColumn(
  names: readonly string[],
  named: string,
  parameter: string,
): number | ColumnFault {
  const exact = names.indexOf(named);
  const index = exact >= 0 ? exact : indexOf(names, named);
  if (index < 0)
    return {
      fault: `has no column ${JSON.stringify(named)}, which ${parameter} names, but ${shown(names)}`,
    };
  const isRepeated = names.filter((name) => name === names[index]).length > 1;
  return isRepeated
    ? { fault: `has several columns ${JSON.stringify(named)}: keep one, or rename them` }
    : index;
}

const indexOf = (names: readonly string[], column: string): number =>
  names.findIndex((name) => name.toLowerCase() === column.toLowerCase());

const count = (names: readonly string[], column: string): number =>
  names.filter((name) => name.toLowerCase() === column.toLowerCase()).length;

const shown = (names: readonly string[]): string => JSON.stringify(names.join().slice(0, 300));
