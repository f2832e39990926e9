import { createHash } from 'node:crypto';

/** A SHA-256 hash, 32 bytes. */
export type Hash = Buffer;

/** The bytes of a hash. */
export const HASH_BYTES = 32;

/** The root of a tree without leaves: the SHA-256 of nothing (RFC 9162, section 2.1.1). */
export const EMPTY_ROOT: Hash = createHash('sha256').digest();

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** The hash of a leaf (RFC 9162, section 2.1.1). */
export function hashLeaf(data: Uint8Array): Hash {
  return createHash('sha256').update(LEAF_PREFIX).update(data).digest();
}

/** The hash of an inner node (RFC 9162, section 2.1.1). */
export function hashNode(left: Uint8Array, right: Uint8Array): Hash {
  return createHash('sha256').update(NODE_PREFIX).update(left).update(right).digest();
}

/** The hashes that `bytes` has one after another. */
export function hashesIn(bytes: Buffer): Hash[] {
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, at) =>
    bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  );
}

/** The root over leaf hashes that are all in memory. */
export function rootOf(leafHashes: readonly Hash[]): Hash {
  let level = leafHashes;
  while (level.length > 1) level = parentsOf(level);
  return level[0] ?? EMPTY_ROOT;
}

/**
 * The inclusion proofs of leaves, each from its sibling up to the root's child (RFC 9162, section 2.1.3.1). The tree is hashed
 * once for all of them.
 *
 * @throws RangeError if there is no such leaf
 */
export function inclusionProofsOf(
  leafHashes: readonly Hash[],
  indexes: readonly number[],
): Hash[][] {
  for (const index of indexes) requireLeaf(index, leafHashes.length);
  const paths = indexes.map((index) => ({ at: index, proof: [] as Hash[] }));
  for (let level = leafHashes; level.length > 1; level = parentsOf(level)) {
    for (const path of paths) {
      const sibling = level[isOdd(path.at) ? path.at - 1 : path.at + 1];
      if (sibling) path.proof.push(sibling);
      path.at = half(path.at);
    }
  }
  return paths.map(({ proof }) => proof);
}

/** The nodes above a level. Its last node moves up unchanged if it has no sibling. */
function parentsOf(level: readonly Hash[]): Hash[] {
  const parents: Hash[] = [];
  for (let at = 0; at < level.length; at += 2) {
    const [left, right] = [level[at] as Hash, level[at + 1]];
    parents.push(right ? hashNode(left, right) : left);
  }
  return parents;
}

/** A complete subtree of a large tree: the `index`-th of those over 2^`level` leaves. */
export type Subtree = { level: number; index: number };

/** Reads the hashes of complete subtrees, in their order. */
export type ReadHashes = (subtrees: readonly Subtree[]) => Promise<readonly Uint8Array[]>;

/** The leaves from `start` up to, but not including, `end`. */
type Range = { start: number; end: number };

/** The root of the tree over its first `size` leaves. */
export async function rootAt(size: number, read: ReadHashes): Promise<Hash> {
  if (size === 0) return EMPTY_ROOT;
  const [root] = await hashesOf([{ start: 0, end: size }], read);
  return root as Hash;
}

/**
 * The inclusion proof of the leaf at `index` in the tree over the first `size` leaves (RFC 9162, section 2.1.3.1).
 *
 * @throws RangeError if there is no such leaf
 */
export async function inclusionProof(
  index: number,
  size: number,
  read: ReadHashes,
): Promise<Hash[]> {
  requireLeaf(index, size);
  const ranges: Range[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    if (index < middle) {
      ranges.unshift({ start: middle, end });
      end = middle;
    } else {
      ranges.unshift({ start, end: middle });
      start = middle;
    }
  }
  return hashesOf(ranges, read);
}

/**
 * The proof that the tree over the first `size` leaves begins with that over the first `oldSize` (RFC 9162, section
 * 2.1.4.1). It is empty if `oldSize` is 0 or `size`.
 *
 * @throws RangeError if `oldSize` is larger than `size`
 */
export async function consistencyProof(
  oldSize: number,
  size: number,
  read: ReadHashes,
): Promise<Hash[]> {
  if (oldSize > size) throw new RangeError(`a tree of ${size} leaves has none of ${oldSize}`);
  if (oldSize === 0 || oldSize === size) return [];
  const ranges: Range[] = [];
  let [start, end] = [0, size];
  while (end !== oldSize) {
    const middle = start + splitOf(end - start);
    if (oldSize <= middle) {
      ranges.unshift({ start: middle, end });
      end = middle;
    } else {
      ranges.unshift({ start, end: middle });
      start = middle;
    }
  }
  // The verifier knows the root of the old tree, so a proof leaves out the subtree that is all of it.
  if (start > 0) ranges.unshift({ start, end });
  return hashesOf(ranges, read);
}

