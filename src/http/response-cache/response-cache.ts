import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChangeFeed } from '../../postgres/change-feed.ts';
import type { LedgerEvent } from '../../postgres/outbox.ts';
import { isUnavailable, failAfter } from '../errors.ts';
import { FULL_AUDIENCE, PUBLIC_AUDIENCE } from '../../domain/desks.ts';
import { type Readers, readersOf } from '../conditional-requests.ts';
import { acceptedCoding } from '../negotiation.ts';
import { limitFields } from '../rate-limits.ts';
import { faultOfHeaders } from '../request-headers.ts';
import { BodiesInFlight } from './bodies-in-flight.ts';
import { CacheEntries } from './cache-entries.ts';
import {
  ANY_SERIES,
  cacheKey,
  cacheKeyOf,
  type CacheTags,
  hasExpired,
  resourceOf,
  WHOLE_LEDGER,
} from './cache-entry.ts';
import {
  bodyOf,
  type CachedResponse,
  encodeDraft,
  readyBodyOf,
  type ResponseDraft,
} from './encoded-body.ts';
import { Fills } from './fills.ts';
import { NewestVersions } from './newest-versions.ts';
import { RenderTurns } from './render-turns.ts';
import { sendBody, staleFields } from './send-body.ts';

/** Where a response is cached, what makes it stale, and who gets it. */
type Target = { key: string; tags: CacheTags; readers: Readers };

/**
 * Caches the encoded responses to reads in bounded memory, and drops them when the ledger's events report a change.
 * Written here because no published response cache knows those events. They make a hot read as cheap as a constant, and
 * never stale on the instance that wrote.
 *
 * While the change feed is disconnected, each read queries Postgres. If Postgres doesn't answer either, the last cached
 * response is sent with its age.
 */
export class ResponseCache {
  readonly #entries: CacheEntries | null;
  readonly #inFlight = new BodiesInFlight();
  readonly #turns = new RenderTurns();
  readonly #fills = new Fills();
  readonly #newestVersions = new NewestVersions();
  readonly requiresKey: boolean;
  readonly #feed: ChangeFeed;
  readonly #servesStale: boolean;
  #isFollowing = false;
  #generation = 0;
  /** Until when, by `performance.now()`, cached reads do not query Postgres, because it did not answer. */
  #postgresIsAwayUntil = 0;
  #served = 0;
  #servedStale = 0;
  #isClosing = false;

  /**
   * @param maxBytes that all entries together may take; 0 caches nothing
   * @param servesStale whether entries are served while Postgres doesn't answer
   */
  constructor(options: {
    maxBytes: number;
    servesStale: boolean;
    requireKeyForReads: boolean;
    feed: ChangeFeed;
  }) {
    this.requiresKey = options.requireKeyForReads;
    this.#feed = options.feed;
    this.#servesStale = options.servesStale;
    this.#entries = options.maxBytes === 0 ? null : new CacheEntries(options.maxBytes);
    options.feed.follow({
      onEvents: (events) => this.#onEvents(events),
      onLost: () => this.#suspend(),
      onReset: () => this.#clear(),
      onCurrent: () => this.#resume(),
    });
  }

  /** How many reads were answered from the cache before anything else looked at them. */
  get served(): number {
    return this.#served;
  }

  /** How many reads got a response that may be stale, because Postgres did not answer. */
  get servedStale(): number {
    return this.#servedStale;
  }

  /**
   * Goes up each time the cache drops everything. What was read or written under an earlier number may be from before a
   * reset, and is not cached.
   */
  get generation(): number {
    return this.#generation;
  }

