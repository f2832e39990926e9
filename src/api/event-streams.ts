import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type pg from 'pg';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import { type Audience, audienceName } from '../domain/desks.ts';
import { type EventRef, showsEvent, showsKind, START } from '../domain/events.ts';
import {
  hasEvent,
  type LedgerEvent,
  newestEvent,
  readEvents,
  readNewestShown,
} from '../postgres/outbox.ts';
import {
  firstEvents,
  HEARTBEAT,
  renderEvent,
  RETRY_AFTER,
  type StreamStart,
} from './event-text.ts';

/** How often a comment keeps a silent stream open, or finds that its client is gone, in milliseconds. */
const HEARTBEAT_EVERY = 15_000;
/** How many of the newest events stay in memory, so that streams need no read. */
const RECENT = 2_000;
/** For how many audiences the newest event that they may see stays in memory. */
const MOST_AUDIENCES = 1_000;
/** The most events to read or write at once, and so the most that wait for a slow client. */
const BATCH = 200;

/** Reads the events after one for a stream that is not of outlooks: their text, and the last of them; null if there are none. */
export type EventReader = (last: EventRef) => Promise<{ text: string; last: EventRef } | null>;

type Stream = {
  response: ServerResponse;
  slug: string | null;
  audience: Audience;
  /** Null for the events of outlooks. */
  source: EventReader | null;
  /** All events up to this one were written, or do not belong to this stream. */
  last: EventRef;
  /** Whether the client may still read; checked before each batch, and at each heartbeat. */
  isAllowed: () => Promise<boolean>;
  /** Ends the wait for something to write. */
  wake: () => void;
  closed: AbortController;
};

type Recent = EventRef & Pick<LedgerEvent, 'kind' | 'slug' | 'internalTo'> & { text: string };

/**
 * Server-Sent Events from the stored events, each exactly once and in order. A stream pulls the events that it has not
 * written yet from memory, or else from Postgres, as fast as its client reads, so nothing queues for a slow client.
 * Written here because the published plugin (`@fastify/sse` 0.6) waits for ever for a client that vanished, and so
 * delays a shutdown.
 */
export class EventStreams {
  readonly #pool: pg.Pool;
  readonly #feed: ChangeFeed;
  readonly #maxPerAddress: number;
  readonly #drainWithin: number;
  readonly #streams = new Set<Stream>();
  readonly #perAddress = new Map<string, number>();
  #recent: Recent[] = [];
  /** By the name of an audience, the newest event up to a position that it may see. A reset or an amendment empties it. */
  #newestShown = new Map<string, { shown: EventRef; upTo: number }>();
  #heartbeat: NodeJS.Timeout | null = null;
  #isClosed = false;

