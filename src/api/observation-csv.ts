import { CsvError, type Info, parse as parseCsv } from 'csv-parse/sync';
import type { z } from 'zod';
import { numberFault } from '../domain/decimals.ts';
import { type FieldError, jsonPointer, Problem } from '../http/problems.ts';
import { MOST_OBSERVATIONS, newObservations } from './schemas/series.ts';
import { invalidRequest, parse } from '../http/validation.ts';

/** A body of the type text/csv, not parsed yet. */
export class CsvText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const COLUMNS = ['date', 'value', 'provenance', 'note'];
const HEADERS = [COLUMNS.slice(0, 2), COLUMNS];

/** Observations and, for CSV, the line of each. */
export type SentObservations = z.output<typeof newObservations> & {
  lines: readonly number[] | null;
};

/**
 * Reads observations as JSON, or as CSV (RFC 4180) with the header `date,value` or
 * `date,value,provenance,note`.
 * @throws Problem `invalid-request` with all faults; in CSV each by its line and column
 */
export function readObservations(body: unknown): SentObservations {
  if (!(body instanceof CsvText)) return { ...parse(newObservations, body), lines: null };
  const { rows, lines, faults } = rowsOf(body.text);
  const errors = [...faults];
  let observations: z.output<typeof newObservations>['observations'] = [];
  try {
    ({ observations } = parse(newObservations, { observations: rows }));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    errors.push(...error.errors.map((fault) => placed(fault, rows, lines)));
  }
  if (errors.length === 0) return { observations, lines };
  throw invalidRequest(errors);
}

/** The place of an observation in a body, for the detail of a fault. */
export function placeOf(lines: readonly number[] | null, index: number, column: string): string {
  return lines === null ? '' : `line ${lines[index]}, column ${column}: `;
}

type Row = { date?: string; value?: unknown; provenance?: string; note?: string };

function rowsOf(text: string): { rows: Row[]; lines: number[]; faults: FieldError[] } {
  const [header, ...records] = recordsOf(text);
  const columns = HEADERS.find((one) => one.join() === header?.record.join());
  if (!columns) {
    const detail = `line 1: the header must be date,value or date,value,provenance,note, not ${JSON.stringify(header?.record.join() ?? '')}`;
    throw new Problem('invalid-request', 'The header line is not valid.', {
      errors: [{ pointer: '', detail }],
    });
  }
  const faults = records.flatMap(({ record, info }, index) => {
    if (record.length === columns.length) return [];
    const detail = `line ${info.lines}: has ${record.length} columns, but the header has ${columns.length}`;
    return [{ pointer: jsonPointer(['observations', index]), detail }];
  });
  const rows = records.map(({ record: [date = '', value = '', provenance = '', note = ''] }) => ({
    date,
    value: numberOf(value),
    ...(provenance !== '' && { provenance }),
    ...(note !== '' && { note }),
  }));
  return { rows, lines: records.map(({ info }) => info.lines), faults };
}

function recordsOf(text: string): { record: string[]; info: Info }[] {
  try {
    return parseCsv(text, {
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      to: MOST_OBSERVATIONS + 2, // the header, and one row too many
    }) as unknown as { record: string[]; info: Info }[];
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new Problem('malformed-request', `The body is not valid CSV: ${error.message}.`);
  }
}

const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;

/** Parses a number; returns the text itself if it is not one, or one that a double can't represent. */
function numberOf(text: string): number | string {
  return NUMBER.test(text) && numberFault(text) === null ? Number(text) : text;
}

function textFault(text: string): string {
  const lossy = NUMBER.test(text) ? numberFault(text) : null;
  if (lossy !== null) return lossy;
  const fault = `${JSON.stringify(text.slice(0, 100))} is not a number: write digits with a decimal point, such as 2793.3, and leave out days without a value`;
  // FRED writes "." for a missing value, which retracts nothing.
  return /^\.?$/.test(text)
    ? `${fault}; to retract a value, send {"date": …, "value": null} as JSON`
    : fault;
}

function placed(fault: FieldError, rows: readonly Row[], lines: readonly number[]): FieldError {
  const [, index = NaN, column] = /^\/observations\/(\d+)\/(\w+)$/.exec(fault.pointer) ?? [];
  if (column === undefined) return fault;
  const value = rows[Number(index)]?.value;
  const isText = column === 'value' && typeof value === 'string';
  const detail = isText
    ? textFault(value)
    : fault.detail.replace(/entry (\d+)/, (_, entry) => `line ${lines[Number(entry)]}`);
  return { ...fault, detail: placeOf(lines, Number(index), column) + detail };
}
