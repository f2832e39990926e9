// What the ledger holds was written by anyone who has a key. A terminal obeys control characters, and turns
// text around for bidirectional ones, so that it could show what is not there.

/**
 * Controls (also those above ASCII), line and paragraph separators, and format characters, but for the joiners
 * that emoji and some scripts are written with; private use and halves of pairs, which have no width that is known.
 */
const UNSAFE = /(?![\u{200c}\u{200d}])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u{2028}\u{2029}]/gu;

/** Text of the service for a terminal, on one line; what can't be shown is spelt, such as `\u{1b}`. */
export function plain(text: string): string {
  return text.replace(/\s*[\r\n]\s*/g, ' ').replace(UNSAFE, spelt);
}

/** As {@link plain}, with its line breaks. */
export function plainLines(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/[^\n]+/g, (line) => plain(line));
}

/** A value as JSON, which is the same JSON in any terminal. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (character) =>
    [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

function spelt(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
