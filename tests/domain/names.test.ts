import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanedName, nameFault, normalizedName, skeletonsOf } from '../../src/domain/names.ts';

const lookAlike = (one: string, other: string) => {
  const skeletons = new Set(skeletonsOf(other));
  return skeletonsOf(one).some((skeleton) => skeletons.has(skeleton));
};

// One of each kind, and those in which Unicode's classes surprise.
const HIDDEN = [
  0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x180b, 0x180e, 0x180f, 0x200b, 0x200c, 0x200d,
  0x200e, 0x200f, 0x202e, 0x2060, 0x2062, 0x2069, 0x206f, 0x2800, 0x3164, 0xfe00, 0xfe0f, 0xfeff,
  0xffa0, 0xfff0, 0xfff9, 0xfffc, 0x13441, 0x16fe4, 0x1bca0, 0x1d159, 0x1d173, 0xe0001, 0xe0041,
  0xe007f, 0xe0100, 0xe0fff, 0x0, 0x7f, 0xe000, 0x10ffff,
].map((code) => String.fromCodePoint(code));

describe('a character that readers can not see', () => {
  test.for(HIDDEN.map((hidden) => [hidden.codePointAt(0)?.toString(16), hidden] as const))(
    'U+%s',
    ([, hidden]) => {
      const name = normalizedName(`Ad${hidden}min`);
      expect(nameFault(name)).toMatch(/^must not contain the character U\+/);
      expect(cleanedName(`${hidden}Ad${hidden}min${hidden}`)).toBe('Admin');
      expect(lookAlike(`Ad${hidden}min`, 'Admin')).toBe(true);
    },
  );

  test.for(['\u2028', '\u0085', '\t', '\n', '\u1680', '\u00a0'])(
    '%j is white space, of which names have only spaces',
    (space) => {
      expect(nameFault(`Small${space}cap`)).not.toBeNull();
      expect(cleanedName(`Small${space}cap`)).toBe('Small cap');
      expect(lookAlike(`Small${space}cap`, 'Small cap')).toBe(true);
    },
  );
});

