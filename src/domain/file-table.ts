import type { Delimiter } from './file-columns.ts';

/** The text of a CSV file from its header on, with LF as the only line end. */
export type Table = {
  text: string;
  /** The character between two cells. */
  delimiter: string;
  /** The line of the file on which the text begins. */
  firstLine: number;
};

/** The most rows of a file: more than the trading days of 150 years. */
export const MOST_ROWS = 40_000;
const MOST_CELLS = 750_000;
const MOST_COLUMNS = 200;
/** In characters. */
const LONGEST_LINE = 20_000;

/** Why a text can't be CSV; follows `the file ` or `the body `. Null if it can be. */
export function csvFault(text: string): string | null {
  const start = text
    .slice(0, 1_000)
    .replace(/^\ufeff/, '')
    .trimStart();
  if (start.startsWith('<')) {
    return 'is an HTML or XML page, not CSV: the download may have failed, or need a login';
  }
  if (/^[{[]/.test(start)) {
    return 'is JSON, not CSV: a provider may have answered with an error, so open the file and read it';
  }
  const nul = text.indexOf('\u0000');
  if (nul < 0) return null;
  return `has a NUL character on line ${lineAt(text, nul)}: save the file as CSV in UTF-8, not in UTF-16`;
}

function lineAt(text: string, place: number): number {
  return text.slice(0, place).split(/\r\n|[\r\n]/).length;
}

/** Excel reads the delimiter from such a first line. */
const DECLARED = /^"?sep=([,;|\t])"?[,;|\t]*(?:\n|$)/i;

/**
 * Finds the delimiter of a file: the one that the caller or the file states, or else the only one of comma, semicolon, bar
 * and tab in the header outside quotation marks.
 */
export function tableOf(file: string, stated: Delimiter | undefined): Table | { fault: string } {
  const whole = file.replace(/^\ufeff/, '').replaceAll(/\r\n?/g, '\n');
  const [line = '', declared] = DECLARED.exec(whole) ?? [];
  const blank = /^\n*/.exec(whole.slice(line.length))?.[0] ?? '';
  const text = whole.slice(line.length + blank.length);
  const firstLine = 1 + blank.length + (line === '' ? 0 : 1);
  if (stated !== undefined) return { text, delimiter: stated === 'tab' ? '\t' : stated, firstLine };
  if (declared !== undefined) return { text, delimiter: declared, firstLine };
  const header = text.slice(0, LONGEST_LINE).split('\n', 1)[0] ?? '';
  const unquoted = header.replaceAll(/"[^"]*"/g, '');
  const found = [',', ';', '|', '\t'].filter((one) => unquoted.includes(one));
  if (found.length > 1) {
    return {
      fault: `line ${firstLine}: the header has more than one of comma, semicolon, bar and tab: say with delimiter which of them separates its cells`,
    };
  }
  return { text, delimiter: found[0] ?? ',', firstLine };
}

/** Which limit a table exceeds: lines, columns, cells or the length of a line. Null if none. */
export function limitFault({ text, delimiter, firstLine }: Table): string | null {
  let [line, columns, cells, start] = [0, 1, 1, 0];
  for (let place = 0; place <= text.length; place += 1) {
    const character = text[place];
    if (character === delimiter) columns += 1;
    if (character !== '\n' && character !== undefined) continue;
    if (place - start > LONGEST_LINE) {
      return `line ${firstLine + line}: has more than ${LONGEST_LINE} characters`;
    }
    if (columns > MOST_COLUMNS)
      return `line ${firstLine + line}: has more than ${MOST_COLUMNS} columns`;
    cells += columns;
    [line, columns, start] = [line + 1, 1, place + 1];
  }
  if (line > MOST_ROWS + 1_000) return `the file has more than ${MOST_ROWS} rows: send it in parts`;
  return cells > MOST_CELLS
    ? `the file has more than ${MOST_CELLS} cells: send fewer columns`
    : null;
}
