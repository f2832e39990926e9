import { EMPTY_ROOT, type Hash, hashNode } from '../../domain/merkle-tree.ts';

/** A tree whose leaves come one after the other. It holds one hash for each power of two in its size (RFC 6962, section 2.1). */
export class GrowingTree {
  #size = 0;
  /** The roots of the largest complete subtrees, from the left. */
  readonly #subtrees: Hash[] = [];

  get size(): number {
    return this.#size;
  }

  add(leafHash: Hash): void {
    let hash = leafHash;
    for (let left = this.#size; left % 2 === 1; left = (left - 1) / 2) {
      hash = hashNode(this.#subtrees.pop() as Hash, hash);
    }
    this.#subtrees.push(hash);
    this.#size += 1;
  }

  root(): Hash {
    if (this.#size === 0) return EMPTY_ROOT;
    return this.#subtrees.reduceRight((right, left) => hashNode(left, right));
  }
}