describe('names that look alike', () => {
  const ALIKE: [string, string][] = [
    ['admin', 'Admin'],
    ['\u0410dmin', 'Admin'], // Cyrillic А
    ['Adm\u0456n', 'Admin'], // Cyrillic і
    ['Adm\u0406n', 'Admin'], // Cyrillic І
    ['Adm1n', 'Admin'],
    ['ADMlN', 'Admin'],
    ['Adrnin', 'Admin'],
    ['\uff21dmin', 'Admin'], // full width
    ['\ud835\udc00dmin', 'Admin'], // mathematical
    ['AI desk', 'Al desk'],
    ['Zo\u00eb', 'Zoe\u0308'],
    ['STRASSE', 'Stra\u00dfe'],
    ['Small\u2010cap  desk', 'small-cap desk'],
    ["O'Neil", 'O\u2019Neil'],
    // Letters that look alike in one case only.
    ['\u0422om', 'Tom'], // Cyrillic Т
    ['\u0442om', 'Tom'], // Cyrillic т
    ['\u0412ob', 'BOB'], // Cyrillic В
    ['\u041darry', 'harry'], // Cyrillic Н
    ['\u039dina', 'Nina'], // Greek Ν
    ['I\u03bdan', 'IVAN'], // Greek ν
    // A dot above a letter that has one anyhow.
    ['Admi\u0307n', 'Admin'],
    ['Adm\u0131\u0307n', 'Admin'],
    ['J\u0307im', 'Jim'], // in lower case
    ['\u0458\u0307ane', 'jane'], // Cyrillic ј
    ['\u039di\u03bda', 'NIVA'],
    // A hidden character between spaces.
    ['Ana \u200b Wu', 'Ana Wu'],
    // Spelled with a joiner, and without.
    ['\u0646\u0627\u0645\u0647\u200c\u0627\u06cc', '\u0646\u0627\u0645\u0647\u0627\u06cc'],
  ];
  test.for(ALIKE)('%s and %s', ([one, other]) => {
    expect(lookAlike(one, other)).toBe(true);
    expect(lookAlike(other, one)).toBe(true);
  });

  const DISTINCT: [string, string][] = [
    ['Admin', 'Admins'],
    ['Ana', 'Anna'],
    ['Ali', 'All'],
    ['Ivan', 'Inan'],
    ['Zo\u00eb', 'Zoe'],
    ['Desk 1', 'Desk 2'],
    ['\u4e2d', '\u56fd'],
    ['Admin (i14)', 'Admin (i15)'],
  ];
  test.for(DISTINCT)('%s and %s do not', ([one, other]) => {
    expect(lookAlike(one, other)).toBe(false);
  });

  test('each name looks like itself, in any case and form, and its skeletons are their own', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), (name) => {
        const forms = ['NFC', 'NFD', 'NFKC', 'NFKD'].map((form) => name.normalize(form));
        for (const form of forms) expect(lookAlike(form, name)).toBe(true);
        for (const skeleton of skeletonsOf(name)) expect(skeletonsOf(skeleton)).toContain(skeleton);
      }),
      { numRuns: 2_000 },
    );
  });

  test('upper and lower case of a name look alike', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), (name) => {
        expect(lookAlike(name.toUpperCase(), name)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('spelling with joiners', () => {
  test.for([
    ['Persian', '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645'],
    ['Persian with a vowel sign', '\u0645\u06cc\u064e\u200c\u062e\u0648'],
    ['Hindi', '\u0915\u094d\u200d\u0937'],
    ['Hindi, unjoined', '\u0915\u094d\u200c\u0937'],
    ['Sinhala', '\u0d9a\u0dca\u200d\u0dbb'],
  ])('%s keeps them', ([, name]) => {
    expect(nameFault(name ?? '')).toBeNull();
    expect(cleanedName(name ?? '')).toBe(name);
  });

  test.for([
    ['between Latin letters', 'Ad\u200cmin'],
    ['at the start', '\u200c\u0645\u06cc'],
    ['at the end', '\u0645\u06cc\u200c'],
    ['of emoji', '\u{1f469}\u200d\u{1f4bb}'],
    ['twice', '\u0645\u06cc\u200c\u200c\u200d\u062e'],
  ])('%s they are refused', ([, name]) => {
    expect(nameFault(name ?? '')).toMatch(/^must not contain the character U\+200[CD]/);
  });
});

test('a cleaned name is fit for an analyst, whatever it was, and stays as it is', () => {
  const pieces = fc.oneof(
    fc.constantFrom(
      ...HIDDEN,
      ' ',
      '\u0645\u06cc',
      '\u094d',
      '\u0301',
      '\ufdfa',
      '\ud800',
      '\u200c',
    ),
    fc.string({ unit: 'binary', maxLength: 5 }),
    fc.string({ minLength: 100, maxLength: 400 }),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (texts) => {
      const name = cleanedName(texts.join(''));
      expect(cleanedName(name)).toBe(name);
      expect(name === '' ? null : nameFault(name)).toBeNull();
    }),
    { numRuns: 3_000 },
  );
});

// The ledger stores hashes of skeletons. With another list, they would have to be computed anew.
test('the list of confusable characters is the one whose skeletons are stored', () => {
  const list = createRequire(import.meta.url)('unhomoglyph/data.json') as Record<string, string>;
  const digest = createHash('sha256').update(
    JSON.stringify(
      Object.keys(list)
        .toSorted((a, b) => (a < b ? -1 : 1))
        .map((from) => [from, list[from]]),
    ),
  );
  expect(digest.digest('hex')).toBe(
    '21db7accdf4887ac06a60bb1cd30a79e01d65ac0113839e545f3d118fabb498b',
  );
});
