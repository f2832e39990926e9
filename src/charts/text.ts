import { format } from 'd3-format';
import { utcFormat } from 'd3-time-format';
import { type Fractions, SCENARIO_NAMES, type ScenarioName } from '../domain/probabilities.ts';
import type { AnswerWay } from '../domain/review.ts';

/** The display names of scenarios. */
export const SCENARIO_TITLES: Record<ScenarioName, string> = {
  bear: 'Bear',
  base: 'Base',
  bull: 'Bull',
};

/** How a version answered a condition: "rate-relief: by a reason". */
export const ANSWERS: Record<AnswerWay, string> = {
  weight: 'by a lower probability',
  acknowledged: 'by a reason',
  reaffirmed: 'by reaffirming the probabilities',
};

/** Probabilities in one line: `Bear 30%, Base 45%, Bull 25%`. */
export function sharesOf(probabilities: Fractions): string {
  return SCENARIO_NAMES.map(
    (name) => `${SCENARIO_TITLES[name]} ${percent(probabilities[name])}`,
  ).join(', ');
}

/** The outcome as a phrase: `Bear came about, with a return of −12%`, or `Void`. */
export function outcomePhrase(resolution: {
  outcome: ScenarioName | 'void';
  realisedReturn: number | null;
}): string {
  const { outcome, realisedReturn } = resolution;
  if (outcome === 'void') return 'Void';
  const by = realisedReturn === null ? '' : `, with a return of ${roundedPercent(realisedReturn)}`;
  return `${SCENARIO_TITLES[outcome]} came about${by}`;
}

/** Splits a text into paragraphs, which blank lines separate. */
export function paragraphsOf(text: string): string[] {
  const lines = text.replaceAll('\r\n', '\n');
  return lines.split(/\n[ \t]*\n/).filter((one) => one.trim() !== '');
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
// Full width: a Chinese or Japanese character, a Hangul syllable, an emoji.
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Extended_Pictographic}]/u;

/**
 * Truncates a text to a width, with an ellipsis. The width is a safe estimate, because the font in which a
 * chart is shown is unknown.
 * @param width in pixels
 * @param size of the font, in pixels
 */
export function fitText(text: string, width: number, size: number): string {
  const room = width / size;
  let taken = 0;
  let kept = '';
  let before = '';
  for (const { segment } of graphemes.segment(withoutControls(text))) {
    taken += WIDE.test(segment) ? 1.05 : /[A-Z@%MWmw]/.test(segment) ? 0.82 : 0.58;
    if (taken > room) return `${before.trimEnd()}…`;
    if (taken <= room - 1) before = kept + segment;
    kept += segment;
  }
  return kept;
}

/** Removes the control characters that XML 1.0 does not allow (2.2). */
export function withoutControls(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffe\uffff]/g, '\ufffd');
}

/** A number with thousands separators and at most four decimals: `2,861.99`. */
export const decimal = format(',.4~f');

/** A fraction as a percentage: 0.3 is `30%`. Exact to the basis point. */
export function percent(fraction: number): string {
  return `${decimal(Math.round(fraction * 1e8) / 1e6)}%`;
}

/** A measured fraction as a percentage with at most two decimals: 0.0240003 is `2.4%`. */
export function roundedPercent(fraction: number): string {
  return `${decimal(Math.round(fraction * 1e4) / 1e2)}%`;
}

/** What the shares of a climatology count, as a sentence. */
export function historySentence(history: {
  spans: number;
  independentSpans: number;
  days: number;
  first: string | null;
  last: string | null;
  missing: readonly { reason: string }[];
}): string {
  const { spans, independentSpans, days, first, last, missing } = history;
  const [why] = missing;
  if (why) return `What history alone says is unknown: ${why.reason}.`;
  const [from, to] = [first, last].map((day) => shortDay(new Date(`${day}T00:00:00Z`)));
  return `History alone: the share of past returns in each band, over ${decimal(spans)} spans of ${decimal(days)} days from ${from} to ${to}, ${decimal(independentSpans)} of them independent; smoothed.`;
}

/** A difference of fractions in percentage points, signed: `+5`, `−5`, `±0`. */
export function points(difference: number): string {
  const rounded = Math.round(difference * 1e6) / 1e4;
  if (rounded === 0) return '±0';
  return `${rounded > 0 ? '+' : ''}${decimal(rounded)}`;
}

/** A day as written in English: `20 November 2026`. */
export const longDay = utcFormat('%-d %B %Y');
/** The same, shorter: `20 Nov 2026`. */
export const shortDay = utcFormat('%-d %b %Y');
/** A day and time in UTC: `20 Nov 2026, 16:31 UTC`. */
export const moment = utcFormat('%-d %b %Y, %H:%M UTC');
