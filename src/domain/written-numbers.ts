import { numberFault } from './decimals.ts';
import type { Reading } from './written-dates.ts';

export const DECIMAL_MARKS = ['.', ','] as const;
export type DecimalMark = (typeof DECIMAL_MARKS)[number];

/** `sure` marks decide how a whole column is written; `either` could be decimals or thousands. */
type Mark = { mark: DecimalMark; isSure: boolean };

const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,5})?$/i;
const GROUPED_BY_SPACE = /^([+-]?\d{1,3}(?:[ \u00a0\u202f'’]\d{3})+)(?=$|[.,])/;
const POINT_GROUPS = /^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$/;
const COMMA_GROUPS = /^[+-]?\d{1,3}(?:\.\d{3})+(?:,\d*)?$/;

/**
 * Reads the numbers of a column, whose decimal mark is a point or a comma; the other one, a space or an apostrophe may
 * group thousands. The mark is the one given, or the one that any number shows, such as 2,861.99. If none shows it, a
 * point is the decimal mark of a file that a comma separates, and every number that may mean two things is refused.
 * @param delimiter the character between two cells of the file
 */
export function readNumbers(
  texts: readonly string[],
  { decimal, delimiter }: { decimal?: DecimalMark | undefined; delimiter: string },
): Reading<number>[] {
  const plain = texts.map(withoutSpaces);
  const marks = plain.map(markOf);
  const sure = marks.findIndex((one) => one?.isSure);
  const shown = decimal ?? marks[sure]?.mark;
  const isPoint = delimiter === ',' && !marks.some((one) => one?.mark === ',');
  const mark = shown ?? (isPoint ? '.' : null);
  const contrary = decimal ? undefined : marks.findIndex((one) => one?.isSure && one.mark !== mark);
  return texts.map((text, index) => {
    const own = marks[index];
    if (own && mark === null) return { fault: ambiguous(text, own) };
    const isContrary = own?.isSure && own.mark !== mark && contrary !== undefined;
    if (isContrary) return { fault: contradiction(text, texts[sure] ?? '', mark) };
    return numberOf(plain[index] ?? '', text, mark ?? '.');
  });
}

function withoutSpaces(text: string): string {
  const grouped = text.replace('\u2212', '-');
  return grouped.replace(GROUPED_BY_SPACE, (digits) => digits.replaceAll(/[^\d+-]/g, ''));
}

/** The decimal mark that a number shows; null if it has no mark, or is no number. */
function markOf(text: string): Mark | null {
  const [digits = ''] = text.split(/e/i, 1);
  const hasExponent = digits.length < text.length;
  const [point, comma] = [digits.includes('.'), digits.includes(',')];
  if (!/^[+-]?[\d.,]+$/.test(digits)) return null;
  if (point && comma) {
    if (POINT_GROUPS.test(digits)) return { mark: '.', isSure: true };
    return COMMA_GROUPS.test(digits) ? { mark: ',', isSure: true } : null;
  }
  if (!point && !comma) return null;
  const mark = point ? '.' : ',';
  const parts = digits.replace(/^[+-]/, '').split(mark);
  // Two marks of one kind group thousands, so the other kind is the decimal mark.
  if (parts.length > 2) {
    const isGrouped = (point ? COMMA_GROUPS : POINT_GROUPS).test(digits);
    return isGrouped ? { mark: point ? ',' : '.', isSure: true } : null;
  }
  const [whole = '', fraction = ''] = parts;
  const mayGroup = /^[1-9]\d{0,2}$/.test(whole) && fraction.length === 3 && !hasExponent;
  return { mark, isSure: !mayGroup };
}

function ambiguous(text: string, { mark }: Mark): string {
  const digits = text.replaceAll(/[.,]/g, '');
  const meanings = mark === ',' ? `${digits} or ${text.replace(',', '.')}` : `${text} or ${digits}`;
  return `${quoted(text)} may mean ${meanings}, and no other number shows which: name the decimal mark with decimal=. or decimal=,`;
}

function contradiction(text: string, other: string, mark: DecimalMark | null): string {
  const names = { '.': 'a decimal point', ',': 'a decimal comma' };
  const own = mark === '.' ? names[','] : names['.'];
  return `${quoted(text)} has ${own}, but ${quoted(other)} ${mark === '.' ? names['.'] : names[',']}: write all numbers alike`;
}

function numberOf(plain: string, text: string, mark: DecimalMark): Reading<number> {
  const [groups, grouping] = mark === '.' ? [POINT_GROUPS, ','] : [COMMA_GROUPS, '.'];
  const ungrouped = groups.test(plain) ? plain.replaceAll(grouping, '') : plain;
  const hasGroups = ungrouped.includes(grouping);
  const number = mark === ',' ? ungrouped.replace(',', '.') : ungrouped;
  if (hasGroups || !NUMBER.test(number)) {
    return {
      fault: `${quoted(text)} is not a number: write digits with a decimal ${mark === '.' ? 'point, such as 2793.3' : 'comma, such as 2793,3'}, and leave out days without a value, or say with missing which text means no value`,
    };
  }
  const fault = numberFault(number);
  return fault === null ? { value: Number(number) } : { fault };
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 100));
