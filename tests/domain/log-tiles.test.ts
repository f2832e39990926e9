import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  bundleOf,
  parseTilePath,
  tilePartOf,
  tilePath,
  tileWidth,
} from '../../src/domain/log-tiles.ts';

test.each([
  ['tile/0/000', { level: 0, number: 0, width: 256 }],
  ['tile/0/999.p/1', { level: 0, number: 999, width: 1 }],
  ['tile/0/x001/000', { level: 0, number: 1000, width: 256 }],
  ['tile/3/x001/x234/067', { level: 3, number: 1_234_067, width: 256 }],
  ['tile/63/x001/067.p/8', { level: 63, number: 1067, width: 8 }],
  ['tile/entries/x001/067.p/255', { level: 'entries' as const, number: 1067, width: 255 }],
])('%s is the path of a tile', (path, tile) => {
  expect(parseTilePath(path)).toEqual(tile);
  expect(tilePath(tile)).toBe(path);
});

test.each([
  'tile/0/0',
  'tile/0/0000',
  'tile/0/x000/000',
  'tile/0/x000/001',
  'tile/0/001/000',
  'tile/0/x001',
  'tile/0/x001/x000',
  'tile/0/X001/000',
  'tile/00/000',
  'tile/01/000',
  'tile/64/000',
  'tile/-1/000',
  'tile/0/000.p/0',
  'tile/0/000.p/01',
  'tile/0/000.p/256',
  'tile/0/000.p/',
  'tile/0/000.p/1/',
  'tile/0/000/',
  'tile/0/000\n',
  'tile/data/000',
  'tile/Entries/000',
  'tile//000',
  '/tile/0/000',
  'tile/0/٠٠٠',
  'tile/0/x999/x999/x999/x999/x999/999', // beyond safe integers
])('%j is no path of a tile', (path) => {
  expect(parseTilePath(path)).toBeNull();
});

test('a path and its tile belong together', () => {
  const tiles = fc.record({
    level: fc.oneof(fc.constant('entries' as const), fc.integer({ min: 0, max: 63 })),
    number: fc.maxSafeNat(),
    width: fc.integer({ min: 1, max: 256 }),
  });
  fc.assert(
    fc.property(tiles, (tile) => {
      expect(parseTilePath(tilePath(tile))).toEqual(tile);
    }),
  );
});

test('a tree of 70,000 leaves has the tiles of the specification', () => {
  const widthsOf = (level: number, numbers: number[]) =>
    numbers.map((number) => tileWidth(level, number, 70_000));
  expect(widthsOf(0, [0, 272, 273, 274])).toEqual([256, 256, 112, 0]);
  expect(widthsOf(1, [0, 1, 2])).toEqual([256, 17, 0]);
  expect(widthsOf(2, [0, 1])).toEqual([1, 0]);
  expect(widthsOf(3, [0])).toEqual([0]);
  expect(tileWidth('entries', 273, 70_000)).toBe(112);
});

test.each([
  [
    { level: 0, index: 300 },
    { level: 0, number: 1, first: 44, count: 1 },
  ],
  [
    { level: 7, index: 3 },
    { level: 0, number: 1, first: 128, count: 128 },
  ],
  [
    { level: 8, index: 300 },
    { level: 1, number: 1, first: 44, count: 1 },
  ],
  [
    { level: 17, index: 1 },
    { level: 2, number: 0, first: 2, count: 2 },
  ],
])('the subtree %o is the part %o of a tile', (subtree, part) => {
  expect(tilePartOf(subtree)).toEqual(part);
});

test('a bundle has the length of each entry before it', () => {
  const bundle = bundleOf([Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(300, 'x')]);
  expect(bundle.subarray(0, 9)).toEqual(Buffer.from('\0\x03one\0\0\x01\x2c', 'latin1'));
  expect(bundle.length).toBe(2 + 3 + 2 + 2 + 300);
  expect(() => bundleOf([Buffer.alloc(65_536)])).toThrow(RangeError);
});
