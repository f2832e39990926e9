import { styleText } from 'node:util';
import ui from 'cliui';
import stringWidth from 'string-width';
import { charactersOf, plain, plainLines, WORDS } from './terminal-text.ts';

/** What a page gets in columns; more is hard to read, fewer is no terminal. */
const [NARROWEST, USUAL, WIDEST] = [40, 80, 120];
/** What a column that wraps gets at least. */
const NARROWEST_COLUMN = 10;
const GAP = 2;
const INDENT = 2;

export type Format = Parameters<typeof styleText>[0];

/** How many columns a page may take. */
export function terminalWidth(): number {
  return Math.max(NARROWEST, Math.min(WIDEST, process.stdout.columns || USUAL));
}

/** Coloured on a terminal, unless NO_COLOR is set. */
export function styled(format: Format, text: string): string {
  return styleText(format, text, { stream: process.stdout });
}

/** Text of the service as a heading, wrapped to the terminal. */
export function heading(text: string): string {
  return styled('bold', paragraph(text, 0));
}

/** Text of the service, wrapped to the terminal and indented. */
export function paragraph(text: string, indent = INDENT): string {
  const page = ui({ width: terminalWidth() });
  const lines = broken(plainLines(text), terminalWidth() - indent);
  page.div({ text: lines, padding: [0, 0, 0, indent] });
  return page.toString();
}

/** A cell as text, or with a format for all of it. */
export type Cell = string | { text: string; format: Format };

export type TableColumn = {
  title: string;
  align?: 'left' | 'right';
  /** Whether it gets what the others leave, and is wrapped to that; else it is as wide as its widest cell. */
  wraps?: boolean;
};

/** A table of text of the service, whose columns stay aligned whatever that is. */
export function table(columns: readonly TableColumn[], rows: readonly (readonly Cell[])[]): string {
  const widths = widthsOf(columns, rows);
  const page = ui({ width: terminalWidth() });
  const add = (cells: readonly Cell[]) =>
    page.div(
      ...cells.map((cell, index) => {
        const { title: _, wraps: __, ...column } = columns[index] ?? { title: '' };
        const left = index === 0 ? INDENT : 0;
        const right = index === cells.length - 1 ? 0 : GAP;
        const width = widths[index] ?? 1;
        const text = shown(cell, width);
        const padding: [number, number, number, number] = [0, right, 0, left];
        return { ...column, text, width: width + left + right, padding };
      }),
    );
  add(columns.map(({ title }) => ({ text: title, format: 'dim' })));
  for (const row of rows) add(row);
  return page.toString();
}

function shown(cell: Cell, width: number): string {
  if (typeof cell === 'string') return broken(plain(cell), width);
  return styled(cell.format, broken(plain(cell.text), width));
}

/** Breaks words that are wider than a column; cliui would break between a letter and its marks. */
function broken(text: string, width: number): string {
  return text.replace(WORDS, (word) => {
    if (stringWidth(word) <= width) return word;
    const lines = [''];
    let left = width;
    for (const character of charactersOf(word)) {
      const columns = stringWidth(character);
      if (columns > left) {
        lines.push('');
        left = width;
      }
      lines.push(`${lines.pop()}${character}`);
      left -= columns;
    }
    return lines.join('\n');
  });
}

function widthsOf(columns: readonly TableColumn[], rows: readonly (readonly Cell[])[]): number[] {
  const natural = columns.map(({ title }, index) =>
    rows.reduce((widest, row) => Math.max(widest, widthOf(row[index] ?? '')), widthOf(title)),
  );
  const fixed = natural.filter((_, index) => columns[index]?.wraps !== true);
  const gaps = INDENT + GAP * (columns.length - 1);
  let left = terminalWidth() - gaps - fixed.reduce((sum, width) => sum + width, 0);
  // What a narrow one does not need goes to the wider ones.
  const wrapping = [...natural.keys()]
    .filter((index) => columns[index]?.wraps)
    .sort((one, other) => (natural[one] ?? 0) - (natural[other] ?? 0));
  const widths = [...natural];
  for (const [place, index] of wrapping.entries()) {
    const share = Math.max(NARROWEST_COLUMN, Math.floor(left / (wrapping.length - place)));
    widths[index] = Math.min(natural[index] ?? 0, share);
    left -= widths[index] ?? 0;
  }
  return widths;
}

/** The columns that a cell takes on one line, as cliui counts them. */
function widthOf(cell: Cell): number {
  return stringWidth(plain(typeof cell === 'string' ? cell : cell.text));
}

/** A fraction with two to four decimals, as the ledger holds it. */
export function fraction(value: number): string {
  return value.toFixed(4).replace(/0{1,2}$/, '');
}

/** How much a fraction moved, with its sign. */
export function delta(value: number): string {
  if (value === 0) return '·';
  return `${value > 0 ? '+' : '−'}${fraction(Math.abs(value))}`;
}

/** A moment of the service, to the minute. */
export function moment(text: string): string {
  return `${text.slice(0, 16).replace('T', ' ')} UTC`;
}

/** A fraction of 1 as a bar of so many columns. */
export function bar(value: number, columns: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, value)) * columns);
  return '█'.repeat(filled) + '░'.repeat(columns - filled);
}

const LEVELS = '▁▂▃▄▅▆▇█';

/** Fractions of 1 as one line, a column each. */
export function sparkline(values: readonly number[]): string {
  return values
    .map((value) => LEVELS[Math.min(LEVELS.length - 1, Math.floor(value * LEVELS.length))])
    .join('');
}
