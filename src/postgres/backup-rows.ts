import { createReadStream } from 'node:fs';
import split2 from 'split2';

/** How a backup begins and ends, and what ends the rows of a table in it. */
export const FIRST_LINE = '-- A backup of Outlook Ledger';
export const LAST_LINE = 'COMMIT;';
export const END_OF_ROWS = String.raw`\.`;

/** The lines of a backup, or of what may be one. */
export function linesOf(file: string): AsyncIterator<string> {
  return createReadStream(file).pipe(split2('\n'))[Symbol.asyncIterator]() as AsyncIterator<string>;
}

/** The rows of one table, each with its columns as text; a null is null. */
export type BackupRow = { table: string; columns: ReadonlyMap<string, string | null> };

/**
 * Reads the rows of some tables from a backup, in its order: a row comes after those that it points to.
 * @param tables names such as `public.outlooks`
 * @throws Error if the file is not a complete backup
 */
export async function* readRows(
  file: string,
  tables: readonly string[],
): AsyncGenerator<BackupRow> {
  const lines = linesOf(file);
  let last = '';
  let names: string[] | null = null;
  let table = '';
  for (let isFirst = true; ; isFirst = false) {
    const { value: line, done } = await lines.next();
    if (isFirst) requireFirstLine(done ? undefined : line);
    if (done) break;
    if (names === null) {
      last = line;
      const copied = /^COPY (\S+) \((.*)\) FROM stdin;$/.exec(line);
      if (copied) [table, names] = [copied[1] ?? '', copied[2]?.split(', ') ?? []];
    } else if (line === END_OF_ROWS) {
      names = null;
    } else if (tables.includes(table)) {
      const values = line.split('\t').map(plainText);
      yield { table, columns: new Map(names.map((name, i) => [name, values[i] ?? null])) };
    }
  }
  if (last !== LAST_LINE) throw new Error(INCOMPLETE);
}

/** @throws Error unless a file with this first line is a backup */
export function requireFirstLine(line: string | undefined): void {
  if (!line?.startsWith(FIRST_LINE)) throw new Error('the file is no backup of this service');
}

export const INCOMPLETE = 'the file ends before the backup does';

const ESCAPES: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** A value as COPY writes it (PostgreSQL's documentation, COPY, "Text Format"). */
function plainText(value: string): string | null {
  if (value === String.raw`\N`) return null;
  return value.replaceAll(/\\(.)/gs, (_, escaped: string) => ESCAPES[escaped] ?? escaped);
}
