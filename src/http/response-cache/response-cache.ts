import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { ChangeFeed } from '../../postgres/change-feed.ts';
import type { LedgerEvent } from '../../postgres/outbox.ts';
import { isUnavailable, notBefore } from '../errors.ts';
import { type About, ANY_SERIES, isOver, type Kept, keyOf, WHOLE_LEDGER } from './cache-entry.ts';
import { limitFields } from '../rate-limits.ts';
import { acceptedCoding } from '../negotiation.ts';
import {
  formOf,
  readyForm,
  type RenderedReply,
  type Rendering,
  renderReply,
  sizeOf,
} from './encoded-body.ts';
import { sendForm } from './send-cached.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether it is answered with what was kept. */
    isKept: boolean;
  }
}

type Fill = { about: About; isOvertaken: boolean; reply: Promise<RenderedReply> };

/**
 * Replies to reads as the very bytes that are sent, kept in bounded memory and dropped when the ledger's
 * events say that what they tell of changed. Written here because that is what no cache of responses
 * knows of: it makes a hot read as cheap as a constant, and never stale on the instance that wrote.
 *
 * While the change feed is away each read asks Postgres. Where that can't answer, what was kept until then is
 * served, marked with how old it may be.
 */
export class RenderedReplies {
  readonly #kept: LRUCache<string, Kept> | null;
  readonly #keysAbout = new Map<string, Set<string>>();
  readonly #fills = new Map<string, Fill>();
  /** The newest version heard of, by slug, of outlooks that changed lately. */
  readonly #newest = new LRUCache<string, number>({ max: 10_000 });
  readonly #isKeyed: boolean;
  readonly #feed: ChangeFeed;
  readonly #servesStale: boolean;
  #isOpen = false;
  /** Until when, by `performance.now()`, Postgres is not asked for what is kept, as it did not answer. */
  #isAwayUntil = 0;
  #served = 0;
  #servedStale = 0;
  #isClosing = false;

  /**
   * @param maxBytes that all together may take; 0 keeps nothing
   * @param servesStale whether what is kept is served while Postgres can't be asked
   */
  constructor(options: {
    maxBytes: number;
    servesStale: boolean;
    requireKeyForReads: boolean;
    feed: ChangeFeed;
  }) {
    this.#isKeyed = options.requireKeyForReads;
    this.#feed = options.feed;
    this.#servesStale = options.servesStale;
    this.#kept =
      options.maxBytes === 0
        ? null
        : new LRUCache({
            maxSize: options.maxBytes,
            sizeCalculation: ({ reply }, key) => sizeOf(reply, key),
            dispose: ({ about }, key) => this.#forget(about, key),
            noDisposeOnSet: true,
          });
    options.feed.follow({
      onEvents: (events) => this.#hear(events),
      onLost: () => this.#shut(),
      onCurrent: () => this.#open(),
    });
  }

  /** How many reads were answered with what was kept, before anything else looked at them. */
  get served(): number {
    return this.#served;
  }

  /** How many reads were answered with what may be old, as Postgres could not be asked. */
  get servedStale(): number {
    return this.#servedStale;
  }

