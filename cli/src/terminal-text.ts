// What the ledger holds was written by anyone who has a key. A terminal obeys control characters, and turns
// text around for bidirectional ones, so that it could show what is not there.

/**
 * Controls (also those above ASCII), line and paragraph separators, and format characters, but for the joiners
 * that emoji and some scripts are written with; private use and halves of pairs, which have no width that is known.
 */
const UNSAFE = /(?![\u{200c}\u{200d}])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u{2028}\u{2029}]/gu;

const OTHER_THAN_LINE_FEEDS = /[^\n]+/g;
/** What lines are wrapped at the ends of. */
export const WORDS = /[^ \n]+/g;
const NOT_ASCII = /[^\p{ASCII}]/u;
const DOTTED_CIRCLE = '\u{25cc}'; // what Unicode shows marks on that have no letter
const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Text of the service for a terminal, on one line; what can't be shown is spelt, such as `\u{1b}`. */
export function plain(text: string): string {
  return plainLines(text).replaceAll('\n', ' ');
}

/** As {@link plain}, with its line breaks. */
export function plainLines(text: string): string {
  const spelling = text
    .replace(/\r\n?/g, '\n')
    .replace(OTHER_THAN_LINE_FEEDS, (line) => line.replace(UNSAFE, spelt));
  return spelling.replace(WORDS, (word) => (NOT_ASCII.test(word) ? standing(word) : word));
}

/** A value as JSON, which is the same JSON in any terminal. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (character) =>
    [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** Splits text into what is shown as one character. */
export function charactersOf(text: string): string[] {
  return [...GRAPHEMES.segment(text)].map(({ segment }) => segment);
}

/** A word that joins with no space beside it, as a mark without a letter does; nobody could tell how wide it is. */
function standing(word: string): string {
  const characters = charactersOf(` ${word} `);
  const before = characters.at(0) === ' ' ? '' : DOTTED_CIRCLE;
  const after = characters.at(-1) === ' ' ? '' : DOTTED_CIRCLE;
  return `${before}${word}${after}`;
}

function spelt(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