  get size(): { count: number; bytes: number } {
    return { count: this.#entries?.count ?? 0, bytes: this.#entries?.size ?? 0 };
  }

  /**
   * Answers cached reads without a key before anything else looks at the request.
   * @param sendsKey whether a request sends a key or token, which is checked first
   */
  serve(app: FastifyInstance, sendsKey: (authorization: string) => boolean): void {
    app.decorateRequest('isCached', false);
    app.addHook('preClose', async () => void (this.#isClosing = true));
    if (this.requiresKey) return;
    app.addHook('onRequest', (request, reply, done) => {
      const { authorization } = request.raw.headers;
      const isKeyless = authorization === undefined || !sendsKey(authorization);
      if (!isKeyless || !this.#sendCached(request, reply)) done();
    });
  }

  /** Answers cached reads with a key, once it was checked; all cached reads where reads need a key. */
  serveKeyed(app: FastifyInstance): void {
    app.addHook('onRequest', (request, reply, done) => {
      if (!this.#hasHooks(request) || !this.#sendCached(request, reply)) done();
    });
  }

  /** Whether the hooks that set headers look at a request before the cache does. */
  #hasHooks({ audience }: FastifyRequest): boolean {
    return this.requiresKey || audience.hasKey;
  }

  #sendCached(request: FastifyRequest, reply: FastifyReply): boolean {
    const { method, url = '', headers } = request.raw;
    if (!this.#isFollowing || this.#isClosing) return false;
    if (method !== 'GET' && method !== 'HEAD') return false;
    // The hooks check these requests, and may refuse them.
    if (headers['if-match'] !== undefined || faultOfHeaders(request.raw)) return false;
    const resource = this.#entries?.resourceAt(url);
    const key = resource === undefined ? null : cacheKeyOf(request, resource);
    const entry = key === null ? undefined : this.#entries?.get(key);
    const body = entry && readyBodyOf(entry.response, acceptedCoding(request));
    if (!body || hasExpired(entry)) return false;
    if (this.#inFlight.admit(request, reply, body.bytes)) return false;
    request.isCached = true;
    this.#served += 1;
    sendBody(request, reply, body, { withHooks: this.#hasHooks(request) });
    return true;
  }

  /**
   * Answers a read from the cache, or with a draft, which it then caches.
   * @param tags the changes that make the response stale
   * @param isLarge whether the response may have megabytes; only a few such responses are rendered at once
   */
  async answer(
    request: FastifyRequest,
    reply: FastifyReply,
    { tags, isLarge = false }: { tags: CacheTags; isLarge?: boolean },
    draft: () => Promise<ResponseDraft>,
  ): Promise<void> {
    const render = isLarge ? () => this.#turns.take(draft) : draft;
    const resource = resourceOf(request);
    const key = cacheKeyOf(request, resource) ?? cacheKey(request.audience, resource);
    const readers = readersOf(request);
    const entry = this.#entries?.get(key);
    const cached = entry?.response;
    const isCurrent = entry !== undefined && this.#isFollowing && !hasExpired(entry);
    const fresh = isCurrent
      ? entry.response
      : await this.#refresh({ key, tags, readers }, render, cached);
    const response = fresh ?? (cached as CachedResponse);
    if (!fresh) this.#servedStale += 1;
    const body = await bodyOf(response, acceptedCoding(request), () => this.#resize(key, response));
    const refusal = this.#inFlight.admit(request, reply, body.bytes);
    if (refusal) throw refusal;
    if (this.#entries?.peek(key)) this.#entries.noteUrl(request.raw.url ?? '', resource);
    if (this.#isClosing) reply.raw.shouldKeepAlive = false;
    const withHooks = this.#hasHooks(request);
    sendBody(request, reply, body, { withHooks }, [
      ...(fresh ? [] : staleFields(this.#feed.heardAt)),
      ...(isCurrent || withHooks ? [] : limitFields(request)),
    ]);
  }

  /** A new response from `render`; null if Postgres doesn't answer and `cached` may be sent instead. */
  async #refresh(
    target: Target,
    render: () => Promise<ResponseDraft>,
    cached: CachedResponse | undefined,
  ): Promise<CachedResponse | null> {
    if (this.#isFollowing || !cached || !this.#servesStale) return this.#fill(target, render);
    if (performance.now() < this.#postgresIsAwayUntil) return null;
    try {
      return await Promise.race([this.#fill(target, render), failAfter(STALE_AFTER)]);
    } catch (error) {
      // It may have been dropped in the meantime, because a newer version became known.
      if (!isUnavailable(error) || this.#entries?.peek(target.key)?.response !== cached)
        throw error;
      this.#postgresIsAwayUntil = performance.now() + ASK_AGAIN_AFTER;
      return null;
    }
  }

  /**
   * Stores a version that was just published here, before its author gets the response: from then on nothing older is
   * served.
   * @param keyless what readers without a key get; null if they may not see the outlook
   * @param generation the cache's before the transaction that published it
   */
  store(
    slug: string,
    version: number,
    { keyless, keyed }: { keyless: ResponseDraft | null; keyed: ResponseDraft },
    generation: number,
  ): void {
    const isNewest = generation === this.#generation && this.#newestVersions.note(slug, version);
    // Even if it is not: the known one may be of a ledger that has gone back since.
    this.invalidate(slug);
    if (!isNewest || !this.#isFollowing) return;
    const resource = `/v1/outlooks/${slug}`;
    const [key, response] =
      keyless === null || this.requiresKey
        ? [cacheKey(FULL_AUDIENCE, resource), encodeDraft(keyed, 'keyed')]
        : [cacheKey(PUBLIC_AUDIENCE, resource), encodeDraft(keyless, 'keyless')];
    this.#entries?.add(key, { response, tags: [slug], expiresAt: undefined });
  }

  /**
   * Notes the newest version that a read found. If the events have not reported it yet, this drops the outlook's entries,
   * so that a client that saw it never sees an older one again.
   * @param generation the cache's before the read
   */
  noteVersion(slug: string, version: number, generation: number): void {
    if (generation !== this.#generation) return;
    const isKnown = this.#newestVersions.has(slug);
    if (!this.#newestVersions.note(slug, version) || (!isKnown && this.#isFollowing)) return;
    this.invalidate(slug);
  }

  /** Drops the entries that depend on an outlook or, with {@link ANY_SERIES}, on observations. */
  invalidate(tag: string): void {
    const tags = tag === ANY_SERIES ? [tag] : [tag, ...WHOLE_LEDGER];
    for (const one of tags) this.#entries?.invalidate(one);
    this.#fills.overtake((filled) => filled.some((one) => tags.includes(one)));
  }

  #onEvents(events: readonly LedgerEvent[]): void {
    for (const { slug, version, kind } of events) {
      const isVersion = kind === 'outlook.created' || kind === 'outlook.version.published';
      if (!isVersion || this.#newestVersions.note(slug, version)) this.invalidate(slug);
    }
  }

  /** Renders once for all requests that arrive in the meantime. The response is not cached if a change overtook it. */
  #fill(
    { key, tags, readers }: Target,
    render: () => Promise<ResponseDraft>,
  ): Promise<CachedResponse> {
    if (!this.#isFollowing) return render().then((draft) => encodeDraft(draft, readers));
    return this.#fills.join(key, tags, async (isOvertaken) => {
      const draft = await render();
      const encoded = encodeDraft(draft, readers);
      if (isOvertaken() || draft.skipsCache) return encoded;
      const expiresAt = draft.maxAge === undefined ? undefined : performance.now() + draft.maxAge;
      const entry = { response: encoded, tags: draft.isFinal ? [] : tags, expiresAt };
      this.#entries?.add(key, entry);
      return encoded;
    });
  }

  /** A compressed body was added to a response, which may be cached. */
  #resize(key: string, response: CachedResponse): void {
    const entry = this.#entries?.peek(key);
    if (entry?.response === response) this.#entries?.resize(key, entry);
  }

  #suspend(): void {
    this.#isFollowing = false;
    this.#fills.overtake(() => true);
  }

  #clear(): void {
    this.#generation += 1;
    this.#entries?.clear();
    this.#newestVersions.clear();
  }

  #resume(): void {
    this.#clear();
    this.#isFollowing = this.#entries !== null;
    this.#postgresIsAwayUntil = 0;
  }
}

/** How long Postgres may take before a cached response is sent, and then is not queried by cached reads, in milliseconds. */
const STALE_AFTER = 1_000;
const ASK_AGAIN_AFTER = 1_000;
