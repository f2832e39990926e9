// Anyone with a key may have written the text in the ledger. A terminal obeys control characters, and bidirectional
// ones reorder text, so either could make it show what is not there.

/**
 * Control characters, line and paragraph separators, and format characters except the joiners, which emoji and some
 * scripts need. Also private use and lone surrogates, whose width is unknown.
 */
const UNSAFE = /(?![\u{200c}\u{200d}])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u{2028}\u{2029}]/gu;

const LINE = /[^\n]+/g;
export const WORD = /[^ \n]+/g;
const NOT_ASCII = /[^\p{ASCII}]/u;
/** The character that Unicode uses to show a mark without its letter. */
const DOTTED_CIRCLE = '\u{25cc}';
const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Text that is safe to print, on one line. Unsafe characters are escaped, such as `\u{1b}`. */
export function sanitize(text: string): string {
  return sanitizeLines(text).replaceAll('\n', ' ');
}

/** Like {@link sanitize}, but keeps line breaks. */
export function sanitizeLines(text: string): string {
  const escaped = text
    .replace(/\r\n?/g, '\n')
    .replace(LINE, (line) => line.replace(UNSAFE, escapeCharacter));
  return escaped.replace(WORD, (word) => (NOT_ASCII.test(word) ? isolate(word) : word));
}

/** A value as JSON that is safe to print. */
export function sanitizedJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (character) =>
    [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** The characters of a text, as a reader counts them. */
export function graphemesOf(text: string): string[] {
  return [...GRAPHEMES.segment(text)].map(({ segment }) => segment);
}

/** Keeps a word from joining with the spaces around it, as a mark without a letter does: its width would be unknown. */
function isolate(word: string): string {
  const graphemes = graphemesOf(` ${word} `);
  const before = graphemes.at(0) === ' ' ? '' : DOTTED_CIRCLE;
  const after = graphemes.at(-1) === ' ' ? '' : DOTTED_CIRCLE;
  return `${before}${word}${after}`;
}

function escapeCharacter(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
