import type { CacheTags } from './cache-entry.ts';
import type { CachedResponse } from './encoded-body.ts';

type Fill = { tags: CacheTags; isOvertaken: boolean; response: Promise<CachedResponse> };

/** The responses that are being rendered, each once for all requests that arrive in the meantime. */
export class Fills {
  readonly #fills = new Map<string, Fill>();

  /**
   * The response that is being rendered for a key, or else the one that `render` starts.
   * @param render learns whether a change overtook it, so that the response must not be cached
   */
  join(
    key: string,
    tags: CacheTags,
    render: (isOvertaken: () => boolean) => Promise<CachedResponse>,
  ): Promise<CachedResponse> {
    const running = this.#fills.get(key);
    if (running) return running.response;
    const response = render(() => fill.isOvertaken);
    const fill: Fill = {
      tags,
      isOvertaken: false,
      response: response.finally(() => {
        if (this.#fills.get(key) === fill) this.#fills.delete(key);
      }),
    };
    this.#fills.set(key, fill);
    return fill.response;
  }

  /** Later requests render anew what a change overtook. */
  overtake(isStale: (tags: CacheTags) => boolean): void {
    for (const [key, fill] of this.#fills) {
      if (!isStale(fill.tags)) continue;
      fill.isOvertaken = true;
      this.#fills.delete(key);
    }
  }
}
