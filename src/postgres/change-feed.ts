import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { LedgerClient } from './client.ts';
import { type LedgerEvent, readEvents, sequenceEvents } from './outbox.ts';

/** Any name, as long as all releases use the same one. */
const CHANNEL = 'outlook_ledger_events';
/**
 * How often to look for events without a notice, in milliseconds. Behind a pooler no notice arrives: it would go to whoever
 * uses the connection by then.
 */
const POLL_EVERY = { listening: 500, pooled: 100 };
/**
 * The least time between two looks at the table, and between two notices, in milliseconds. Each look at new events is a
 * commit of its own; events committed in the meantime share one.
 */
const PAUSE = 10;
/** How long an answer may take before the connection counts as lost, in milliseconds. */
const ANSWER_WITHIN = 2_000;
const RECONNECT_AFTER = { least: 25, most: 1_000 };
const BATCH = 500;

export type Follower = {
  /** Events in the order of their positions, each once. */
  onEvents: (events: readonly LedgerEvent[]) => void;
  /** Events come late from now on, until `onCurrent`. */
  onLost: () => void;
  /** All events committed so far were handed over; later ones follow within moments of their commit. */
  onCurrent: () => void;
};

/**
 * Follows the events table on a connection of its own. The table is the truth: a notice, which any instance sends after
 * a commit, only says that a look is worthwhile. The feed also looks at the table without one, and so misses nothing
 * when a connection breaks.
 */
export class ChangeFeed {
  readonly #settings: pg.ClientConfig;
  readonly #onError: (error: Error) => void;
  readonly #followers = new Set<Follower>();
  #client: LedgerClient | null = null;
  #socket: Socket | null = null;
  #position: number | null = null;
  #isCurrent = false;
  #heardAt = 0;
  #isClosed = false;
  #reading: Promise<void> | null = null;
  #isReadWanted = false;
  #isNoticeSent = false;
  #isNoticeWanted = false;
  #wait = RECONNECT_AFTER.least;
  #timer: NodeJS.Timeout | null = null;

  /** @param pool of the database to follow; the feed reports a connection that breaks, and replaces it */
  constructor(pool: pg.Pool, onError: (error: Error) => void) {
    this.#settings = pool.options;
    this.#onError = onError;
  }

  /** Whether events come within moments of their commit. */
  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** The last time, by `performance.now()`, up to which all committed events were handed over. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** The last position handed over; null before the first connection. */
  get position(): number | null {
    return this.#position;
  }

  follow(follower: Follower): void {
    this.#followers.add(follower);
    if (this.#isCurrent) follower.onCurrent();
  }

  /** Connects. If that fails, it keeps trying; `isCurrent` tells. */
  async start(): Promise<void> {
    await this.#connect();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer) clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = null;
    this.#tellLost();
    await client?.end().catch(() => {});
    this.#socket?.destroy();
  }

  /** Notifies all instances of a commit. Calls during a pause share one notice. */
  announce(): void {
    const client = this.#client;
    if (!client) return; // instances that are connected find it by their next look
    this.#isNoticeWanted = true;
    if (!this.#isNoticeSent) void this.#notify(client);
  }

  async #notify(client: LedgerClient): Promise<void> {
    this.#isNoticeSent = true;
    try {
      while (this.#isNoticeWanted && this.#client === client) {
        this.#isNoticeWanted = false;
        await client.query(`notify ${CHANNEL}`);
        await delay(PAUSE);
      }
    } catch (error) {
      this.#lose(client, error as Error);
    } finally {
      this.#isNoticeSent = false;
    }
  }

  async #connect(): Promise<void> {
    const client = new LedgerClient({
      ...this.#settings,
      application_name: 'outlook-ledger events',
      query_timeout: ANSWER_WITHIN,
      // Stored so that it can be destroyed: a frozen connection does not end when asked to.
      stream: () => (this.#socket = new Socket()),
    });
    client.on('error', (error) => this.#lose(client, error));
    client.on('end', () => this.#lose(client, new Error('the connection ended')));
    client.on('notification', () => this.#read(client));
    this.#client = client;
    try {
      await client.connect();
      if (!client.isPooled) await client.query(`listen ${CHANNEL}`);
      this.#position ??= await sequenceEvents(client);
      await this.#readAll(client);
      if (this.#client !== client || this.#isClosed) return;
      this.#wait = RECONNECT_AFTER.least;
      this.#isCurrent = true;
      for (const follower of this.#followers) follower.onCurrent();
      this.announce(); // for commits made without a connection
      this.#poll(client);
    } catch (error) {
      this.#lose(client, error as Error);
    }
  }

  #poll(client: LedgerClient): void {
    this.#timer = setTimeout(
      () => {
        if (this.#client !== client) return;
        this.#read(client);
        this.#poll(client);
      },
      client.isPooled ? POLL_EVERY.pooled : POLL_EVERY.listening,
    );
    this.#timer.unref();
  }

  /** Reads new events; a call during a read makes it read once more. */
  #read(client: LedgerClient): void {
    if (this.#client !== client || !this.#isCurrent) return;
    this.#isReadWanted = true;
    if (this.#reading) return;
    const reading = this.#readWhileWanted(client)
      .catch((error: Error) => this.#lose(client, error))
      .finally(() => {
        if (this.#reading === reading) this.#reading = null;
      });
    this.#reading = reading;
  }

  async #readWhileWanted(client: LedgerClient): Promise<void> {
    while (this.#isReadWanted && this.#client === client) {
      this.#isReadWanted = false;
      await this.#readAll(client);
      await delay(PAUSE);
    }
  }

  async #readAll(client: LedgerClient): Promise<void> {
    const askedAt = performance.now();
    const last = await sequenceEvents(client);
    for (;;) {
      const after = this.#position ?? last;
      if (last <= after) {
        this.#heardAt = askedAt;
        return;
      }
      const events = await readEvents(client, { after, limit: BATCH, slug: null });
      if (this.#client !== client) return;
      this.#position = events.at(-1)?.position ?? last;
      for (const follower of this.#followers) follower.onEvents(events);
    }
  }

  #lose(client: LedgerClient, error: Error): void {
    if (this.#client !== client || this.#isClosed) return;
    this.#client = null;
    this.#socket?.destroy();
    if (this.#timer) clearTimeout(this.#timer);
    this.#isNoticeWanted = false;
    this.#reading = null;
    this.#tellLost();
    this.#onError(error);
    this.#timer = setTimeout(() => void this.#connect(), this.#wait);
    this.#timer.unref();
    this.#wait = Math.min(this.#wait * 2, RECONNECT_AFTER.most);
  }

  #tellLost(): void {
    if (!this.#isCurrent) return;
    this.#isCurrent = false;
    for (const follower of this.#followers) follower.onLost();
  }
}
