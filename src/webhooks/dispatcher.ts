import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import { sequenceEvents } from '../postgres/outbox.ts';
import {
  type Claim,
  claimDeliveries,
  type Outcome,
  planDeliveries,
  recordOutcome,
} from './deliveries.ts';
import { type Backlog, readBacklog } from './delivery-log.ts';
import { retryAfter } from '../domain/webhooks.ts';
import { eventData } from '../api/event-text.ts';
import type { Reach } from './addresses.ts';
import { type Message, type Send, sender } from './send.ts';

/** How often is looked for what is due though nothing happened, in milliseconds. */
const POLL_EVERY = 1_000;
/** How often is asked how much waits, for the metrics, in milliseconds. */
const COUNT_EVERY = 15_000;
/** At least so long between two looks, in milliseconds: what happens meanwhile shares them. */
const PAUSE = 10;
/** What a slow receiver may take of what an instance can have under way. */
const AT_ONCE = { perWebhook: 8, altogether: 64 };
/**
 * After so long, in milliseconds, an attempt counts as lost with its instance: more than one takes, and the minute that
 * the clocks of instances may be apart.
 */
const LEASE = 90_000;
/** How long a stop waits for what is under way, in milliseconds, before it is cut off. */
const DRAIN_WITHIN = 5_000;

/**
 * Delivers events to webhooks: each at least once, those of an outlook in their order. What is to be delivered, and who
 * does it, is in Postgres, so any number of instances share the work; while a receiver is waited for, nothing is held there
 * but a lease.
 */
export class WebhookDispatcher {
  /** How many attempts ended how, on this instance. */
  readonly outcomes = { delivered: 0, failed: 0 };
  /** Where receivers may be. */
  readonly reach: Reach;
  readonly send: Send;
  readonly #pool: pg.Pool;
  readonly #feed: ChangeFeed;
  readonly #now: () => Date;
  readonly #log: FastifyInstance['log'];
  readonly #busy = new Map<string, number>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #backlog: Backlog = { waiting: 0, oldest: null, disabled: 0 };
  #timers: NodeJS.Timeout[] = [];
  #isClosed = true;
  #isWanted = false;
  #working: Promise<void> = Promise.resolve();
  #isWorking = false;
  #isHindered = false;
  /** One at a time, so that what comes back at once takes one connection and not all. */
  #recording: Promise<void> = Promise.resolve();

