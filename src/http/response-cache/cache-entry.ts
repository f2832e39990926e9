import type { FastifyRequest } from 'fastify';
import { type Audience, audienceName } from '../../domain/desks.ts';
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
 * The resource that a read asks for, however its URL is spelled: the path with its parameters, and the parsed query, sorted by
 * name and without parameters that the route ignores. `?a=1&b=2` and `?b=2&a=1` are one resource, as are a URL with a default
 * and without it.
 */
export function resourceOf(request: FastifyRequest): string {
  const params = request.params as Record<string, unknown>;
  const path = (request.routeOptions.url ?? '').replace(/:(\w+)|\*/g, (rest, name?: string) =>
    encodeURIComponent(String(params[name ?? rest])),
  );
  const query = Object.entries(request.query as object)
    .filter(([, value]) => value !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return query.length === 0 ? path : `${path}?${JSON.stringify(query)}`;
}

/**
 * The key of a read, which needs nothing but its audience, its resource and the Accept header: the resource alone for a read
 * without a key and the media type that the route lists first. Another media type that the client prefers comes before the
 * resource, and before both the name of an audience with a key. Null if the client accepts no media type of the route. The
 * response to a URL that names a format has that format, whatever its key.
 */
export function cacheKeyOf(request: FastifyRequest, resource: string): string | null {
  const { serves = ONLY_JSON } = request.routeOptions.config;
  const type = preferredType(request, serves);
  if (type === 'none') return null;
  return cacheKey(request.audience, type === serves[0] ? resource : `${type} ${resource}`);
}

/** The key of what an audience gets for a resource. Without a key it is the resource, which no other audience has. */
export function cacheKey(audience: Audience, resource: string): string {
  return audience.hasKey ? `(${audienceName(audience)}) ${resource}` : resource;
}
