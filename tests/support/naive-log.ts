import { createHash } from 'node:crypto';
import { expect } from 'vitest';

const sha256 = (...parts: Uint8Array[]) =>
  createHash('sha256').update(Buffer.concat(parts)).digest();

/** The Merkle tree hash of entries, word by word as RFC 6962, section 2.1, defines it. */
export function naiveRoot(entries: readonly Buffer[]): Buffer {
  const [first] = entries;
  if (!first) return sha256();
  if (entries.length === 1) return sha256(Buffer.of(0), first);
  let k = 1;
  while (2 * k < entries.length) k *= 2;
  const sides = [naiveRoot(entries.slice(0, k)), naiveRoot(entries.slice(k))];
  return sha256(Buffer.of(1), ...sides);
}

/** The path of a number, as c2sp.org/tlog-tiles spells it. */
export function naivePath(number: number): string {
  const last = String(number % 1000).padStart(3, '0');
  const rest = Math.floor(number / 1000);
  return rest === 0 ? last : `${naivePath(rest).replace(/(\d{3})$/, 'x$1')}/${last}`;
}

type Read = (path: string) => Promise<Buffer>;

/** All entries of a log of this size, from its bundles. */
export async function readEntries(read: Read, size: number): Promise<Buffer[]> {
  const entries: Buffer[] = [];
  for (let number = 0; number * 256 < size; number += 1) {
    const width = Math.min(256, size - number * 256);
    const path = `tile/entries/${naivePath(number)}${width < 256 ? `.p/${width}` : ''}`;
    let bundle = await read(path);
    for (let at = 0; at < width; at += 1) {
      const length = bundle.readUInt16BE();
      entries.push(bundle.subarray(2, 2 + length));
      bundle = bundle.subarray(2 + length);
    }
    expect(bundle.length, path).toBe(0);
  }
  return entries;
}

/**
 * Reads a log as a monitor does that trusts nothing: all entries and all tiles of a tree of this size, each of which has to be
 * the Merkle tree hash of its entries. @returns the entries
 */
export async function checkTiles(read: Read, size: number, root: Buffer): Promise<Buffer[]> {
  const entries = await readEntries(read, size);
  expect(naiveRoot(entries)).toEqual(root);
  for (let level = 0, span = 1; Math.floor(size / span) > 0; level += 1, span *= 256) {
    const hashes = Math.floor(size / span);
    for (let number = 0; number * 256 < hashes; number += 1) {
      const width = Math.min(256, hashes - number * 256);
      const path = `tile/${level}/${naivePath(number)}${width < 256 ? `.p/${width}` : ''}`;
      const expected = Array.from({ length: width }, (_, at) => {
        const start = (number * 256 + at) * span;
        return naiveRoot(entries.slice(start, start + span));
      });
      expect((await read(path)).equals(Buffer.concat(expected)), path).toBe(true);
    }
  }
  return entries;
}
