import { areEqual, type Bytes, concat, HASH_BYTES, sha256 } from './encoding.ts';

/** The proof that a tree of 2^63 leaves has one of them; no log is larger. */
export const MAX_PROOF_HASHES = 63;

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** The hash of a leaf (RFC 9162, section 2.1.1). */
export function hashLeaf(data: Uint8Array): Promise<Bytes> {
  return sha256(concat(LEAF_PREFIX, data));
}

function hashNode(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(concat(NODE_PREFIX, left, right));
}

/** `index` counts from 0. Hashes have 32 bytes. */
export type Inclusion = {
  index: number;
  size: number;
  leafHash: Uint8Array;
  proof: readonly Uint8Array[];
  root: Uint8Array;
};

/** Whether the tree with this root and size has the leaf at this index (RFC 9162, section 2.1.3.2). */
export async function verifyInclusion(inclusion: Inclusion): Promise<boolean> {
  const { index, size, leafHash, proof, root } = inclusion;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(index)) return false;
  if (index < 0 || index >= size || !areHashes([leafHash, root, ...proof])) return false;
  const path = new Path(index, size - 1);
  let hash = leafHash;
  for (const sibling of proof) {
    if (path.last === 0) return false;
    hash = await (path.climb() ? hashNode(sibling, hash) : hashNode(hash, sibling));
  }
  return path.last === 0 && areEqual(hash, root);
}

/** Sizes are numbers of leaves. Hashes have 32 bytes. */
export type Consistency = {
  oldSize: number;
  oldRoot: Uint8Array;
  size: number;
  root: Uint8Array;
  proof: readonly Uint8Array[];
};

/**
 * Whether the larger tree begins with the smaller one (RFC 9162, section 2.1.4.2). Any tree begins with an empty one; its
 * root is the SHA-256 of nothing.
 */
export async function verifyConsistency(consistency: Consistency): Promise<boolean> {
  const { oldSize, oldRoot, size, root, proof } = consistency;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(oldSize)) return false;
  if (oldSize < 0 || oldSize > size || !areHashes([oldRoot, root, ...proof])) return false;
  if (oldSize === size) return proof.length === 0 && areEqual(oldRoot, root);
  if (oldSize === 0) return proof.length === 0 && areEqual(oldRoot, await sha256(concat()));
  const path = new Path(oldSize - 1, size - 1);
  path.skipComplete();
  const [first, ...others] = path.index === 0 ? [oldRoot, ...proof] : proof;
  if (!first || proof.length === 0) return false;
  let [old, hash] = [first, first];
  for (const sibling of others) {
    if (path.last === 0) return false;
    if (path.climb()) {
      old = await hashNode(sibling, old);
      hash = await hashNode(sibling, hash);
    } else {
      hash = await hashNode(hash, sibling);
    }
  }
  return path.last === 0 && areEqual(old, oldRoot) && areEqual(hash, root);
}

function areHashes(hashes: readonly Uint8Array[]): boolean {
  return (
    hashes.length <= MAX_PROOF_HASHES + 2 && hashes.every(({ length }) => length === HASH_BYTES)
  );
}

/** A node on its way to the root, and the last node of its level: `fn` and `sn` of RFC 9162. */
class Path {
  index: number;
  last: number;

  constructor(index: number, last: number) {
    this.index = index;
    this.last = last;
  }

  /** Moves to the parent. @returns whether the sibling is on the left */
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
