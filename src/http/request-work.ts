import type { FastifyRequest } from 'fastify';
import { holdLoop, type WorkMeter } from '../postgres/work-meter.ts';
import type { Client } from './clients.ts';
import type { FairQueue, NoTurn } from './fair-queue.ts';
import { EVENT_STREAM_TYPE } from './negotiation.ts';
import { Problem } from './problems.ts';
import type { WorkEstimates } from './work-budget.ts';

/** How long a request waits for its turn, in milliseconds; as long as for a connection to the database. */
export const LONGEST_WAIT = 5_000;

export const isStream = ({ routeOptions: { config } }: FastifyRequest): boolean =>
  config.serves?.includes(EVENT_STREAM_TYPE) === true;

/**
 * How long a client beyond its budget rests after a request, as a multiple of its work: it gets at most half of the event
 * loop, however idle the service is.
 */
const REST = 1;

/** What all requests share. */
export type Shares = {
  /** Those of clients beyond their budgets. */
  queue: FairQueue<Client>;
  estimates: WorkEstimates;
  /** The work of all so far, in milliseconds. */
  done: number;
};

/** What a request costs its client. */
export class RequestWork implements WorkMeter {
  client: Client;
  readonly #request: FastifyRequest;
  readonly #shares: Shares;
  #total = 0;
  /** What its client has reserved for it. */
  #reserved: { client: Client; left: number } | null = null;
  #release = (_rest: number) => {};
  #leaveQueue = () => {};
  #hasTurn = false;
  #isFinished = false;

  constructor(request: FastifyRequest, client: Client, shares: Shares) {
    this.#request = request;
    this.client = client;
    this.#shares = shares;
  }

  add(milliseconds: number): void {
    this.#total += milliseconds;
    this.#shares.done += milliseconds;
    this.client.work.add(milliseconds);
    this.#unreserve(milliseconds);
  }

  /**
   * Waits until its client may use the service: within its budget at once, beyond it in turn with others who are.
   * @throws Problem `rate-limited` if too many requests of its client wait, or it waited too long
   */
  async takeTurn(): Promise<void> {
    if (this.#isFinished) await new Promise(() => {}); // nobody waits for the response
    if (!this.#hasTurn) {
      this.#hasTurn = true;
      const { client } = this;
      if (client.work.level < 1 && !this.#shares.queue.isWaiting(client)) this.#reserve();
      else await this.#wait(client);
    }
    holdLoop(this);
  }

  /** Its response was sent, or its connection closed. */
  finish(): void {
    this.#isFinished = true;
    this.#leaveQueue();
    this.#unreserve(Infinity);
    if (this.#total > 0) this.#shares.estimates.observe(this.#route, this.#total);
    this.endTurn();
    this.#shares.queue.startNext();
  }

  /** Lets its client's next request start before it is finished: a stream may take for ever. */
  endTurn(): void {
    this.#release(this.#total * REST);
    this.#release = () => {};
  }

  #wait(client: Client): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#leaveQueue = this.#shares.queue.join(client, {
        start: (release) => {
          this.#release = release;
          this.#reserve();
          resolve();
        },
        refuse: (reason) => reject(refusal(client, reason)),
      });
    });
  }

  get #route(): string {
    const { method, routeOptions } = this.#request;
    return `${method} ${routeOptions.url ?? ''}`;
  }

  #reserve(): void {
    const left = this.#shares.estimates.of(this.#route);
    this.client.work.reserve(left);
    this.#reserved = { client: this.client, left };
  }

  #unreserve(milliseconds: number): void {
    if (this.#reserved === null) return;
    const done = Math.min(milliseconds, this.#reserved.left);
    this.#reserved.left -= done;
    this.#reserved.client.work.reserve(-done);
  }
}

function refusal({ kind, work }: Client, { isLate }: NoTurn): Problem {
  const seconds = Math.max(1, Math.ceil(work.seconds));
  const why = isLate
    ? `and this request waited ${LONGEST_WAIT / 1000} s for its turn`
    : 'and too many of its requests wait for their turn';
  return new Problem(
    'rate-limited',
    `Your ${kind} asks for more work than its share of the service, ${why}; try again in ${seconds} s.`,
    { headers: { 'retry-after': String(seconds) } },
  );
}
