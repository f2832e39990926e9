import fc from 'fast-check';
import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { paragraph, table } from '../../cli/src/layout.ts';
import { sanitize, sanitizedJson, sanitizeLines } from '../../cli/src/terminal-text.ts';

/** Characters that control a terminal or reorder text. Listed here, and not as the program finds them. */
const CONTROLLING = new RegExp(
  String.raw`[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]`,
  'u',
);

const NASTY = [
  '\u001b[2J',
  '\u001b]0;title\u0007',
  '\u009b31m',
  '\u202eevil\u202c',
  '\u2066\u2069',
  '\u200f',
  '\u061c',
  '\u200b',
  '\ufeff',
  '\r',
  '\r\n',
  '\n\n',
  '\t',
  '\b\b\b',
  '\u0000',
  '\u2028',
  '\ud800',
  '\u{e0041}',
  '<script>alert("1")</script>',
  '漢字かな',
  '👩‍👩‍👧‍👦',
  '🇩🇪',
  'e\u0301',
  'quo\'te"s',
  'a'.repeat(200),
];

const texts = fc
  .array(fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: 'binary' }), fc.lorem()), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''));

describe('text of the service', () => {
  test('never controls a terminal', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(sanitize(text)).not.toMatch(CONTROLLING);
        expect(sanitize(text)).not.toContain('\n');
        expect(sanitizeLines(text)).not.toMatch(CONTROLLING);
        expect(sanitizedJson({ [text]: text })).not.toMatch(CONTROLLING);
        expect(paragraph(text)).not.toMatch(CONTROLLING);
        expect(table([{ title: text }, { title: '', wraps: true }], [[text, text]])).not.toMatch(
          CONTROLLING,
        );
      }),
      { numRuns: 500 },
    );
  });

  test('is unchanged as JSON', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(JSON.parse(sanitizedJson({ text }))).toEqual({ text });
      }),
    );
  });

  test('is unchanged if it is safe', () => {
    for (const text of ['<script>', "it's “quoted”", '漢字', 'שלום', '👩‍👩‍👧‍👦', 'e\u0301', '−0.05']) {
      expect(sanitize(text)).toBe(text);
    }
    expect(sanitize('one\ntwo')).toBe('one two');
    expect(sanitize('a\u001b[31mb\u202ec')).toBe('a\\u{1b}[31mb\\u{202e}c');
  });
});

test('a mark without a letter gets a dotted circle', () => {
  expect(sanitize('\u0301a e\u0301')).toBe('\u25cc\u0301a e\u0301');
  expect(sanitizeLines('a\n\ua880\n')).toBe('a\n\u25cc\ua880\n');
  // One that precedes its letter would combine with the space.
  expect(sanitize('\u0d4e b')).toBe('\u0d4e\u25cc b');
});

describe('a page', () => {
  test('wraps to the terminal', () => {
    fc.assert(
      fc.property(texts, (text) => {
        for (const line of paragraph(text).split('\n')) {
          expect(stringWidth(line)).toBeLessThanOrEqual(80);
        }
      }),
      { numRuns: 300 },
    );
    expect(paragraph('x'.repeat(10_000)).split('\n')).toHaveLength(Math.ceil(10_000 / 78));
  });

  test('never breaks between a letter and its marks', () => {
    for (const letter of ['x\u0301', '👩‍👩‍👧‍👦', '🇩🇪', 'ก็']) {
      const lines = paragraph(letter.repeat(200)).split('\n');
      expect(lines.length).toBeGreaterThan(2);
      for (const line of lines) expect(line.trim().replaceAll(letter, '')).toBe('');
    }
  });

  test('aligns its columns, whatever is in them', () => {
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 4 }), (column) => {
        const page = table(
          [{ title: 'wide', wraps: true }, { title: '§' }],
          column.map((text) => [text.replaceAll('§', ''), '§']),
        );
        const places = page
          .split('\n')
          .filter((line) => line.includes('§'))
          .map((line) => stringWidth(line.slice(0, line.indexOf('§'))));
        expect(places).toHaveLength(column.length + 1);
        expect(new Set(places).size).toBe(1);
      }),
      { numRuns: 500 },
    );
  });
});
