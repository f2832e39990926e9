import { TILE_WIDTH, tilePartOf } from './log-tiles.ts';
import { type Hash, type ReadHashes, rootAt, rootOf } from './merkle-tree.ts';

/**
 * The right edge of a tree: for each level of tiles, the hashes of its last tile, unless that is full. A tree can be extended
 * from them alone.
 */
export type TreeEdge = { size: number; hashes: readonly (readonly Hash[])[] };

/** A tile with the hashes that it has now: 1 to 256. */
export type GrownTile = { level: number; number: number; hashes: Buffer };

/** The last, partial tiles of a tree with `size` leaves, from level 0 up. Their hashes are the edge. */
export function edgeTilesOf(size: number): { level: number; number: number; width: number }[] {
  const tiles: { level: number; number: number; width: number }[] = [];
  for (let level = 0, rest = size; rest > 0; level += 1) {
    const number = Math.floor(rest / TILE_WIDTH);
    tiles.push({ level, number, width: rest - number * TILE_WIDTH });
    rest = number;
  }
  return tiles;
}

/**
 * Appends leaves to a tree.
 * @returns its edge then, and the tiles that are new or have more hashes
 */
export function appendLeaves(
  edge: TreeEdge,
  leafHashes: readonly Hash[],
): { edge: TreeEdge; tiles: GrownTile[] } {
  const tiles: GrownTile[] = [];
  const hashes = [...edge.hashes];
  let added = leafHashes;
  for (let level = 0, rest = edge.size; added.length > 0; level += 1) {
    const inTiles = [...(hashes[level] ?? []), ...added];
    const complete: Hash[] = [];
    let number = Math.floor(rest / TILE_WIDTH);
    rest = number;
    let at = 0;
    for (; at < inTiles.length; at += TILE_WIDTH, number += 1) {
      const tile = inTiles.slice(at, at + TILE_WIDTH);
      tiles.push({ level, number, hashes: Buffer.concat(tile) });
      if (tile.length === TILE_WIDTH) complete.push(rootOf(tile));
    }
    hashes[level] = inTiles.slice(complete.length * TILE_WIDTH);
    added = complete;
  }
  return { edge: { size: edge.size + leafHashes.length, hashes }, tiles };
}

/** The root of a tree, from its edge. */
export function rootOfEdge({ size, hashes }: TreeEdge): Promise<Hash> {
  const read: ReadHashes = async (subtrees) =>
    subtrees.map((subtree) => {
      const { level, first, count } = tilePartOf(subtree);
      return rootOf((hashes[level] ?? []).slice(first, first + count));
    });
  return rootAt(size, read);
}
