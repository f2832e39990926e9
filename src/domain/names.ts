import unhomoglyph from 'unhomoglyph';

// Versions show their author's name, so no two analysts may have names that look alike.

export const ANALYST_CHANGES = ['renamed', 'deactivated', 'reactivated'] as const;
/** What happened to an analyst: a new name, the end of their access, or its return. */
export type AnalystChange = (typeof ANALYST_CHANGES)[number];

/** The most characters of a name. */
const LONGEST = 300;

// Control, format, private-use and unassigned characters, white space other than a space, all characters that Unicode ignores
// by default, and those that are drawn blank although Unicode classes them as visible.
const HIDDEN =
  /[\p{C}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{13441}\u{13442}\u{16fe4}\u{1d159}]|(?! )\p{White_Space}/u;

const [ZWNJ, ZWJ] = ['\u200c', '\u200d'];

/** A name in the form in which it is stored: NFKC, which also makes full-width letters ordinary ones. */
export function normalizedName(text: string): string {
  return text.toWellFormed().normalize('NFKC');
}

/** Whether a text is the id of an analyst, and no name (RFC 9562, section 4). */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

/** What is wrong with a normalized name, for a new analyst; null if nothing is. */
export function nameFault(name: string): string | null {
  const characters = Array.from(name);
  if (characters.length > LONGEST) return `must have at most ${LONGEST} characters`;
  const hidden = characters.find((_, index) => isHidden(characters, index));
  if (hidden !== undefined) {
    return `must not contain the character ${codeOf(hidden)}, which readers can't see`;
  }
  return name === name.trim() && name !== '' ? null : 'must not be blank or have space around it';
}

/** A text as a name without a {@link nameFault}: hidden characters are removed and the rest is cut; empty if nothing is left. */
export function cleanedName(text: string): string {
  let name = text;
  for (;;) {
    const characters = Array.from(normalizedName(name).replaceAll(/\p{White_Space}+/gu, ' ')).slice(
      0,
      LONGEST,
    );
    const cleaned = characters.filter((_, index) => !isHidden(characters, index)).join('');
    if (cleaned.trim() === name) return name;
    name = cleaned.trim(); // without a character, its neighbours may combine
  }
}

function isHidden(characters: readonly string[], index: number): boolean {
  const character = characters[index] ?? '';
  return HIDDEN.test(character) && !isSpellingJoiner(characters, index);
}

function codeOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

// Scripts whose letters join. RFC 5892 goes by the joining type of each letter, which JavaScript does not know. Allowing a
// joiner in a few more places is harmless, because comparisons ignore it.
const JOINING =
  /[\p{scx=Adlm}\p{scx=Arab}\p{scx=Mand}\p{scx=Mong}\p{scx=Nkoo}\p{scx=Phag}\p{scx=Rohg}\p{scx=Syrc}]/u;
const MARK = /\p{M}/u;

/** Whether a joiner is part of the spelling: after a virama, or between joining letters (RFC 5892, A.1 and A.2). */
function isSpellingJoiner(characters: readonly string[], index: number): boolean {
  const character = characters[index];
  if (character !== ZWNJ && character !== ZWJ) return false;
  if (isVirama(characters[index - 1])) return true;
  if (character === ZWJ) return false;
  const joins = (one: string | undefined) => one !== undefined && JOINING.test(one);
  const isLetter = (one: string) => !MARK.test(one);
  return (
    joins(characters.slice(0, index).findLast(isLetter)) &&
    joins(characters.slice(index + 1).find(isLetter))
  );
}

/**
 * Whether a character is a virama: has the canonical combining class 9. JavaScript knows that class only by the order that
 * NFD puts marks into: after U+3099 of class 8, before U+05B0 of class 10.
 */
function isVirama(character: string | undefined): boolean {
  if (character === undefined) return false;
  const [below, above] = ['\u3099', '\u05b0'];
  return (
    `${character}${below}`.normalize('NFD') === `${below}${character}` &&
    `${above}${character}`.normalize('NFD') === `${character}${above}`
  );
}

/**
 * The skeletons of a name, without the characters that can't be seen. Two names look alike if they share one.
 *
 * One skeleton is not enough, because letters may look alike in one case only: a Cyrillic Т looks like a T, but т not like a
 * t; a capital I looks like an l, but an i does not. So these are the skeletons of the name as it is written (also in lower
 * case), in lower case, and in upper case.
 */
export function skeletonsOf(name: string): string[] {
  const visible = normalizedName(name)
    .replaceAll(/\p{White_Space}/gu, ' ')
    .replaceAll(new RegExp(HIDDEN, 'gu'), '')
    .replaceAll(/ +/g, ' ')
    .trim();
  const written = skeleton(visible);
  const all = [
    written,
    skeleton(written.toLowerCase()),
    skeleton(visible.toLowerCase()),
    skeleton(visible.toUpperCase()),
  ];
  return [...new Set(all)];
}

/** A dot above a letter that is drawn with one anyhow, such as i: it looks the same without (Unicode, Soft_Dotted). */
const DRAWN_DOT = /(\p{Soft_Dotted}\p{M}*?)\u0307/gu;

/**
 * The skeleton of a text by Unicode's list of confusable characters (UTS #39, section 4). It is repeated, because the list
 * maps a few characters to others that it maps again.
 */
function skeleton(text: string): string {
  const mapped = unhomoglyph(text.normalize('NFD')).normalize('NFD').replaceAll(DRAWN_DOT, '$1');
  return mapped === text ? text : skeleton(mapped);
}