  /** What is kept. */
  get size(): { count: number; bytes: number } {
    return { count: this.#kept?.size ?? 0, bytes: this.#kept?.calculatedSize ?? 0 };
  }

  /** Answers what is kept before anything else looks at the request. */
  serve(app: FastifyInstance): void {
    app.decorateRequest('isKept', false);
    app.addHook('onRequest', (request, reply, done) => {
      if (!this.#sendKept(request, reply)) done();
    });
    app.addHook('preClose', async () => void (this.#isClosing = true));
  }

  #sendKept(request: FastifyRequest, reply: FastifyReply): boolean {
    const { method, url = '' } = request.raw;
    if (!this.#isOpen || this.#isClosing || (method !== 'GET' && method !== 'HEAD')) return false;
    const key = keyOf(request, url);
    const kept = key === null ? undefined : this.#kept?.get(key);
    const form = kept && readyForm(kept.reply, acceptedCoding(request));
    if (!form || isOver(kept)) return false;
    request.isKept = true;
    this.#served += 1;
    sendForm(request, reply, form, this.#isKeyed);
    return true;
  }

  /**
   * Answers a read: with what is kept, or with what `render` makes, which then is.
   * @param about what the reply tells of
   */
  async answer(
    request: FastifyRequest,
    reply: FastifyReply,
    { about }: { about: About },
    render: () => Promise<Rendering>,
  ): Promise<void> {
    const url = request.raw.url ?? '';
    const key = keyOf(request, url) ?? url;
    const held = this.#kept?.get(key);
    const kept = held?.reply;
    const isCurrent = held !== undefined && this.#isOpen && !isOver(held);
    const made = isCurrent ? held.reply : await this.#made(key, about, render, kept);
    const rendered = made ?? (kept as RenderedReply);
    const form = await formOf(rendered, acceptedCoding(request), () => this.#resize(key, rendered));
    if (this.#isClosing) reply.raw.shouldKeepAlive = false;
    sendForm(request, reply, form, this.#isKeyed, [
      ...(made ? [] : this.#staleFields()),
      ...(isCurrent || this.#isKeyed ? [] : limitFields(request)),
    ]);
  }

  /** What `render` makes; null where it can't be had now, and what was kept of it may be served instead. */
  async #made(
    key: string,
    about: About,
    render: () => Promise<Rendering>,
    kept: RenderedReply | undefined,
  ): Promise<RenderedReply | null> {
    if (this.#isOpen || !kept || !this.#servesStale) return this.#fill(key, about, render);
    if (performance.now() < this.#isAwayUntil) return null;
    try {
      return await Promise.race([this.#fill(key, about, render), notBefore(STALE_AFTER)]);
    } catch (error) {
      // It may have been dropped meanwhile, for something newer that was seen.
      if (!isUnavailable(error) || this.#kept?.peek(key)?.reply !== kept) throw error;
      this.#isAwayUntil = performance.now() + ASK_AGAIN_AFTER;
      return null;
    }
  }

  /** Says how long ago, in seconds, what is kept was known to stand (RFC 9111, 5.1; RFC 9211). */
  #staleFields(): string[] {
    this.#servedStale += 1;
    const age = Math.ceil((performance.now() - this.#feed.heardAt) / 1000);
    return ['age', String(age), 'cache-status', `outlook-ledger; hit; ttl=-${age}; detail=STALE`];
  }

  /**
   * Tells of a version that was published here, before its author is answered: from then on nothing
   * older is served. Its current view is kept as it was rendered for the author.
   */
  published(slug: string, version: number, current: Rendering): void {
    if (!this.#isNews(slug, version)) return;
    this.#drop(slug);
    if (!this.#isOpen) return;
    const reply = renderReply(current, this.#isKeyed);
    this.#keep(`/v1/outlooks/${slug}`, [slug], reply);
  }

  /**
   * Tells of the version that a read found to be the newest. Where that is ahead of what was heard, what
   * is kept of the outlook goes: who saw it sees nothing older from then on.
   */
  found(slug: string, version: number): void {
    const heard = this.#newest.get(slug);
    if (!this.#isNews(slug, version) || (heard === undefined && this.#isOpen)) return;
    this.#drop(slug);
  }

  /**
   * Tells of a change here that is no version, to an outlook or ANY_SERIES: nothing of before is served then.
   */
  changed(subject: string): void {
    this.#drop(subject);
  }

  #hear(events: readonly LedgerEvent[]): void {
    for (const { slug, version, kind } of events) {
      const isVersion = kind === 'outlook.created' || kind === 'outlook.version.published';
      if (!isVersion || this.#isNews(slug, version)) this.#drop(slug);
    }
  }

  /** Whether nothing as new was heard of the outlook; what was published here is heard of again. */
  #isNews(slug: string, version: number): boolean {
    if (version <= (this.#newest.get(slug) ?? 0)) return false;
    this.#newest.set(slug, version);
    return true;
  }

  /** One fill serves all who ask meanwhile; one that a change overtook is not kept. */
  #fill(key: string, about: About, render: () => Promise<Rendering>): Promise<RenderedReply> {
    if (!this.#isOpen) return render().then((rendering) => renderReply(rendering, this.#isKeyed));
    const running = this.#fills.get(key);
    if (running) return running.reply;
    const reply = render().then((rendering) => {
      const made = renderReply(rendering, this.#isKeyed);
      if (!fill.isOvertaken) {
        this.#keep(key, rendering.isFinal ? [] : about, made, rendering.keepFor);
      }
      return made;
    });
    const fill: Fill = {
      about,
      isOvertaken: false,
      reply: reply.finally(() => {
        if (this.#fills.get(key) === fill) this.#fills.delete(key);
      }),
    };
    this.#fills.set(key, fill);
    return fill.reply;
  }

  #keep(key: string, about: About, reply: RenderedReply, keepFor?: number): void {
    const until = keepFor === undefined ? undefined : performance.now() + keepFor;
    this.#kept?.set(key, { reply, about, until });
    if (!this.#kept?.has(key)) return; // larger than all that may be kept
    for (const subject of about) {
      const keys = this.#keysAbout.get(subject) ?? new Set();
      this.#keysAbout.set(subject, keys.add(key));
    }
  }

  /** A form was added to a reply, which may be kept. */
  #resize(key: string, reply: RenderedReply): void {
    const kept = this.#kept?.peek(key);
    if (kept?.reply === reply) this.#kept?.set(key, { ...kept });
  }

  #forget(about: About, key: string): void {
    for (const subject of about) {
      const keys = this.#keysAbout.get(subject);
      keys?.delete(key);
      if (keys?.size === 0) this.#keysAbout.delete(subject);
    }
  }

  #drop(subject: string): void {
    const subjects = subject === ANY_SERIES ? [subject] : [subject, ...WHOLE_LEDGER];
    for (const subject of subjects) {
      for (const key of this.#keysAbout.get(subject) ?? []) this.#kept?.delete(key);
      this.#keysAbout.delete(subject);
    }
    for (const [key, fill] of this.#fills) {
      if (fill.about.some((subject) => subjects.includes(subject))) this.#overtake(key, fill);
    }
  }

  #shut(): void {
    this.#isOpen = false;
    for (const [key, fill] of this.#fills) this.#overtake(key, fill);
  }

  #open(): void {
    this.#kept?.clear();
    this.#newest.clear();
    this.#isOpen = this.#kept !== null;
    this.#isAwayUntil = 0;
  }

  #overtake(key: string, fill: Fill): void {
    fill.isOvertaken = true;
    this.#fills.delete(key);
  }
}

/** For how long Postgres is waited for where what is kept could be served instead, in milliseconds. */
const STALE_AFTER = 1_000;
/** For how long it is then not asked again for what is kept, in milliseconds. */
const ASK_AGAIN_AFTER = 1_000;
