import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { EventRef } from '../domain/events.ts';
import { LedgerClient } from './client.ts';
import type { Follower } from './follower.ts';
import {
  countAmendments,
  newestEvent,
  readEventRef,
  readEvents,
  sequenceAndCheck,
} from './outbox.ts';

/** Any name, as long as all releases use the same one. */
const CHANNEL = 'outlook_ledger_events';
/**
 * How often to read new events without a notice, in milliseconds. Behind a pooler no notice arrives: it would go to whoever
 * uses the connection by then.
 */
const POLL_EVERY = { listening: 500, pooled: 100 };
/**
 * The least time between two reads of the table, and between two notices, in milliseconds. Each read that finds new events
 * is a commit of its own; events committed in the meantime share one.
 */
const PAUSE = 10;
/** How long an answer may take before the connection counts as lost, in milliseconds. */
const ANSWER_WITHIN = 2_000;
/** The wait before a reconnect, in milliseconds: short, because after a failover nothing is current without the feed. */
const RECONNECT_AFTER = { least: 25, most: 250 };
/** How often to report that there is no connection, in milliseconds. */
const REPORT_EVERY = 5_000;
const BATCH = 500;

/**
 * Follows the events table on a connection of its own. The table is the truth: a notice, which any instance sends after
 * a commit, only says that there is something to read. The feed also polls the table, and so misses nothing when a
 * connection breaks.
 *
 * Each read compares the last event that the feed handed over with the one at its position. If the ledger no longer has it,
 * the ledger went back: a standby without the last commits became the primary, or a backup was restored.
 */
export class ChangeFeed {
  readonly #settings: pg.ClientConfig;
  readonly #onError: (error: Error) => void;
  readonly #followers = new Set<Partial<Follower>>();
  #client: LedgerClient | null = null;
  #socket: Socket | null = null;
  #last: EventRef | null = null;
  #resets = 0;
  #amendments: number | null = null;
  #isCurrent = false;
  #heardAt = 0;
  #isClosed = false;
  #reading: Promise<void> | null = null;
  #isReadWanted = false;
  /** Called after a read that began later. */
  #waiting: (() => void)[] = [];
  #isNoticeSent = false;
  #isNoticeWanted = false;
  #wait = RECONNECT_AFTER.least;
  #timer: NodeJS.Timeout | null = null;
  #reportedAt = -Infinity;

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

  /** The last event handed over; null before the first connection, and during a reset. */
  get last(): EventRef | null {
    return this.#last;
  }

  /** The position of the last event handed over; null if there is none. */
  get position(): number | null {
    return this.#last?.position ?? null;
  }

  /** How often the ledger went back so far. What was read when the number was another may be void. */
  get resets(): number {
    return this.#resets;
  }

  follow(follower: Partial<Follower>): void {
    this.#followers.add(follower);
    if (this.#isCurrent) follower.onCurrent?.();
  }

  /** Resolves after a read that begins after this call; at once while the feed has no connection. */
  async refresh(): Promise<void> {
    const client = this.#client;
    if (!client || !this.#isCurrent) return;
    const read = new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#read(client);
    await read;
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
    this.#markLost();
    await client?.end().catch(() => {});
    this.#socket?.destroy();
  }

  /** Notifies all instances of a commit. Calls during a pause share one notice. */
  announce(): void {
    const client = this.#client;
    if (!client) return; // instances that are connected find it by their next poll
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
      connectionTimeoutMillis: ANSWER_WITHIN,
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
      await this.#readAll(client);
      if (this.#client !== client || this.#isClosed) return;
      this.#wait = RECONNECT_AFTER.least;
      this.#reportedAt = -Infinity;
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
      const waiting = this.#waiting.splice(0);
      try {
        await this.#readAll(client);
      } finally {
        for (const resolve of waiting) resolve();
      }
      await delay(PAUSE);
    }
  }

  /** Hands over what was committed, or starts anew if the ledger went back. */
  async #readAll(client: LedgerClient): Promise<void> {
    const askedAt = performance.now();
    this.#last ??= await newestEvent(client);
    const { last, hasGiven, amendments } = await sequenceAndCheck(client, this.#last);
    if (this.#client !== client) return;
    if (amendments !== this.#amendments) return this.#readAmended(client, amendments);
    if (!hasGiven || !(await this.#readUpTo(client, last))) {
      if (this.#client !== client) return;
      if ((await countAmendments(client)) !== this.#amendments) return this.#readAll(client);
      if (this.#client !== client) return;
      this.#reset();
      this.#last = await newestEvent(client);
    }
    if (this.#client !== client || this.#isClosed) return;
    this.#heardAt = askedAt;
    if (this.#isCurrent) return;
    this.#isCurrent = true;
    for (const follower of this.#followers) follower.onCurrent?.();
  }

  /** Takes over the digest of the last event, which an erasure may have changed, and reads on. */
  async #readAmended(client: LedgerClient, amendments: number): Promise<void> {
    const position = this.#last?.position ?? 0;
    const last = await readEventRef(client, position);
    if (this.#client !== client) return;
    if (this.#amendments !== null) {
      this.#markLost();
      for (const follower of this.#followers) follower.onAmended?.();
    }
    this.#amendments = amendments;
    this.#last = last ?? this.#last;
    await this.#readAll(client);
  }

  /** @returns whether the ledger still has the feed's last event; if not, nothing was handed over */
  async #readUpTo(client: LedgerClient, last: number): Promise<boolean> {
    while (this.#last && this.#last.position < last) {
      const { position, digest } = this.#last;
      const events = await readEvents(client, { from: position, limit: BATCH, slug: null });
      if (this.#client !== client) return true;
      // The first one was handed over before. It shows that those after it follow it.
      if (position > 0 && events.shift()?.digest !== digest) return false;
      const newest = events.at(-1);
      if (!newest) return false;
      this.#last = { position: newest.position, digest: newest.digest };
      for (const follower of this.#followers) follower.onEvents?.(events);
    }
    return true;
  }

  #reset(): void {
    const lost = this.#last;
    if (!lost) return;
    this.#last = null;
    this.#resets += 1;
    this.#markLost();
    for (const follower of this.#followers) follower.onReset?.(lost);
  }

  #lose(client: LedgerClient, error: Error): void {
    if (this.#client !== client || this.#isClosed) return;
    this.#client = null;
    this.#socket?.destroy();
    if (this.#timer) clearTimeout(this.#timer);
    this.#isNoticeWanted = false;
    this.#reading = null;
    for (const resolve of this.#waiting.splice(0)) resolve();
    this.#markLost();
    this.#report(error);
    this.#timer = setTimeout(() => void this.#connect(), this.#wait);
    this.#timer.unref();
    this.#wait = Math.min(this.#wait * 2, RECONNECT_AFTER.most);
  }

  #report(error: Error): void {
    if (performance.now() - this.#reportedAt < REPORT_EVERY) return;
    this.#reportedAt = performance.now();
    this.#onError(error);
  }

  #markLost(): void {
    if (!this.#isCurrent) return;
    this.#isCurrent = false;
    for (const follower of this.#followers) follower.onLost?.();
  }
}
