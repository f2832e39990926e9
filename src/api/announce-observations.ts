import { ANY_SERIES } from '../http/response-cache/cache-entry.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type { Recorded } from '../ledger/observations.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';

/** What is informed of new observations. */
export type AnnounceDeps = { cache: ResponseCache; feed: ChangeFeed };

/**
 * Drops the cached responses that observations make stale, and announces the events that they caused. Call it after the
 * commit.
 */
export function announceObservations(
  { cache, feed }: AnnounceDeps,
  { slugs, recordedAt }: Pick<Recorded, 'slugs' | 'recordedAt'>,
): void {
  if (recordedAt !== null) cache.invalidate(ANY_SERIES);
  for (const slug of slugs) cache.invalidate(slug);
  if (slugs.length > 0) feed.announce();
}
