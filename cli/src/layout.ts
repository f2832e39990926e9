import { styleText } from 'node:util';
import ui from 'cliui';
import stringWidth from 'string-width';
import { graphemesOf, sanitize, sanitizeLines, WORD } from './terminal-text.ts';

/** The widths of a terminal that the output adapts to, in columns; the default is for a pipe. */
const WIDTH = { min: 40, default: 80, max: 120 };
/** A column that wraps gets at least this. */
const MIN_COLUMN_WIDTH = 10;
const GAP = 2;
const INDENT = 2;

export type Format = Parameters<typeof styleText>[0];

/** The last day of a horizon, whose `to` is the day after it. */
export function lastDayOf({ to }: { to: string }): string {
  return new Date(Date.parse(to) - 86_400_000).toISOString().slice(0, 10);
}

/** The columns that the output may use. */
export function terminalWidth(): number {
  return Math.max(WIDTH.min, Math.min(WIDTH.max, process.stdout.columns || WIDTH.default));
}

/** Formats text for a terminal, unless NO_COLOR is set. */
export function style(format: Format, text: string): string {
  return styleText(format, text, { stream: process.stdout });
}

/** Sanitized text in bold, wrapped to the terminal. */
export function heading(text: string): string {
  return style('bold', paragraph(text, 0));
}

/** Sanitized text, wrapped to the terminal and indented. */
export function paragraph(text: string, indent = INDENT): string {
  const page = ui({ width: terminalWidth() });
  const lines = breakWords(sanitizeLines(text), terminalWidth() - indent);
  page.div({ text: lines, padding: [0, 0, 0, indent] });
  return page.toString();
}

/** The text of a cell, and how all of it is formatted. */
export type Cell = string | { text: string; format: Format };

export type TableColumn = {
  title: string;
  align?: 'left' | 'right';
  /** A column that wraps shares the width that the others leave. The others are as wide as their widest cell. */
  wraps?: boolean;
};

/** A table of sanitized text. Its columns stay aligned whatever the text is. */
export function table(columns: readonly TableColumn[], rows: readonly (readonly Cell[])[]): string {
  const widths = columnWidths(columns, rows);
  const page = ui({ width: terminalWidth() });
  const addRow = (cells: readonly Cell[]) =>
    page.div(
      ...cells.map((cell, index) => {
        const { align } = columns[index] ?? {};
        const left = index === 0 ? INDENT : 0;
        const right = index === cells.length - 1 ? 0 : GAP;
        const width = widths[index] ?? 1;
        const padding: [number, number, number, number] = [0, right, 0, left];
        const text = formatCell(cell, width);
        return { text, width: width + left + right, padding, ...(align && { align }) };
      }),
    );
  addRow(columns.map(({ title }) => ({ text: title, format: 'dim' })));
  for (const row of rows) addRow(row);
  return page.toString();
}

function formatCell(cell: Cell, width: number): string {
  if (typeof cell === 'string') return breakWords(sanitize(cell), width);
  return style(cell.format, breakWords(sanitize(cell.text), width));
}

/** Breaks words that are wider than a column. cliui would break between a letter and its marks. */
function breakWords(text: string, width: number): string {
  return text.replace(WORD, (word) => {
    if (stringWidth(word) <= width) return word;
    const lines = [''];
    let left = width;
    for (const grapheme of graphemesOf(word)) {
      const columns = stringWidth(grapheme);
      if (columns > left) {
        lines.push('');
        left = width;
      }
      lines.push(`${lines.pop()}${grapheme}`);
      left -= columns;
    }
    return lines.join('\n');
  });
}

function columnWidths(
  columns: readonly TableColumn[],
  rows: readonly (readonly Cell[])[],
): number[] {
  const natural = columns.map(({ title }, index) =>
    rows.reduce((widest, row) => Math.max(widest, cellWidth(row[index] ?? '')), cellWidth(title)),
  );
  const fixed = natural.filter((_, index) => columns[index]?.wraps !== true);
  const gaps = INDENT + GAP * (columns.length - 1);
  let left = terminalWidth() - gaps - fixed.reduce((sum, width) => sum + width, 0);
  // Narrow columns first, so that wider ones get what those do not need.
  const wrapping = [...natural.keys()]
    .filter((index) => columns[index]?.wraps)
    .sort((a, b) => (natural[a] ?? 0) - (natural[b] ?? 0));
  const widths = [...natural];
  for (const [place, index] of wrapping.entries()) {
    const share = Math.max(MIN_COLUMN_WIDTH, Math.floor(left / (wrapping.length - place)));
    widths[index] = Math.min(natural[index] ?? 0, share);
    left -= widths[index] ?? 0;
  }
  return widths;
}

/** The columns that a cell needs on one line. */
function cellWidth(cell: Cell): number {
  return stringWidth(sanitize(typeof cell === 'string' ? cell : cell.text));
}

/** A fraction with two to four decimals. */
export function formatFraction(value: number): string {
  return value.toFixed(4).replace(/0{1,2}$/, '');
}

/** The change of a fraction, with its sign. */
export function formatDelta(value: number): string {
  if (value === 0) return '·';
  return `${value > 0 ? '+' : '−'}${formatFraction(Math.abs(value))}`;
}

/** A timestamp of the service, to the minute. */
export function formatTime(timestamp: string): string {
  return `${timestamp.slice(0, 16).replace('T', ' ')} UTC`;
}

/** A fraction as a bar of this many columns. */
export function bar(value: number, columns: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, value)) * columns);
  return '█'.repeat(filled) + '░'.repeat(columns - filled);
}

const LEVELS = '▁▂▃▄▅▆▇█';

/** Fractions as one line, a column each. */
export function sparkline(values: readonly number[]): string {
  return values
    .map((value) => LEVELS[Math.min(LEVELS.length - 1, Math.floor(value * LEVELS.length))])
    .join('');
}
