import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type pg from 'pg';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import { type LedgerEvent, readEvents } from '../postgres/outbox.ts';
import { renderEvent } from './event-text.ts';

/** Between comments that keep a silent stream open and find out that its client is gone, in ms. */
const HEARTBEAT_EVERY = 15_000;
/** How many of the newest events are kept in memory, for streams to go on from. */
const RECENT = 2_000;
/** How many events are read or written at once; what a slow client has waiting is no more than this. */
const BATCH = 200;

type Stream = {
  response: ServerResponse;
  slug: string | null;
  /** All events up to this position were written, or are not of this stream. */
  position: number;
  /** Whether its client may still read; asked at each heartbeat. */
  isAllowed: () => Promise<boolean>;
  /** Ends the wait for something to write. */
  wake: () => void;
  closed: AbortController;
};

type Recent = { position: number; slug: string; text: string };

/**
 * Server-Sent Events from the stored events, each exactly once and in order. A stream pulls: it writes
 * what it has not written yet, from memory or else from Postgres, as fast as its client reads, so
 * nothing queues for a slow one. Written here because the published plugin waits for ever on a client
 * that vanished and holds up a stop (`@fastify/sse` 0.6).
 */
export class EventStreams {
  readonly #pool: pg.Pool;
  readonly #feed: ChangeFeed;
  readonly #maxPerAddress: number;
  readonly #drainWithin: number;
  readonly #streams = new Set<Stream>();
  readonly #perAddress = new Map<string, number>();
  #recent: Recent[] = [];
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
      onLost: () => {},
      onCurrent: () => {},
    });
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Takes one of the streams that an address may have; false where it has all of them. */
  admit(address: string): boolean {
    const open = this.#perAddress.get(address) ?? 0;
    if (open >= this.#maxPerAddress) return false;
    this.#perAddress.set(address, open + 1);
    return true;
  }

  /** Gives back what {@link admit} took. */
  leave(address: string): void {
    const open = (this.#perAddress.get(address) ?? 1) - 1;
    if (open === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, open);
  }

  /**
   * Writes events to a response whose head was sent, until it is closed.
   * @param position the last event that the client has
   */
  async follow(
    response: ServerResponse,
    { slug, position, isAllowed }: Pick<Stream, 'slug' | 'position' | 'isAllowed'>,
  ): Promise<void> {
    const closed = new AbortController();
    const stream: Stream = { response, slug, position, isAllowed, closed, wake: () => {} };
    const close = () => {
      closed.abort();
      stream.wake();
    };
    response.on('close', close).on('error', close);
    this.#streams.add(stream);
    this.#heartbeat ??= setInterval(() => this.#beat(), HEARTBEAT_EVERY).unref();
    // A first id, so that a client that is cut off before its first event resumes from here.
    response.write(`retry: 1000\nid: ${position}\n\n`);
    try {
      if (this.#isClosed) end(response); // it started while the others ended
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
    if (text === '' || stream.response.write(text)) return;
    // Not AbortSignal.any and AbortSignal.timeout: Node.js may collect them as garbage while they wait.
    const late = setTimeout(() => stream.closed.abort(), this.#drainWithin);
    try {
      await once(stream.response, 'drain', { signal: stream.closed.signal });
    } finally {
      clearTimeout(late);
    }
  }

  /** The text of the next events of a stream, whose position moves behind them; null for none. */
  async #next(stream: Stream): Promise<string | null> {
    const { slug, position } = stream;
    const newest = this.#feed.position ?? 0;
    if (position >= newest) return null;
    const first = this.#recent[0]?.position ?? Infinity;
    if (position < first - 1) return this.#nextStored(stream, newest);
    const start = position - first + 1; // positions have no gaps
    const batch = this.#recent.slice(start, start + BATCH);
    stream.position = batch.at(-1)?.position ?? newest;
    return batch.map((event) => (slug === null || event.slug === slug ? event.text : '')).join('');
  }

  async #nextStored(stream: Stream, newest: number): Promise<string> {
    const page = { after: stream.position, limit: BATCH, slug: stream.slug };
    const events = await readEvents(this.#pool, page);
    const last = events.at(-1)?.position ?? stream.position;
    // A page that is not full holds all there were when it was asked for.
    stream.position = events.length < BATCH ? Math.max(last, newest) : last;
    return events.map(renderEvent).join('');
  }

  #hear(events: readonly LedgerEvent[]): void {
    for (const event of events) {
      this.#recent.push({ position: event.position, slug: event.slug, text: renderEvent(event) });
    }
    // Twice as many before any go, so that it is not done at each event.
    if (this.#recent.length > 2 * RECENT) this.#recent = this.#recent.slice(-RECENT);
    for (const stream of this.#streams) stream.wake();
  }

  #beat(): void {
    for (const { response, isAllowed } of this.#streams) {
      if (!response.writableNeedDrain) response.write(':\n\n');
      isAllowed().then(
        (may) => may || end(response),
        () => end(response),
      );
    }
  }
}

/** How long a client may take to read the end of its stream, in milliseconds. */
const END_WITHIN = 1_000;

/** Ends a response; a client that does not read it is cut off. */
function end(response: ServerResponse): void {
  if (response.writableNeedDrain) response.destroy();
  else response.end();
  setTimeout(() => response.destroy(), END_WITHIN).unref();
}
