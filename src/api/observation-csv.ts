import type { z } from 'zod';
import type { FileFormat } from '../domain/file-columns.ts';
import type { Dating } from '../domain/series.ts';
import { type FileRow, readSeriesFile } from '../domain/series-file.ts';
import { type FieldError, jsonPointer, Problem } from '../http/problems.ts';
import { invalidRequest, parse } from '../http/validation.ts';
import { newObservation, type newObservations } from './schemas/series.ts';

/** A body of CSV, not parsed yet. */
export class CsvText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The media types of CSV that clients send. Browsers on Windows name Excel's for a file that ends in .csv. */
export const CSV_TYPES = [
  'text/csv',
  'application/csv',
  'text/comma-separated-values',
  'text/tab-separated-values',
  'text/x-csv',
  'application/x-csv',
  'application/vnd.ms-excel',
  'text/plain',
];

/** Observations of a body and, for CSV, the row of each and the days without a value. */
export type SentObservations = z.output<typeof newObservations> & {
  rows: readonly FileRow[] | null;
  skipped: readonly string[];
};

/**
 * Reads observations as CSV.
 * @param dated the dating of the series; undefined if months and quarters are refused
 * @throws Problem `invalid-request` with all faults, each by its line and column; `malformed-request` if it is no CSV
 */
export function readCsv(
  { text }: CsvText,
  format: FileFormat,
  dated: Dating | undefined,
): SentObservations {
  const { rows, skipped, faults, malformed } = readSeriesFile(text, format, dated);
  if (malformed !== null) throw new Problem('malformed-request', `The body ${malformed}.`);
  const errors = faults.map(({ index, column, detail }) => ({
    pointer:
      index === null ? '' : jsonPointer(['observations', index, ...(column ? [column] : [])]),
    detail,
  }));
  const observations = rows.flatMap((row) => {
    const { date, value, provenance, note } = row;
    // The file's reader has checked these two, of which a file may have forty thousand.
    if (provenance === null && note === null)
      return [{ date, value, provenance: 'sourced' as const, note }];
    try {
      return [parse(newObservation, observationOf(row))];
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      errors.push(...error.errors.map((fault) => placed(fault, row)));
      return [];
    }
  });
  if (rows.length + skipped.length + errors.length === 0) {
    errors.push({ pointer: '/observations', detail: 'must have at least 1 entry' });
  }
  if (errors.length > 0) throw invalidRequest(errors);
  return { observations, rows, skipped: skipped.map(({ date }) => date) };
}

function observationOf({ date, value, provenance, note }: FileRow): object {
  return { date, value, ...(provenance && { provenance }), ...(note && { note }) };
}

function placed({ pointer, detail }: FieldError, row: FileRow): FieldError {
  const column = pointer.slice(1);
  return {
    pointer: jsonPointer(['observations', row.index, column]),
    detail: placeOf(row, column) + detail,
  };
}

/** The place of a row in a file, before the detail of a fault. */
export function placeOf({ line }: FileRow, column: string): string {
  return `line ${line}, column ${column}: `;
}