/** The hashes of ranges as a tree has them: complete subtrees, joined from the right. One read for all of them. */
async function hashesOf(ranges: readonly Range[], read: ReadHashes): Promise<Hash[]> {
  const parts = ranges.map(subtreesOf);
  const hashes = (await read(parts.flat())).values();
  return parts.map((subtrees) => {
    const own: Hash[] = subtrees.map(() => Buffer.from(hashes.next().value as Uint8Array));
    return own.reduceRight((right, left) => hashNode(left, right));
  });
}

/** The largest complete subtrees that a range of a tree consists of, from the left. */
function subtreesOf({ start, end }: Range): Subtree[] {
  const subtrees: Subtree[] = [];
  for (let at = start; at < end;) {
    const level = log2(end - at);
    subtrees.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return subtrees;
}

/** The largest power of two that is smaller than `size`, which is at least 2. */
function splitOf(size: number): number {
  return 2 ** log2(size - 1);
}

/** The logarithm, rounded down. `Math.log2` rounds up just below large powers of two. */
function log2(number: number): number {
  let level = 0;
  while (2 ** (level + 1) <= number) level += 1;
  return level;
}

function requireLeaf(index: number, size: number): void {
  if (index < 0 || index >= size) {
    throw new RangeError(`a tree of ${size} leaves has no leaf ${index}`);
  }
}

export type Inclusion = {
  index: number;
  size: number;
  leafHash: Uint8Array;
  proof: readonly Uint8Array[];
  root: Uint8Array;
};

/** Whether the tree with this root and size has the leaf at this index (RFC 9162, section 2.1.3.2). */
export function verifyInclusion({ index, size, leafHash, proof, root }: Inclusion): boolean {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(index)) return false;
  if (index < 0 || index >= size) return false;
  const path = new Path(index, size - 1);
  let hash = leafHash;
  for (const sibling of proof) {
    if (path.last === 0) return false;
    hash = path.climb() ? hashNode(sibling, hash) : hashNode(hash, sibling);
  }
  return path.last === 0 && Buffer.compare(hash, root) === 0;
}

export type Consistency = {
  oldSize: number;
  oldRoot: Uint8Array;
  size: number;
  root: Uint8Array;
  proof: readonly Uint8Array[];
};

/** Whether the larger tree begins with the smaller one (RFC 9162, section 2.1.4.2). Anything extends an empty tree. */
export function verifyConsistency({ oldSize, oldRoot, size, root, proof }: Consistency): boolean {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(oldSize)) return false;
  if (oldSize < 0 || oldSize > size) return false;
  if (oldSize === size) return proof.length === 0 && Buffer.compare(oldRoot, root) === 0;
  if (oldSize === 0) return proof.length === 0 && Buffer.compare(oldRoot, EMPTY_ROOT) === 0;
  const path = new Path(oldSize - 1, size - 1);
  path.skipComplete();
  const [first, ...others] = path.index === 0 ? [oldRoot, ...proof] : proof;
  if (!first || proof.length === 0) return false;
  let [old, hash] = [first, first];
  for (const sibling of others) {
    if (path.last === 0) return false;
    if (path.climb()) {
      old = hashNode(sibling, old);
      hash = hashNode(sibling, hash);
    } else {
      hash = hashNode(hash, sibling);
    }
  }
  return path.last === 0 && Buffer.compare(old, oldRoot) === 0 && Buffer.compare(hash, root) === 0;
}

/** A node on its way to the root, and the last node of its level: `fn` and `sn` of RFC 9162. */
class Path {
  index: number;
  last: number;

  constructor(index: number, last: number) {
    this.index = index;
    this.last = last;
  }

  /** Moves to the parent. @returns whether its sibling was on the left */
  climb(): boolean {
    const isRight = isOdd(this.index) || this.index === this.last;
    if (isRight) while (!isOdd(this.index) && this.index !== 0) this.#up();
    this.#up();
    return isRight;
  }

  /** Moves up as long as the node is a right one, so that it is the root of a complete subtree. */
  skipComplete(): void {
    while (isOdd(this.index)) this.#up();
  }

  #up(): void {
    this.index = half(this.index);
    this.last = half(this.last);
  }
}

// Sizes exceed 32 bits, so no bitwise operators.
const half = (number: number) => Math.floor(number / 2);
const isOdd = (number: number) => number % 2 === 1;
