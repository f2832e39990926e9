import { CsvError, parse as parseCsv } from 'csv-parse/sync';
import { z } from 'zod';
import type { FileFormat } from '../domain/file-columns.ts';
import { MOST_ROWS } from '../domain/file-table.ts';
import { dayOfPeriod, SDMX_FREQUENCIES } from '../domain/sdmx-periods.ts';
import { datingOfPeriods } from '../domain/series.ts';
import { readSeriesFile } from '../domain/series-file.ts';
import type { PulledObservation } from '../ledger/pulled-observations.ts';
import type { FetchedFile } from '../outbound/fetch-file.ts';
import { SourceFault } from './providers.ts';
import type { Pull } from './runs.ts';

/**
 * Reads what a provider sent, all or nothing: the days that have a value. Days without one are left out.
 * @param lastDay the last day that may be in it
 * @throws SourceFault if it is anything else
 */
export function observationsIn(
  file: FetchedFile,
  pull: Pull,
  lastDay: string,
): PulledObservation[] {
  requireMediaType(file, pull.kind === 'fred' ? 'JSON' : 'CSV');
  const text = textIn(file);
  if (!file.isWhole && pull.kind !== 'fred' && !text.slice(text.trimEnd().length).includes('\n')) {
    throw new SourceFault(
      'the response may be cut off: it has neither a length nor a last line end',
    );
  }
  const observations = rowsIn(csvOf(text, pull), pull);
  if (observations.length === 0) throw new SourceFault('the file has no day with a value');
  const future = observations.find(({ date }) => date > lastDay);
  if (future)
    throw new SourceFault(`the file has a value for ${future.date}, which is in the future`);
  return observations;
}

function requireMediaType({ mediaType, body }: FetchedFile, expected: 'CSV' | 'JSON'): void {
  const start = body
    .subarray(0, 200)
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart();
  const name = mediaType === null ? '' : ` (${mediaType.slice(0, 60)})`;
  if (start.startsWith('<') || /\b(html|xml)\b/.test(mediaType ?? '')) {
    throw new SourceFault(`the server sent a page${name} in place of ${expected}`);
  }
  const isJson = /\bjson\b/.test(mediaType ?? '');
  if (expected === 'CSV' && (isJson || /^[{[]/.test(start))) {
    throw new SourceFault(`the server sent JSON${name} in place of CSV`);
  }
  if (
    expected === 'CSV' &&
    /^(image|audio|video|font)\/|zip|pdf|spreadsheetml/.test(mediaType ?? '')
  ) {
    throw new SourceFault(`the server sent something else${name} in place of CSV`);
  }
}

function textIn({ body }: FetchedFile): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new SourceFault('the response is not UTF-8');
  }
}

/** How the file of a source is written. */
function formatOf({ kind, layout }: Pull): FileFormat {
  switch (kind) {
    case 'fred':
    case 'ecb':
      return { dateColumn: 'date', valueColumn: 'value', delimiter: ',' };
    case 'stooq':
      return { provider: 'stooq' };
    default:
      return layout ?? {};
  }
}

function rowsIn(text: string, pull: Pull): PulledObservation[] {
  const { rows, faults, malformed } = readSeriesFile(text, formatOf(pull), datingOfPeriods(pull));
  if (malformed !== null) throw new SourceFault(`the file ${malformed}`);
  const [first] = faults;
  if (first) {
    const more = faults.length > 1 ? ` (and ${faults.length - 1} more faults)` : '';
    throw new SourceFault(`${first.detail}${more}`);
  }
  return rows.map(({ date, value }) => ({ date, value }));
}

const fredObservations = z.object({
  count: z.int().optional(),
  observations: z.array(
    z.object({
      date: z.string().regex(/^\d{4}-\d\d-\d\d$/),
      value: z.string().regex(/^[-+\d.eE]{1,50}$/),
    }),
  ),
});

/** The response of a provider as CSV, for {@link readSeriesFile}. */
function csvOf(text: string, pull: Pull): string {
  if (pull.kind === 'fred') return fredCsv(text);
  return pull.kind === 'ecb' ? ecbCsv(text, pull) : text;
}

/** FRED's JSON as CSV, so that one parser reads all dates and numbers. */
function fredCsv(text: string): string {
  const { data } = fredObservations.safeParse(parsedJson(text));
  if (!data) {
    throw new SourceFault('the response is not what FRED documents: JSON with observations');
  }
  const { count, observations } = data;
  if (count !== undefined && count !== observations.length) {
    throw new SourceFault(`FRED sent ${observations.length} of ${count} observations`);
  }
  return ['date,value', ...observations.map(({ date, value }) => `${date},${value}`)].join('\n');
}

/** The periods and values of the ECB's CSV (SDMX-CSV) on the same lines. Years, half-years and weeks become days. */
function ecbCsv(text: string, { frequency, dated }: Pull): string {
  const [header = [], ...rows] = cellsIn(text);
  const [key, freq, period, value] = ['KEY', 'FREQ', 'TIME_PERIOD', 'OBS_VALUE'].map((name) =>
    header.indexOf(name),
  ) as [number, number, number, number];
  if (period < 0 || value < 0) {
    throw new SourceFault("line 1: the ECB's files have the columns TIME_PERIOD and OBS_VALUE");
  }
  const keys = new Set(rows.map((cells) => cells[key]));
  if (keys.size > 1) throw new SourceFault(`the id names ${keys.size} series of the ECB, not one`);
  const theirs = SDMX_FREQUENCIES[rows[0]?.[freq] ?? ''];
  if (theirs !== undefined && theirs !== frequency) {
    throw new SourceFault(`the ECB's series is ${theirs}, and this one ${frequency}`);
  }
  const quoted = (cell = '') => `"${cell.replaceAll('"', '""')}"`;
  const lines = rows.map((cells) => {
    const written = cells[period] ?? '';
    return `${quoted(dayOfPeriod(written, dated) ?? written)},${quoted(cells[value])}`;
  });
  return ['date,value', ...lines].join('\n');
}

function cellsIn(text: string): string[][] {
  try {
    return parseCsv(text, { bom: true, relax_column_count: true, to: MOST_ROWS + 2 });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new SourceFault(`the file is not valid CSV: ${error.message}`);
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
