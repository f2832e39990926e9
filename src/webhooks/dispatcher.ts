import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import { sequenceEvents } from '../postgres/outbox.ts';
import { type Claim, claimDeliveries, type Outcome, recordOutcome } from './deliveries.ts';
import { type Backlog, readBacklog } from './delivery-log.ts';
import { messageOf } from './messages.ts';
import { planDeliveries } from './plan-deliveries.ts';
import { retryAfter } from '../domain/webhooks.ts';
import type { AddressPolicy } from '../outbound/addresses.ts';
import { type Send, sender } from './send.ts';

/** How often the dispatcher looks for due deliveries when no event wakes it, in milliseconds. */
const POLL_EVERY = 1_000;
/** How often the waiting deliveries are counted for the metrics, in milliseconds. */
const COUNT_EVERY = 15_000;
/** The pause between two rounds, in milliseconds: events that arrive meanwhile share the next one. */
const PAUSE = 10;
/** How many deliveries one instance has under way, so that a slow receiver leaves room for others. */
const CONCURRENCY = { perWebhook: 8, total: 64 };
/**
 * How long an instance holds a delivery, in milliseconds, before others count the attempt as lost: longer than an attempt
 * takes, plus a minute by which the clocks of two instances may differ.
 */
const LEASE = 90_000;
/** How long a shutdown waits for deliveries under way, in milliseconds, before it aborts them. */
const DRAIN_WITHIN = 5_000;

/**
 * Delivers events to webhooks: each at least once, those of one outlook or proposal in order. Postgres holds what is due and which
 * instance delivers it, so any number of instances share the work. While a receiver takes its time, no connection to
 * Postgres waits, only a lease runs.
 */
export class WebhookDispatcher {
  /** How the attempts of this instance ended. */
  readonly outcomes = { delivered: 0, failed: 0 };
  readonly addressPolicy: AddressPolicy;
  /** Where people find the service: messages in chats link to it. */
  readonly publicUrl: string;
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
  #isDue = false;
  #working: Promise<void> = Promise.resolve();
  #isWorking = false;
  #hasFailed = false;
  /** Outcomes are recorded one at a time, so that many at once take one connection and not the whole pool. */
  #recording: Promise<void> = Promise.resolve();

  /** Starts when the app listens and stops when it closes. */
  constructor(
    app: FastifyInstance,
    options: {
      pool: pg.Pool;
      feed: ChangeFeed;
      now: () => Date;
      addressPolicy: AddressPolicy;
      publicUrl: string;
      version: string;
    },
  ) {
    this.#pool = options.pool;
    this.#feed = options.feed;
    this.#now = options.now;
    this.#log = app.log;
    this.addressPolicy = options.addressPolicy;
    this.publicUrl = options.publicUrl;
    this.send = sender(options.addressPolicy, `OutlookLedger/${options.version}`);
    setMaxListeners(0, this.stopped); // every delivery under way listens
    app.addHook('onListen', async () => this.#start());
    app.addHook('preClose', () => this.#close());
  }

  /** The deliveries that waited at the last count, and the age of the oldest in seconds. */
  get backlog(): { waiting: number; oldestSeconds: number; disabled: number } {
    const { waiting, oldest, disabled } = this.#backlog;
    const age = oldest ? (this.#now().getTime() - oldest.getTime()) / 1000 : 0;
    return { waiting, oldestSeconds: Math.max(0, age), disabled };
  }

  /** Aborts deliveries when the service stops. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  #start(): void {
    const wake = () => this.wake();
    this.#feed.follow({ onEvents: wake, onCurrent: wake });
    this.#isClosed = false;
    this.#timers = [
      setInterval(wake, POLL_EVERY).unref(),
      setInterval(() => void this.#count(), COUNT_EVERY).unref(),
    ];
    this.wake();
    void this.#count();
  }

  /** Looks for due deliveries. A call while it does makes it look once more. */
  wake(): void {
    if (this.#isClosed) return;
    this.#isDue = true;
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#working = this.#work();
  }

  /** Claims nothing more and waits a little for deliveries under way. Other instances continue with the rest. */
  async #close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#working;
    const drained = Promise.all(this.#underWay);
    const drain = () => Promise.race([drained, delay(DRAIN_WITHIN, undefined, { ref: false })]);
    await drain();
    this.#stop.abort();
    await drain(); // their outcomes have yet to be recorded, and the database may be away
  }

  async #work(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      try {
        if (await this.#plan()) this.#isDue = true;
        await this.#claim();
        this.#hasFailed = false;
      } catch (error) {
        // Logged once, not each second while the database is away.
        if (!this.#hasFailed) {
          this.#log.warn({ err: error }, 'could not process webhooks; trying again');
        }
        this.#hasFailed = true;
      }
      await delay(PAUSE);
    }
    this.#isWorking = false;
  }

  async #plan(): Promise<boolean> {
    if (!this.#feed.isCurrent) await sequenceEvents(this.#pool); // otherwise the feed gives positions
    return planDeliveries(this.#pool, this.#now());
  }

  async #claim(): Promise<void> {
    const total = CONCURRENCY.total - this.#underWay.size;
    if (total <= 0 || this.#isClosed) return; // the next delivery that ends wakes the dispatcher
    const now = this.#now();
    const times = { now, leaseUntil: new Date(now.getTime() + LEASE) };
    const limits = { perWebhook: CONCURRENCY.perWebhook, total };
    for (const claim of await claimDeliveries(this.#pool, times, this.#busy, limits)) {
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
      const message = messageOf(claim, this.publicUrl);
      const outcome = await this.send(claim, message, this.#now(), this.stopped);
      this.#recording = this.#recording.then(() => this.#record(claim, outcome));
      await this.#recording;
    } catch (error) {
      // For example an event that only a later release knows: when the lease ends, an instance of that release delivers it.
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
    const wait = outcome.retryAfter ?? retryAfter(claim.attempt, Math.random());
    const wasAborted = outcome.fault !== null && this.stopped.aborted;
    const retryAt = wasAborted ? null : new Date(now.getTime() + wait);
    const { webhookId, id: deliveryId, attempt } = claim;
    const fields = { webhookId, deliveryId, attempt, receiver: new URL(claim.url).origin };
    this.outcomes[outcome.fault === null ? 'delivered' : 'failed'] += 1;
    try {
      const disabled = await recordOutcome(this.#pool, claim, outcome, { now, again: retryAt });
      const { fault, status, milliseconds } = outcome;
      if (fault === null) this.#log.debug({ ...fields, milliseconds }, 'delivered to a webhook');
      else this.#log.info({ ...fields, status, fault, milliseconds }, 'a webhook delivery failed');
      if (disabled) this.#log.warn({ ...fields, reason: disabled }, 'a webhook was disabled');
    } catch (error) {
      // It is sent again once the lease ends.
      this.#log.warn(
        { ...fields, err: error },
        'could not record the outcome of a webhook delivery',
      );
    }
  }

  async #count(): Promise<void> {
    try {
      this.#backlog = await readBacklog(this.#pool);
    } catch {
      // The last count stays; the failure itself is logged elsewhere.
    }
  }
}
