import { LRUCache } from 'lru-cache';

/** The share of the size for entries that were not read again since they were stored. */
const ON_PROBATION = 0.2;

/**
 * A bounded cache in which entries that are read once can't push out those that are read often: a segmented LRU (Karedla,
 * Love and Wherry, "Caching strategies to improve disk system performance", 1994). An entry starts on probation, and its next
 * read moves it to the protected segment. Each segment is an `lru-cache` (docs/decisions/0007-response-cache.md says why).
 */
export class SegmentedLru<Key extends string | number, Value extends object | string> {
  readonly #probation: LRUCache<Key, Value>;
  readonly #protected: LRUCache<Key, Value>;

  /**
   * @param maxSize the sum of the sizes of all entries; an entry larger than a fifth of it is not stored
   * @param onRemove called for each entry that leaves the cache, but not for one that is replaced
   */
  constructor({
    maxSize,
    sizeOf,
    onRemove = () => {},
  }: {
    maxSize: number;
    sizeOf: (value: Value, key: Key) => number;
    onRemove?: (value: Value, key: Key) => void;
  }) {
    const probation = Math.max(1, Math.floor(ON_PROBATION * maxSize));
    const segment = (size: number) =>
      new LRUCache<Key, Value>({
        maxSize: size,
        maxEntrySize: probation,
        sizeCalculation: sizeOf,
        noDisposeOnSet: true,
        // An entry that moves is in both segments for a moment.
        dispose: (value, key) => {
          if (!this.#isInBoth(key)) onRemove(value, key);
        },
      });
    this.#probation = segment(probation);
    this.#protected = segment(Math.max(1, Math.floor(maxSize) - probation));
  }

  get count(): number {
    return this.#probation.size + this.#protected.size;
  }

  /** The sum of the sizes of all entries. */
  get size(): number {
    return this.#probation.calculatedSize + this.#protected.calculatedSize;
  }

  /** Reads an entry, which protects it from those that are read once. */
  get(key: Key): Value | undefined {
    const value = this.#protected.get(key);
    if (value !== undefined) return value;
    const onProbation = this.#probation.peek(key);
    if (onProbation === undefined) return undefined;
    this.#protected.set(key, onProbation);
    this.#probation.delete(key);
    return onProbation;
  }

  /** Reads an entry without protecting it. */
  peek(key: Key): Value | undefined {
    return this.#protected.peek(key) ?? this.#probation.peek(key);
  }

  /** Stores an entry on probation, or replaces one where it is. */
  set(key: Key, value: Value): void {
    const segment = this.#protected.has(key) ? this.#protected : this.#probation;
    segment.set(key, value);
  }

  delete(key: Key): void {
    this.#probation.delete(key);
    this.#protected.delete(key);
  }

  clear(): void {
    this.#probation.clear();
    this.#protected.clear();
  }

  #isInBoth(key: Key): boolean {
    return this.#probation.has(key) && this.#protected.has(key);
  }
}