  /** From when the app listens until it closes. */
  constructor(
    app: FastifyInstance,
    options: { pool: pg.Pool; feed: ChangeFeed; now: () => Date; reach: Reach; version: string },
  ) {
    this.#pool = options.pool;
    this.#feed = options.feed;
    this.#now = options.now;
    this.#log = app.log;
    this.reach = options.reach;
    this.send = sender(options.reach, `OutlookLedger/${options.version}`);
    setMaxListeners(0, this.stopped); // all that is under way hears of it
    app.addHook('onListen', async () => this.#start());
    app.addHook('preClose', () => this.#close());
  }

  /** What waited when it was last asked, and for how many seconds the oldest of it did. */
  get backlog(): { waiting: number; oldestSeconds: number; disabled: number } {
    const { waiting, oldest, disabled } = this.#backlog;
    const age = oldest ? (this.#now().getTime() - oldest.getTime()) / 1000 : 0;
    return { waiting, oldestSeconds: Math.max(0, age), disabled };
  }

  /** Ends what is awaited of receivers, once the service stops. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  #start(): void {
    const wake = () => this.wake();
    this.#feed.follow({ onEvents: wake, onLost: () => {}, onCurrent: wake });
    this.#isClosed = false;
    this.#timers = [
      setInterval(wake, POLL_EVERY).unref(),
      setInterval(() => void this.#count(), COUNT_EVERY).unref(),
    ];
    this.wake();
    void this.#count();
  }

  /** Looks for what is due; a call while it does makes it look once more. */
  wake(): void {
    if (this.#isClosed) return;
    this.#isWanted = true;
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#working = this.#work();
  }

  /** Takes nothing up any more, and waits a little for what is under way; the rest another instance goes on with. */
  async #close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#working;
    const drained = Promise.all(this.#underWay);
    const drain = () => Promise.race([drained, delay(DRAIN_WITHIN, undefined, { ref: false })]);
    await drain();
    this.#stop.abort();
    await drain(); // it is yet to be recorded, by a database that may be away
  }

  async #work(): Promise<void> {
    while (this.#isWanted && !this.#isClosed) {
      this.#isWanted = false;
      try {
        if (await this.#plan()) this.#isWanted = true;
        await this.#take();
        this.#isHindered = false;
      } catch (error) {
        // Told once, and not each second for as long as the database is away.
        if (!this.#isHindered) {
          this.#log.warn({ err: error }, 'could not process webhooks; trying again');
        }
        this.#isHindered = true;
      }
      await delay(PAUSE);
    }
    this.#isWorking = false;
  }

  async #plan(): Promise<boolean> {
    const { isCurrent, position } = this.#feed;
    const newest = isCurrent && position !== null ? position : await sequenceEvents(this.#pool);
    return planDeliveries(this.#pool, newest, this.#now());
  }

  async #take(): Promise<void> {
    const altogether = AT_ONCE.altogether - this.#underWay.size;
    if (altogether <= 0 || this.#isClosed) return; // whatever ends looks again
    const now = this.#now();
    const times = { now, leaseUntil: new Date(now.getTime() + LEASE) };
    const { perWebhook } = AT_ONCE;
    const most = { perWebhook, altogether };
    for (const claim of await claimDeliveries(this.#pool, times, this.#busy, most)) {
      const delivering = this.#deliver(claim).finally(() => {
        this.#underWay.delete(delivering);
        this.wake();
      });
      this.#underWay.add(delivering);
    }
  }

  async #deliver(claim: Claim): Promise<void> {
    const { webhookId } = claim;
    this.#busy.set(webhookId, (this.#busy.get(webhookId) ?? 0) + 1);
    try {
      const outcome = await this.send(claim, messageOf(claim), this.#now(), this.stopped);
      this.#recording = this.#recording.then(() => this.#record(claim, outcome));
      await this.#recording;
    } catch (error) {
      // As what a later release stored: the lease runs out, and whoever knows it delivers it.
      this.#log.error(
        { err: error, deliveryId: claim.id },
        'could not deliver an event to a webhook',
      );
    } finally {
      const left = (this.#busy.get(webhookId) ?? 1) - 1;
      if (left === 0) this.#busy.delete(webhookId);
      else this.#busy.set(webhookId, left);
    }
  }

  async #record(claim: Claim, outcome: Outcome): Promise<void> {
    const now = this.#now();
    const wait = retryAfter(claim.attempt, Math.random());
    const isCutOff = outcome.fault !== null && this.stopped.aborted;
    const again = isCutOff ? null : new Date(now.getTime() + wait);
    const { webhookId, id: deliveryId, attempt } = claim;
    const told = { webhookId, deliveryId, attempt, receiver: new URL(claim.url).origin };
    this.outcomes[outcome.fault === null ? 'delivered' : 'failed'] += 1;
    try {
      const disabled = await recordOutcome(this.#pool, claim, outcome, { now, again });
      const { fault, status, milliseconds } = outcome;
      if (fault === null) this.#log.debug({ ...told, milliseconds }, 'delivered to a webhook');
      else this.#log.info({ ...told, status, fault, milliseconds }, 'a webhook delivery failed');
      if (disabled) this.#log.warn({ ...told, reason: disabled }, 'a webhook was disabled');
    } catch (error) {
      // Once the lease is over it is sent again, whatever came of it.
      this.#log.warn({ ...told, err: error }, 'could not record the result of a webhook delivery');
    }
  }

  async #count(): Promise<void> {
    try {
      this.#backlog = await readBacklog(this.#pool);
    } catch {
      // What was counted last stands; that the database is away is told elsewhere.
    }
  }
}

/** The same text at each attempt. */
function messageOf({ id, event }: Claim): Message {
  const { kind, recordedAt } = event;
  const payload = { type: kind, timestamp: recordedAt.toISOString(), data: eventData(event) };
  return { id, body: JSON.stringify(payload) };
}
