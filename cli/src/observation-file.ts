import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ObservationsInput } from '@outlook-ledger/client';
import { type Info, parse } from 'csv-parse';
import { UsageError } from './errors.ts';

type Observation = ObservationsInput['observations'][number];

/** An observation, and its line in the file. */
export type Row = { line: number; observation: Observation };

/** The service takes 10,000 observations and 4 MiB in one request; some bytes are left for the rest of it. */
const MAX_BATCH = { rows: 10_000, bytes: 4_000_000 };
const COLUMNS = ['date', 'value', 'provenance', 'note'];

/**
 * Reads a CSV of observations (RFC 4180) with the header `date,value` or `date,value,provenance,note`. It finds all
 * faults that the file alone shows, before anything is sent. One of them is a repeated day: if the two were in
 * different batches, the service would take the second for a revision of the first.
 * @throws UsageError with all faults by line
 */
export async function readObservations(file: Readable, name: string): Promise<Row[]> {
  const rows: Row[] = [];
  const faults: string[] = [];
  const lineOfDay = new Map<string, number>();
  let columnCount: number | null = null;
  for await (const { record, info } of readRecords(file, name)) {
    if (columnCount === null) {
      columnCount = checkHeader(record, name);
      continue;
    }
    const line = info.lines;
    const found = findFaults(record, columnCount, lineOfDay).map((fault) => `line ${line}${fault}`);
    faults.push(...found);
    if (found.length > 0) continue;
    lineOfDay.set(record[0] ?? '', line);
    rows.push({ line, observation: toObservation(record) });
  }
  if (faults.length > 0) {
    const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`;
    throw new UsageError(`${name} has ${count}. Nothing was sent.`, faults);
  }
  if (rows.length > 0) return rows;
  throw new UsageError(`${name} has no observations.`);
}

/** Splits rows into batches that the service accepts. */
export function splitIntoBatches(rows: readonly Row[]): Row[][] {
  const batches: Row[][] = [];
  let bytes = Infinity;
  for (const row of rows) {
    const size = Buffer.byteLength(JSON.stringify(row.observation)) + 1;
    const batch = batches.at(-1);
    if (batch && batch.length < MAX_BATCH.rows && bytes + size <= MAX_BATCH.bytes) {
      batch.push(row);
      bytes += size;
    } else {
      batches.push([row]);
      bytes = size;
    }
  }
  return batches;
}

type CsvRecord = { record: string[]; info: Info };

async function* readRecords(file: Readable, name: string): AsyncGenerator<CsvRecord> {
  const parser = parse({ bom: true, info: true, relax_column_count: true, skip_empty_lines: true });
  const reading = pipeline(file, normalizeLineBreaks, parser);
  reading.catch(() => {}); // the parser throws the same error below
  try {
    for await (const record of parser) yield record as CsvRecord;
  } catch (error) {
    throw new UsageError(`${name} can't be read: ${(error as Error).message}. Nothing was sent.`);
  }
}

/** Turns CRLF into LF: csv-parse counts a CRLF between quotes as two lines. */
async function* normalizeLineBreaks(file: Readable): AsyncGenerator<string> {
  let carry = '';
  for await (const chunk of file.setEncoding('utf8')) {
    const text = carry + String(chunk);
    carry = text.endsWith('\r') ? '\r' : '';
    yield text.slice(0, text.length - carry.length).replaceAll('\r\n', '\n');
  }
  yield carry;
}

/** @returns the number of columns */
function checkHeader(header: readonly string[], name: string): number {
  const isKnown = [2, COLUMNS.length].some(
    (count) => header.join() === COLUMNS.slice(0, count).join(),
  );
  if (isKnown) return header.length;
  throw new UsageError(`${name} must begin with the header date,value or ${COLUMNS.join()}.`, [
    `line 1: ${JSON.stringify(header.join())}`,
  ]);
}

/** Each fault as it follows the number of its line. */
function findFaults(
  record: readonly string[],
  columnCount: number,
  lineOfDay: ReadonlyMap<string, number>,
): string[] {
  const [date = '', value = ''] = record;
  if (record.length !== columnCount) {
    return [`: ${record.length} columns, but the header has ${columnCount}`];
  }
  const faults: string[] = [];
  const earlier = lineOfDay.get(date);
  if (!isDay(date)) faults.push(`, column date: ${quote(date)} is not a date like 2026-11-20`);
  else if (earlier !== undefined)
    faults.push(`, column date: ${date} is already on line ${earlier}`);
  const fault = valueFault(value);
  if (fault) faults.push(`, column value: ${quote(value)} ${fault}`);
  return faults;
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 100));

function isDay(text: string): boolean {
  const day = /^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T00:00:00Z`) : null;
  return day !== null && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

/** The service would refuse such values, too, but it would only see what a double makes of them. */
function valueFault(text: string): string | null {
  if (!/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) {
    return 'is not a number like 2793.3; leave out days without a value';
  }
  const value = Number(text);
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    return `is beyond ±${Number.MAX_SAFE_INTEGER}, up to which numbers are exact; use a larger unit`;
  }
  const isTiny = value === 0 && /[1-9]/.test(text.split(/e/i, 1)[0] ?? '');
  return isTiny
    ? 'is too small for a double, which would be 0; write 0 or use a smaller unit'
    : null;
}

function toObservation([date = '', value, provenance, note]: readonly string[]): Observation {
  return {
    date,
    value: Number(value),
    // The service knows the allowed values.
    ...(provenance && { provenance: provenance as NonNullable<Observation['provenance']> }),
    ...(note && { note }),
  };
}
