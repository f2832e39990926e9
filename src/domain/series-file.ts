import { CsvError, parse as parseCsv } from 'csv-parse/sync';
import { chooseColumns, type Columns, type FileFormat, NO_VALUE } from './file-columns.ts';
import { csvFault, limitFault, MOST_ROWS, type Table, tableOf } from './file-table.ts';
import type { Dating } from './series.ts';
import { looksLikeDate, readDates, type Reading, type WrittenDay } from './written-dates.ts';
import { readNumbers } from './written-numbers.ts';

/** A row with a value. */
export type FileRow = {
  /** Its place among the rows below the header, from 0. */
  index: number;
  /** Its line in the file, from 1. */
  line: number;
  /** `YYYY-MM-DD`. */
  date: string;
  value: number;
  /** As written; null if the file has no such column, or the cell is empty. */
  provenance: string | null;
  note: string | null;
};

/** A fault of a file. */
export type FileFault = {
  /** The place of the row among those below the header; null for a fault of the header or of the whole file. */
  index: number | null;
  column: 'date' | 'value' | null;
  /** In words, with its line and column. */
  detail: string;
};

export type SeriesFile = {
  rows: FileRow[];
  /** The days without a value. They retract nothing. */
  skipped: { line: number; date: string }[];
  /** If there are any, nothing of the file may be stored. */
  faults: FileFault[];
  /** Why the text is not CSV at all; follows `the file ` or `the body `. Null if it is CSV. */
  malformed: string | null;
};

/**
 * Reads a file of a series: CSV (RFC 4180) with a header line, a column of dates and one of values, with any line ends.
 * The format states the delimiter, the columns, and how dates and decimals are written; what it leaves out is detected.
 * An ambiguous file is a fault, never a guess. A row without a value is skipped, and an empty row is ignored. A file of a
 * million cells takes about a second, so {@link limitFault} refuses larger ones.
 * @param text the whole file, decoded, with or without a byte order mark
 * @param dated the day that stands for a month or a quarter, see `datingOfPeriods`
 */
export function readSeriesFile(text: string, format: FileFormat = {}, dated?: Dating): SeriesFile {
  const malformed = csvFault(text);
  if (malformed !== null) return { rows: [], skipped: [], faults: [], malformed };
  const table = tableOf(text, format.delimiter);
  if ('fault' in table) return refused(table.fault);
  const limit = limitFault(table);
  if (limit !== null) return refused(limit);
  const records = recordsOf(table);
  if (typeof records === 'string') return { ...refused(records), faults: [], malformed: records };
  return readRecords(records, table.delimiter, format, dated);
}

function refused(detail: string): SeriesFile {
  return {
    rows: [],
    skipped: [],
    faults: [{ index: null, column: null, detail }],
    malformed: null,
  };
}

type Line = { cells: string[]; line: number };

const SYNTAX: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quotation mark is opened and not closed',
  INVALID_OPENING_QUOTE:
    'a quotation mark stands inside a cell: put the cell in quotes and double the mark',
  CSV_INVALID_CLOSING_QUOTE: 'a cell goes on after its closing quotation mark',
};