  /** @param drainWithin how long a client may leave a batch unread, in milliseconds */
  constructor(options: {
    pool: pg.Pool;
    feed: ChangeFeed;
    maxPerAddress: number;
    drainWithin?: number;
  }) {
    this.#pool = options.pool;
    this.#feed = options.feed;
    this.#maxPerAddress = options.maxPerAddress;
    this.#drainWithin = options.drainWithin ?? 30_000;
    options.feed.follow({
      onEvents: (events) => this.#hear(events),
      onCurrent: () => this.wake(),
      onReset: () => this.#reset(),
      onAmended: () => this.#forget(),
    });
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Counts a new stream of an address; false if the address has as many as it may have. */
  admit(address: string): boolean {
    const open = this.#perAddress.get(address) ?? 0;
    if (open >= this.#maxPerAddress) return false;
    this.#perAddress.set(address, open + 1);
    return true;
  }

  /** Ends what {@link admit} counted. */
  leave(address: string): void {
    const open = (this.#perAddress.get(address) ?? 1) - 1;
    if (open === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, open);
  }

  /** The newest event of all, and the newest that an audience may see. */
  async newest(audience: Audience): Promise<Pick<StreamStart, 'last' | 'shown'>> {
    const { isCurrent, last: heard } = this.#feed;
    const known = this.#newestShown;
    const last = isCurrent && heard ? heard : await newestEvent(this.#pool);
    const name = audienceName(audience);
    const before = known.get(name) ?? { shown: START, upTo: 0 };
    if (before.upTo === last.position) return { last, shown: before.shown };
    const since = { after: before.upTo, upTo: last.position };
    const shown = (await readNewestShown(this.#pool, since, audience)) ?? before.shown;
    if (known.size >= MOST_AUDIENCES) known.clear();
    known.set(name, { shown, upTo: last.position });
    return { last, shown };
  }

  /**
   * Writes events to a response until it is closed, which it may be already. Its head was sent before.
   */
  async follow(
    response: ServerResponse,
    {
      start,
      source = null,
      ...options
    }: Pick<Stream, 'slug' | 'audience' | 'isAllowed'> & {
      start: StreamStart;
      source?: EventReader | null;
    },
  ): Promise<void> {
    if (response.destroyed) return; // it emits no further `close`
    const closed = new AbortController();
    const { last } = start;
    const stream: Stream = { ...options, source, response, last, closed, wake: () => {} };
    const close = () => {
      closed.abort();
      stream.wake();
    };
    response.on('close', close).on('error', close);
    this.#streams.add(stream);
    this.#heartbeat ??= setInterval(() => this.#beat(), HEARTBEAT_EVERY).unref();
    response.write(firstEvents(start));
    try {
      // It started while the others were being ended.
      if (this.#isClosed) end(response);
      if (start.resets !== this.#feed.resets) endAfterReset(response);
      while (!closed.signal.aborted && !response.writableEnded) await this.#advance(stream);
    } finally {
      this.#streams.delete(stream);
      if (!response.writableEnded) response.destroy();
    }
  }

  /** Ends all streams; their clients resume elsewhere. */
  close(): void {
    this.#isClosed = true;
    if (this.#heartbeat) clearInterval(this.#heartbeat);
    for (const { response } of this.#streams) end(response);
  }

  async #advance(stream: Stream): Promise<void> {
    const woken = new Promise<void>((resolve) => (stream.wake = resolve));
    const text = await this.#next(stream);
    if (text === null) return woken;
    if (text === '') return;
    const mayRead = await isAllowed(stream);
    if (stream.closed.signal.aborted || stream.response.writableEnded) return;
    if (!mayRead) return end(stream.response);
    if (stream.response.write(text)) return;
    // Not AbortSignal.any and AbortSignal.timeout: Node.js may collect them as garbage while they wait.
    const late = setTimeout(() => stream.closed.abort(), this.#drainWithin);
    try {
      await once(stream.response, 'drain', { signal: stream.closed.signal });
    } finally {
      clearTimeout(late);
    }
  }

  /** The text of a stream's next events, and moves its position past them; null if there are none. */
  async #next(stream: Stream): Promise<string | null> {
    const { source } = stream;
    if (source !== null) {
      const read = await source(stream.last);
      stream.last = read?.last ?? stream.last;
      return read && read.text;
    }
    const { position } = stream.last;
    const { isCurrent, last: newest } = this.#feed;
    // Without the feed, those in memory may be void.
    if (!isCurrent || !newest || position >= newest.position) return null;
    const first = this.#recent[0]?.position ?? Infinity;
    if (position < first - 1) return this.#nextStored(stream, newest);
    const start = this.#recent.findLastIndex((event) => event.position <= position) + 1;
    const batch = this.#recent.slice(start, start + BATCH);
    stream.last = batch.at(-1) ?? newest;
    return batch.map((event) => (belongsTo(stream, event) ? event.text : '')).join('');
  }

  async #nextStored(stream: Stream, newest: EventRef): Promise<string> {
    const { slug, last } = stream;
    const page = { from: last.position + 1, limit: BATCH, slug };
    const events = await readEvents(this.#pool, page);
    // If the ledger went back before the read, these events do not follow those that the client has. Their ids would hide it.
    if (!(await hasEvent(this.#pool, last))) {
      endAfterReset(stream.response);
      return '';
    }
    const read = events.at(-1) ?? last;
    // A page that is not full has all events that there were when it was read.
    stream.last = events.length < BATCH && read.position < newest.position ? newest : read;
    return events.map((event) => (belongsTo(stream, event) ? renderEvent(event) : '')).join('');
  }

  #hear(events: readonly LedgerEvent[]): void {
    for (const event of events) {
      const { position, digest, kind, slug, internalTo } = event;
      if (kind === 'outlook.disclosed') this.#open(slug);
      const text = renderEvent(event);
      this.#recent.push({ position, digest, kind, slug, internalTo, text });
    }
    // Trimmed at twice the size, so that it does not happen at each event.
    if (this.#recent.length > 2 * RECENT) this.#recent = this.#recent.slice(-RECENT);
    this.wake();
  }

  /** An outlook became public, and with it all its events. */
  #open(slug: string): void {
    for (const event of this.#recent) if (event.slug === slug) event.internalTo = null;
  }

  /** Makes all streams look for events that they have not written yet. */
  wake(): void {
    for (const stream of this.#streams) stream.wake();
  }

  /** Ends all streams; each resumes from what the ledger has now, or learns that its last event is gone. */
  #reset(): void {
    this.#forget();
    for (const { response } of this.#streams) endAfterReset(response);
  }

  #forget(): void {
    this.#recent = [];
    this.#newestShown = new Map();
  }

  #beat(): void {
    for (const stream of this.#streams) {
      const { response } = stream;
      if (!response.writableNeedDrain) response.write(HEARTBEAT);
      void isAllowed(stream).then((mayRead) => mayRead || end(response));
    }
  }
}

/**
 * Whether a stream has an event. A stream of one outlook needs no check of the outlook: its client could see it when the stream
 * started, and whoever may see an outlook once always may.
 */
function belongsTo({ slug, audience }: Stream, event: Omit<Recent, 'text'>): boolean {
  if (slug === null) return showsEvent(audience, event);
  return event.slug === slug && showsKind(audience, event.kind);
}

/**
 * Whether the client may still read. False, too, if that can't be checked because the database or the identity provider is
 * unavailable: the client may connect again.
 */
function isAllowed(stream: Stream): Promise<boolean> {
  return stream.isAllowed().catch(() => false);
}

function endAfterReset(response: ServerResponse): void {
  if (response.writableEnded) return;
  if (!response.writableNeedDrain) response.write(`retry: ${RETRY_AFTER.reset}\n`);
  end(response);
}

/** How long a client may take to read the end of its stream, in milliseconds. */
const END_WITHIN = 1_000;

/** Ends a response; a client that does not read it is cut off. */
function end(response: ServerResponse): void {
  if (response.writableNeedDrain) response.destroy();
  else response.end();
  setTimeout(() => response.destroy(), END_WITHIN).unref();
}
