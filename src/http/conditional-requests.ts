import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from './problems.ts';

/** How clients may cache a response. One to a key is always revalidated, and shared caches may not store it. */
export type Freshness = 'revalidate' | 'immutable';

/**
 * Who gets a response: `everyone` the same one, or `keyless` and `keyed` callers each their own.
 */
export type Readers = 'everyone' | 'keyless' | 'keyed';

export function readersOf({ audience, routeOptions: { config } }: FastifyRequest): Readers {
  if (audience.hasKey) return 'keyed';
  return config.access === 'read' ? 'keyless' : 'everyone';
}

export function cacheControlOf(freshness: Freshness, readers: Readers): string {
  if (readers === 'keyed') return 'private, no-cache';
  return freshness === 'immutable' ? 'public, max-age=31536000, immutable' : 'public, no-cache';
}

/** The request headers on which a response depends by its readers; a page's `Origin`, which CORS adds, is not among them. */
export const VARY_OF_READERS: Record<Readers, readonly string[]> = {
  everyone: [],
  keyless: ['Authorization', 'Cookie'],
  keyed: ['Authorization', 'Cookie'],
};

export function setFreshness(reply: FastifyReply, freshness: Freshness): void {
  const readers = readersOf(reply.request);
  reply.header('cache-control', cacheControlOf(freshness, readers));
  const byCors = reply.getHeader('vary') ?? [];
  const vary = [byCors, ...VARY_OF_READERS[readers]].flat();
  if (vary.length > 0) reply.header('vary', vary.join(', '));
}

/** For responses that no cache may store: they are secret or out of date at once. */
export function forbidStoring(reply: FastifyReply): void {
  reply.header('cache-control', 'no-store');
}

/** The digest of a body, from which its ETag is made: the same on every instance. */
export function digestOf(body: string | Buffer): string {
  return createHash('sha256').update(body).digest('base64url').slice(0, 27);
}

/** Whether If-None-Match names `etag`: weak comparison, lists and `*` (RFC 9110, 13.1.2). */
export function noneMatchHolds(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header === etag || header.trim() === '*') return true;
  return entityTags(header).some((tag) => strong(tag) === strong(etag));
}

const strong = (etag: string): string => etag.replace(/^W\//, '');

/** Whether If-Match names `etag`: strong comparison, lists and `*` (RFC 9110, 13.1.1). A weak ETag matches nothing. */
function matchHolds(header: string, etag: string | null): boolean {
  if (header.trim() === '*') return true;
  return etag !== null && !isWeak(etag) && entityTags(header).includes(etag);
}

const isWeak = (etag: string): boolean => etag.startsWith('W/');

/**
 * Refuses a read if its If-Match does not name the ETag of the response. Call it before If-None-Match is evaluated
 * (RFC 9110, 13.2.2).
 * @throws Problem `precondition-failed` or `weak-etag`
 */
export function requireExpectedETag(request: FastifyRequest, etag: string | null): void {
  const ifMatch = ifMatchOf(request);
  if (ifMatch === undefined || matchHolds(ifMatch, etag)) return;
  throw preconditionFailed(ifMatch, etag);
}

function entityTags(header: string): string[] {
  return header.match(/(?:W\/)?"[^"]*"/g) ?? [];
}

/** The If-Match header, by which an author writes only to the state that they have read. */
export function ifMatchOf({ headers }: FastifyRequest): string | undefined {
  return headers['if-match'];
}

/**
 * Refuses a write to a state that its author has not read. The ETag of a compressed body counts, too, as its reader has
 * read the same.
 * @param ifMatch the header
 * @param currentDigests the digest for each kind of readers, those with a key first
 * @throws Problem `precondition-failed` if the header does not name the current ETag, `weak-etag` if it does with W/
 */
export function requireMatch(ifMatch: string, currentDigests: readonly string[]): void {
  const etags = currentDigests.map((digest) => `"${digest}"`);
  const sent = ifMatch.replaceAll(/("[\w-]{27})-(?:br|gzip)"/g, '$1"');
  if (etags.some((etag) => matchHolds(sent, etag))) return;
  const weakened = etags.find((etag) => entityTags(sent).some((tag) => strong(tag) === etag));
  throw preconditionFailed(sent, weakened ?? etags[0] ?? null);
}

/** Tells a state that has changed from an ETag that a proxy has weakened, so that it no longer says whether it has. */
function preconditionFailed(ifMatch: string, etag: string | null): Problem {
  if (etag === null || isWeak(etag)) {
    const detail = 'This response has no strong ETag, so If-Match never holds here; leave it out.';
    return new Problem('precondition-failed', detail);
  }
  const headers = { etag };
  const isWeakened = entityTags(ifMatch).some((tag) => isWeak(tag) && strong(tag) === etag);
  if (!isWeakened) {
    return new Problem('precondition-failed', `The current ETag is ${etag}.`, { headers });
  }
  const detail = `Nothing has changed since you read it, but a proxy between you and the service has weakened the ETag, as some do when they compress responses. Send it without W/: ${etag}.`;
  return new Problem('weak-etag', detail, { headers });
}
