import type { CacheEntry } from './cache-entry.ts';
import { sizeOf } from './encoded-body.ts';
import { SegmentedLru } from './segmented-lru.ts';

/** The share of the memory for URLs; the rest is for responses. */
const SHARE_OF_URLS = 1 / 8;

/** What a tag takes, in bytes, besides its text: a place in the entry, and a set with the entry's key. */
const TAG_SIZE = 350;

/**
 * Responses by their keys, in bounded memory. They can be dropped by their tags, and found by the URLs under which clients
 * asked for them, without parsing these. Sizes count twice, because what is dropped stays in memory until it is collected
 * as garbage.
 */
export class CacheEntries {
  readonly #entries: SegmentedLru<string, CacheEntry>;
  readonly #keysByTag = new Map<string, Set<string>>();
  /** What each URL asks for (`resourceOf`). As a URL always asks for the same, nothing drops these but their age. */
  readonly #resources: SegmentedLru<string, string>;

  /** @param maxBytes that everything in here may take */
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

  /** Counts an entry anew, whose response got another body. */
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

  /** What a URL asks for; undefined if that is not known without parsing it. */
  resourceAt(url: string): string | undefined {
    return this.#resources.get(url);
  }

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

/** A copy that does not keep the text alive which V8 cut it out of: a slug would keep its whole URL. */
export function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
