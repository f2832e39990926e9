import type { Subtree } from './merkle-tree.ts';

/** The hashes of a full tile, and the entries of a full bundle (c2sp.org/tlog-tiles). */
export const TILE_WIDTH = 256;
/** The levels of the tree that one level of tiles spans. */
const TILE_HEIGHT = 8;

/** A tile of hashes at a level from 0 to 63, or a bundle of entries. `width` is from 1 to 256, which is full. */
export type Tile = { level: number | 'entries'; number: number; width: number };

/** The path of a tile under a log's prefix, such as `tile/0/x001/067.p/8` (c2sp.org/tlog-tiles). */
export function tilePath({ level, number, width }: Tile): string {
  const digits = String(number);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) as string[];
  const last = groups.pop();
  const suffix = width === TILE_WIDTH ? '' : `.p/${width}`;
  return ['tile', level, ...groups.map((group) => `x${group}`), `${last}${suffix}`].join('/');
}

/** @returns the tile with this path, or null: a tile has one spelling only */
export function parseTilePath(path: string): Tile | null {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (!match) return null;
  const [, level, groups = '', width] = match;
  const tile: Tile = {
    level: level === 'entries' ? level : Number(level),
    number: Number(groups.replaceAll(/\D/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  const isValid =
    Number.isSafeInteger(tile.number) &&
    (tile.level === 'entries' || tile.level <= 63) &&
    tile.width >= 1 &&
    tilePath(tile) === path;
  return isValid ? tile : null;
}

/**
 * How many hashes a tile of the tree with `size` leaves has: 256 if it is full, 0 if there is none. A bundle has as many
 * entries as the tile of level 0.
 */
export function tileWidth(level: number | 'entries', number: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** (level === 'entries' ? 0 : level));
  return Math.max(0, Math.min(TILE_WIDTH, hashes - number * TILE_WIDTH));
}

/** Where the hash of a complete subtree comes from: `count` hashes of a tile, from its `first` on. */
export type TilePart = { level: number; number: number; first: number; count: number };

/** The part of a tile that a complete subtree spans; its root is the subtree's hash. */
export function tilePartOf({ level, index }: Subtree): TilePart {
  const count = 2 ** (level % TILE_HEIGHT);
  const at = index * count;
  const number = Math.floor(at / TILE_WIDTH);
  return {
    level: Math.floor(level / TILE_HEIGHT),
    number,
    first: at - number * TILE_WIDTH,
    count,
  };
}

/** A bundle: each entry after its length as two bytes, big-endian (c2sp.org/tlog-tiles). */
export function bundleOf(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(entries.flatMap((entry) => [lengthOf(entry), entry]));
}

/** @throws RangeError if the entry is longer than 65,535 bytes */
function lengthOf(entry: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(entry.length);
  return length;
}
