/** A word or phrase of a search. */
export type SearchTerm = {
  text: string;
  /** Whether a match must not have it. */
  isExcluded: boolean;
  /** Whether it also matches words that begin with it. */
  isPrefix: boolean;
};

type Token = { text: string; isExcluded: boolean; isPhrase: boolean };

// Quotation marks of word processors make a phrase, too.
const QUOTES = /[“”„‟«»]/g;
const TOKENS = /(-?)(?:"([^"]*)"|([^\s"]+))/g;
const HAS_WORD = /[\p{L}\p{N}]/u;

// Stop words: articles, prepositions and forms of "be". Not "down", "up", "over", "no", "off" and "not", which matter in
// finance.
const COMMON = new Set(
  'a an and are as at be by for from in is it its of on or that the this to was were will with'.split(
    ' ',
  ),
);

/** The shortest word, in characters, that also finds longer words before the last one of a search. */
const SHORTEST_PREFIX = 3;

/**
 * Reads a search: words, each of which must be found; `"…"` for a phrase; `-` before a word or phrase that must not be there;
 * and `or` between alternatives. A hyphen before a digit is a minus sign. The last word may be unfinished. Common words count
 * only in phrases, or if there are no others.
 * @returns the alternatives, each with the terms to find; none if there is no letter or digit
 */
export function parseSearch(search: string): SearchTerm[][] {
  const tokens = [...search.replaceAll(QUOTES, '"').matchAll(TOKENS)]
    .map(tokenOf)
    .filter(({ text }) => HAS_WORD.test(text));
  const last = tokens.at(-1);
  return alternativesOf(tokens).map((terms) =>
    withoutCommon(terms).map((token) => {
      const { text, isExcluded, isPhrase } = token;
      const isLong = token === last || Array.from(text).length >= SHORTEST_PREFIX;
      return { text, isExcluded, isPrefix: !isExcluded && !isPhrase && isLong };
    }),
  );
}

function tokenOf([, hyphen = '', phrase, word = '']: RegExpMatchArray): Token {
  if (phrase !== undefined) return { text: phrase, isExcluded: hyphen !== '', isPhrase: true };
  return { text: word, isExcluded: hyphen !== '' && /^\p{L}/u.test(word), isPhrase: false };
}

/** The tokens between one `or` and the next; an `or` at an end, or after another one, is a word. */
function alternativesOf(tokens: readonly Token[]): Token[][] {
  const alternatives: Token[][] = [[]];
  for (const [index, token] of tokens.entries()) {
    const isBetween = index > 0 && index < tokens.length - 1;
    const isOr = token.text.toLowerCase() === 'or' && !token.isExcluded && !token.isPhrase;
    if (isOr && isBetween && alternatives.at(-1)?.length !== 0) alternatives.push([]);
    else alternatives.at(-1)?.push(token);
  }
  return alternatives.filter((terms) => terms.length > 0);
}

function withoutCommon(tokens: Token[]): Token[] {
  const isCommon = ({ text, isExcluded, isPhrase }: Token) =>
    !isExcluded && !isPhrase && COMMON.has(bare(text));
  return tokens.some((token) => !token.isExcluded && !isCommon(token))
    ? tokens.filter((token) => !isCommon(token))
    : tokens;
}

/** A word in lower case, without the punctuation around it; empty if it has punctuation inside. */
function bare(word: string): string {
  return /^\P{L}*(\p{L}+)\P{L}*$/u.exec(word)?.[1]?.toLowerCase() ?? '';
}
