import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { NewObservations } from '@outlook-ledger/client';
import { type Info, parse } from 'csv-parse';
import { UsageError } from './errors.ts';

type Observation = NewObservations['observations'][number];

/** An observation, and the line of the file that it stands on. */
export type Row = { line: number; observation: Observation };

/** What the service takes at once: days, and bytes with room to spare. */
const [MOST_ROWS, MOST_BYTES] = [10_000, 4_000_000];
const COLUMNS = ['date', 'value', 'provenance', 'note'];

/**
 * Reads a CSV of observations (RFC 4180, with the header `date,value` or `date,value,provenance,note`). All faults
 * that it can have by itself are found before a row is sent, a day that it tells twice among them: in two batches the
 * service would take the second for a revision of the first.
 * @throws UsageError with all faults, by their lines
 */
export async function readObservations(file: Readable, name: string): Promise<Row[]> {
  const rows: Row[] = [];
  const faults: string[] = [];
  const days = new Map<string, number>();
  let columns: number | null = null;
  for await (const { record, info } of recordsOf(file, name)) {
    if (columns === null) {
      columns = columnsOf(record, name);
      continue;
    }
    const line = info.lines;
    const told = faultsOf(record, columns, days).map((fault) => `line ${line}, ${fault}`);
    faults.push(...told);
    if (told.length > 0) continue;
    days.set(record[0] ?? '', line);
    rows.push({ line, observation: observationOf(record) });
  }
  if (faults.length > 0) {
    throw new UsageError(`${name} has ${faults.length} faults; nothing was sent.`, faults);
  }
  if (rows.length > 0) return rows;
  throw new UsageError(`${name} has no observations.`);
}

/** Rows in pieces that the service takes. */
export function batchesOf(rows: readonly Row[]): Row[][] {
  const batches: Row[][] = [];
  let bytes = Infinity;
  for (const row of rows) {
    const size = Buffer.byteLength(JSON.stringify(row.observation)) + 1;
    const batch = batches.at(-1);
    if (batch && batch.length < MOST_ROWS && bytes + size <= MOST_BYTES) {
      batch.push(row);
      bytes += size;
    } else {
      batches.push([row]);
      bytes = size;
    }
  }
  return batches;
}

type Record = { record: string[]; info: Info };

async function* recordsOf(file: Readable, name: string): AsyncGenerator<Record> {
  const parser = parse({ bom: true, info: true, relax_column_count: true, skip_empty_lines: true });
  const read = pipeline(file, withLineFeeds, parser);
  read.catch(() => {}); // told by the parser, too, which it ends
  try {
    for await (const record of parser) yield record as Record;
  } catch (error) {
    throw new UsageError(`${name} can't be read: ${(error as Error).message}. Nothing was sent.`);
  }
}

/** The text of a file; csv-parse counts a CRLF between quotes as two lines. */
async function* withLineFeeds(file: Readable): AsyncGenerator<string> {
  let held = '';
  for await (const read of file.setEncoding('utf8')) {
    const text = held + String(read);
    held = text.endsWith('\r') ? '\r' : '';
    yield text.slice(0, text.length - held.length).replaceAll('\r\n', '\n');
  }
  yield held;
}

function columnsOf(header: readonly string[], name: string): number {
  const isKnown = [2, COLUMNS.length].some(
    (count) => header.join() === COLUMNS.slice(0, count).join(),
  );
  if (isKnown) return header.length;
  throw new UsageError(`${name} must begin with the header date,value or ${COLUMNS.join()}.`, [
    `line 1: ${JSON.stringify(header.join())}`,
  ]);
}

function faultsOf(
  record: readonly string[],
  columns: number,
  days: ReadonlyMap<string, number>,
): string[] {
  const [date = '', value = ''] = record;
  if (record.length !== columns) {
    return [`which has ${record.length} columns where the header has ${columns}`];
  }
  const faults: string[] = [];
  const earlier = days.get(date);
  if (!isDay(date)) faults.push(`column date: ${quoted(date)} is no day such as 2026-11-20`);
  else if (earlier !== undefined)
    faults.push(`column date: ${date} stands on line ${earlier}, too`);
  if (!isNumber(value)) {
    faults.push(
      `column value: ${quoted(value)} is no number such as 2793.3; leave out days without a value`,
    );
  }
  return faults;
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 100));

function isDay(text: string): boolean {
  const day = /^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T00:00:00Z`) : null;
  return day !== null && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

function isNumber(text: string): boolean {
  const isWritten = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text);
  return isWritten && Number.isFinite(Number(text));
}

function observationOf([date = '', value, provenance, note]: readonly string[]): Observation {
  return {
    date,
    value: Number(value),
    // What it may be the service knows.
    ...(provenance && { provenance: provenance as NonNullable<Observation['provenance']> }),
    ...(note && { note }),
  };
}