/** The records of a table that are not blank lines, or why it is not CSV. */
function recordsOf({ text, delimiter, firstLine }: Table): Line[] | string {
  let next = firstLine;
  try {
    const records: string[][] = parseCsv(text, {
      delimiter,
      relax_column_count: true,
      trim: true,
    });
    return records.flatMap((record) => {
      next += 1 + breaksIn(record);
      if (record.length === 1 && record[0] === '') return [];
      // Also trims non-breaking spaces.
      return [{ cells: record.map((cell) => cell.trim()), line: next - 1 }];
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const { lines } = error as unknown as { lines?: number };
    const place = lines === undefined ? '' : `line ${lines + firstLine - 1}: `;
    return `is not valid CSV: ${place}${SYNTAX[error.code] ?? error.message}`;
  }
}

/** The line breaks in the cells of a record. The parser would count lines, but takes twice as long then. */
function breaksIn(record: readonly string[]): number {
  return record.reduce(
    (sum, cell) => sum + (cell.includes('\n') ? cell.split('\n').length - 1 : 0),
    0,
  );
}

function readRecords(
  records: readonly Line[],
  delimiter: string,
  format: FileFormat,
  dated: Dating | undefined,
): SeriesFile {
  const [header, body] = headerOf(records);
  if (!header)
    return refused('line 1: the file is empty; it needs a header, such as date,value, and rows');
  const filled = body.filter(({ cells }) => cells.some((cell) => cell !== ''));
  if (filled.length > MOST_ROWS) {
    return refused(`the file has more than ${MOST_ROWS} rows: send it in parts`);
  }
  if (header.cells.some(looksLikeDate)) {
    return refused(`line ${header.line}: the file has no header: add one, such as date,value`);
  }
  const columns = chooseColumns(header.cells, format, (column) => looksLikeDates(filled, column));
  if ('fault' in columns) return refused(`line ${header.line}: ${columns.fault}`);
  return readRows(filled, { header: header.cells, columns, delimiter, format, dated });
}

/**
 * The header of a table and what is below it. A data frame of yfinance has three header lines: `Price,Close,…`,
 * `Ticker,^RUT,…` and `Date,,…`.
 */
function headerOf(records: readonly Line[]): [Line | undefined, readonly Line[]] {
  const [first, second, third] = records;
  const isFrame = first?.cells[0] === 'Price' && second?.cells[0] === 'Ticker';
  if (!isFrame || !third || !/^Date(?:time)?$/.test(third.cells[0] ?? '')) {
    return [first, records.slice(1)];
  }
  const cells = [third.cells[0] ?? '', ...first.cells.slice(1)];
  return [{ cells, line: first.line }, records.slice(3)];
}

function looksLikeDates(lines: readonly Line[], column: number): boolean {
  const cells = lines.slice(0, 100).map(({ cells }) => cells[column] ?? '');
  const written = cells.filter((cell) => cell !== '');
  return written.length > 0 && written.every(looksLikeDate);
}

type Reader = {
  header: readonly string[];
  columns: Columns;
  delimiter: string;
  format: FileFormat;
  dated: Dating | undefined;
};

function readRows(lines: readonly Line[], reader: Reader): SeriesFile {
  const faults: FileFault[] = [];
  const whole = lines.flatMap(({ cells, line }, index) => {
    const detail = countFault(cells, reader);
    if (detail === null) return [{ cells, line, index }];
    faults.push({ index, column: null, detail: `line ${line}: ${detail}` });
    return [];
  });
  const found = { rows: [] as FileRow[], skipped: [] as SeriesFile['skipped'] };
  const firsts = new Map<string, { line: number; time: string | null }>();
  const readings = readCells(whole, reader);
  for (const [place, { cells, line, index }] of whole.entries()) {
    const { day = NOTHING, number = NOTHING } = readings[place] ?? {};
    const note = (column: 'date' | 'value', detail: string) =>
      faults.push({ index, column, detail: `${placeOf(line, column, reader)}: ${detail}` });
    if ('fault' in day) note('date', day.fault);
    if (number !== null && 'fault' in number) note('value', number.fault);
    if ('fault' in day) continue;
    const { day: date, time } = day.value;
    if (number === null) {
      found.skipped.push({ line, date });
      continue;
    }
    const first = firsts.get(date);
    if (first) note('date', repetition(date, first, time));
    else firsts.set(date, { line, time });
    if ('fault' in number) continue;
    const cellOf = (name: 'provenance' | 'note') => cells[reader.columns[name]] || null;
    const [provenance, remark] = [cellOf('provenance'), cellOf('note')];
    found.rows.push({ index, line, date, value: number.value, provenance, note: remark });
  }
  return { ...found, faults, malformed: null };
}

const NOTHING = { fault: '' };

/** The day of each row, and its number; null where it has none. */
function readCells(
  lines: readonly Line[],
  { columns, delimiter, format, dated }: Reader,
): { day: Reading<WrittenDay>; number: Reading<number> | null }[] {
  const missing = new Set([...NO_VALUE, ...(format.missing ?? []).map((one) => one.toLowerCase())]);
  const textsOf = (column: number) => lines.map(({ cells }) => cells[column] ?? '');
  const texts = textsOf(columns.value);
  const isMissing = (text: string) => missing.has(text.toLowerCase());
  const numbers = readNumbers(
    texts.filter((text) => !isMissing(text)),
    { ...format, delimiter },
  ).values();
  const days = readDates(textsOf(columns.date), { ...format, dated });
  return texts.map((text, place) => ({
    day: days[place] ?? NOTHING,
    number: isMissing(text) ? null : (numbers.next().value ?? NOTHING),
  }));
}

/**
 * Excel pads rows with empty cells, so only cells with a text count as too many. They also do below an empty name: a value
 * such as 2861,99 without quotes ends there. Only pandas leaves the name of a first column empty, that of its index.
 */
function countFault(cells: readonly string[], reader: Reader): string | null {
  const { header, columns, delimiter } = reader;
  const isNamed = (index: number) => Boolean(header[index]) || index === columns.date;
  const surplus = cells.some((cell, index) => cell !== '' && index > 0 && !isNamed(index));
  if (!surplus && endsInNote(cells, reader)) {
    return 'has more columns than the header, and only digits as its note: put a cell with a comma in quotes, such as "2793,3"';
  }
  if (!surplus && cells.length >= header.length) return null;
  const [own, most] = surplus ? [filled(cells), filled(header)] : [cells.length, header.length];
  const counts = `has ${own} ${own === 1 ? 'column' : 'columns'}, but the header has ${most}`;
  return surplus && delimiter === ','
    ? `${counts}: put a cell with a comma in quotes, such as "2793,3"`
    : counts;
}

/** How many cells there are up to the last one with a text. */
const filled = (cells: readonly string[]): number => cells.findLastIndex((cell) => cell !== '') + 1;

/** Whether a row is longer than the header, and has only digits as its note: the decimals of the value before it. */
function endsInNote(cells: readonly string[], { header, columns, delimiter }: Reader): boolean {
  const isLong = cells.length > header.length && delimiter === ',';
  return isLong && columns.note === columns.value + 1 && /^\d+$/.test(cells[columns.note] ?? '');
}

function placeOf(line: number, column: 'date' | 'value', { header, columns }: Reader): string {
  return `line ${line}, column ${header[columns[column]] || columns[column] + 1}`;
}

function repetition(
  date: string,
  earlier: { line: number; time: string | null },
  time: string | null,
): string {
  const [first, second] = [earlier.time ?? '00:00', time ?? '00:00'];
  return first === second
    ? `repeats the date of line ${earlier.line}: send each day once`
    : `is a second value of ${date}, for which line ${earlier.line} has one (${first} and ${second}): a series has one value a day, not several`;
}
