import type { CacheEntry } from './cache-entry.ts';
import { sizeOf } from './encoded-body.ts';
import { SegmentedLru } from './segmented-lru.ts';

/** The share of the memory for URLs; the rest is for responses. */
const SHARE_OF_URLS = 1 / 8;

/** The memory of a tag besides its text, in bytes: its reference in the entry, and a set with the entry's key. */
const TAG_SIZE = 350;

/**
 * Responses by their keys, in bounded memory. They can be dropped by their tags, and found by the URLs that clients sent
 * without parsing these again. Sizes count twice, because a dropped response stays in memory until it is collected as
 * garbage.
 */
export class CacheEntries {
  readonly #entries: SegmentedLru<string, CacheEntry>;
  readonly #keysByTag = new Map<string, Set<string>>();
  /** The resource of each URL (`resourceOf`). It never changes, so only the bound of the memory drops it. */
  readonly #resources: SegmentedLru<string, string>;

  /** @param maxBytes the memory that all of this may take */
  constructor(maxBytes: number) {
    const bytesOfUrls = SHARE_OF_URLS * maxBytes;
    this.#resources = new SegmentedLru({
      maxSize: bytesOfUrls,
      sizeOf: (resource, url) => 2 * (200 + 2 * (url.length + resource.length)),
    });
    this.#entries = new SegmentedLru({
      maxSize: maxBytes - bytesOfUrls,
      sizeOf: ({ response, tags }, key) =>
        2 * tags.reduce((size, tag) => size + TAG_SIZE + tag.length, sizeOf(response, key)),
      onRemove: ({ tags }, key) => this.#untag(tags, key),
    });
  }

  get count(): number {
    return this.#entries.count;
  }

  /** The memory in use, in bytes. */
  get size(): number {
    return this.#entries.size + this.#resources.size;
  }

  get(key: string): CacheEntry | undefined {
    return this.#entries.get(key);
  }

  peek(key: string): CacheEntry | undefined {
    return this.#entries.peek(key);
  }

  /** Stores an entry unless it is too large. */
  add(key: string, { tags, ...entry }: CacheEntry): void {
    const own = tags.map(copyOf);
    this.#entries.set(key, { ...entry, tags: own });
    if (!this.#entries.peek(key)) return;
    for (const tag of own) {
      const keys = this.#keysByTag.get(tag) ?? new Set();
      this.#keysByTag.set(tag, keys.add(key));
    }
  }

  /** Counts the size of an entry again after its response got a compressed body. */
  resize(key: string, entry: CacheEntry): void {
    this.#entries.set(key, { ...entry });
  }

  /** Drops the entries with a tag. */
  invalidate(tag: string): void {
    for (const key of this.#keysByTag.get(tag) ?? []) this.#entries.delete(key);
    this.#keysByTag.delete(tag);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** The resource of a URL; undefined if the URL has to be parsed first. */
  resourceAt(url: string): string | undefined {
    return this.#resources.get(url);
  }

  /** Remembers the resource of a URL. */
  noteUrl(url: string, resource: string): void {
    if (this.#resources.peek(url) === undefined) this.#resources.set(url, resource);
  }

  #untag(tags: readonly string[], key: string): void {
    for (const tag of tags) {
      const keys = this.#keysByTag.get(tag);
      keys?.delete(key);
      if (keys?.size === 0) this.#keysByTag.delete(tag);
    }
  }
}

/** A copy with memory of its own. In V8, a part of a text keeps the whole text alive: a slug would keep its URL. */
export function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
