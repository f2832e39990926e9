import type { FastifyRequest } from 'fastify';
import { ONLY_JSON, preferredType } from '../negotiation.ts';
import type { CachedResponse } from './encoded-body.ts';

/** The slugs of the outlooks whose changes make a response stale; of any outlook with {@link WHOLE_LEDGER}. */
export type CacheTags = readonly string[];
export const WHOLE_LEDGER: CacheTags = ['*'];

/** A tag of responses that depend on observations, which no event reports. */
export const ANY_SERIES = 'series:*';

/**
 * How long a response with closes may be cached, in milliseconds: no event reports a close to other instances, as a series
 * may have a million of them.
 */
export const CLOSES_MAX_AGE = 1_000;

export type CacheEntry = {
  response: CachedResponse;
  tags: CacheTags;
  /** By `performance.now()`; undefined if events report everything that makes it stale. */
  expiresAt: number | undefined;
};

export const hasExpired = ({ expiresAt }: CacheEntry): boolean =>
  expiresAt !== undefined && performance.now() > expiresAt;

/**
 * The key of a read, which needs nothing but the URL and the Accept header: the URL alone for the media type that the
 * route lists first, else the media type that the client prefers and the URL. Null if the client accepts none of them. The
 * response to a URL that names a format has that format, whatever its key.
 */
export function cacheKeyOf(request: FastifyRequest, url: string): string | null {
  const { serves = ONLY_JSON } = request.routeOptions.config;
  const type = preferredType(request, serves);
  if (type === 'none') return null;
  return type === serves[0] ? url : `${type} ${url}`;
}
