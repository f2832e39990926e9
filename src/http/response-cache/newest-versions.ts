import { LRUCache } from 'lru-cache';
import { copyOf } from './cache-entries.ts';

/** The newest known version, by slug, of outlooks that changed lately. */
export class NewestVersions {
  readonly #versions = new LRUCache<string, number>({ max: 10_000 });

  has(slug: string): boolean {
    return this.#versions.has(slug);
  }

  /**
   * Notes a version.
   * @returns whether it is newer than the newest known one. Events also report versions that were published here.
   */
  note(slug: string, version: number): boolean {
    if (version <= (this.#versions.get(slug) ?? 0)) return false;
    this.#versions.set(copyOf(slug), version);
    return true;
  }

  clear(): void {
    this.#versions.clear();
  }
}
