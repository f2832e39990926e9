import type { FastifyRequest } from 'fastify';
import { chargeLoopTo, type WorkMeter } from '../postgres/work-meter.ts';
import type { Client } from './clients.ts';
import type { FairQueue, TurnRefused } from './fair-queue.ts';
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

/** The state that all requests share. */
export type SharedState = {
  /** The requests of clients beyond their budgets. */
  queue: FairQueue<Client>;
  estimates: WorkEstimates;
  /** The work of all so far, in milliseconds. */
  done: number;
};

/** The work of a request, and its turn if its client is beyond its budget. */
export class RequestWork implements WorkMeter {
  client: Client;
  readonly #request: FastifyRequest;
  readonly #shared: SharedState;
  #total = 0;
  /** The estimate that was reserved in its client's budget, less the work done. */
  #reserved: { client: Client; left: number } | null = null;
  #release = (_rest: number) => {};
  #leaveQueue = () => {};
  #hasTurn = false;
  #isFinished = false;
  #isLong = false;

  constructor(request: FastifyRequest, client: Client, shared: SharedState) {
    this.#request = request;
    this.client = client;
    this.#shared = shared;
  }

  add(milliseconds: number): void {
    this.#total += milliseconds;
    this.#shared.done += milliseconds;
    this.client.work.add(milliseconds);
    this.#unreserve(milliseconds);
  }

  /**
   * Waits until its client may use the service: not at all within its budget; beyond it, in turn with other such clients.
   * @throws Problem `rate-limited` if too many requests of its client wait, or it waited too long
   */
  async takeTurn(): Promise<void> {
    if (this.#isFinished) await new Promise(() => {}); // nobody waits for the response
    if (!this.#hasTurn) {
      this.#hasTurn = true;
      const { client } = this;
      if (client.work.level < 1 && !this.#shared.queue.isWaiting(client)) this.#reserve();
      else await this.#wait(client);
    }
    chargeLoopTo(this);
  }

  /** Ends the request. Call it when its response was sent or its connection closed. */
  finish(): void {
    this.#isFinished = true;
    this.#leaveQueue();
    this.#unreserve(Infinity);
    if (!this.#isLong) this.#observe();
    this.endTurn();
    this.#shared.queue.startNext();
  }

  /**
   * Goes on with a response that may be long. What it took so far tells how much a request to its route takes; the rest
   * depends on the length.
   */
  continueAsLong(): void {
    this.#isLong = true;
    this.#unreserve(Infinity);
    this.#observe();
    this.endTurn();
  }

  #observe(): void {
    if (this.#total > 0) this.#shared.estimates.observe(this.#route, this.#total);
  }

  /** Lets its client's next request start before it is finished: a stream may take for ever. */
  endTurn(): void {
    this.#release(this.#total * REST);
    this.#release = () => {};
  }

  #wait(client: Client): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#leaveQueue = this.#shared.queue.join(client, {
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
    const left = this.#shared.estimates.of(this.#route);
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

function refusal({ kind, work }: Client, { isLate }: TurnRefused): Problem {
  const seconds = Math.max(1, Math.ceil(work.recoverySeconds));
  const why = isLate
    ? `and this request waited ${LONGEST_WAIT / 1000} s for its turn`
    : 'and too many of its requests wait for their turn';
  return new Problem(
    'rate-limited',
    `Your ${kind} is beyond its budget of work, ${why}; try again in ${seconds} s.`,
    { headers: { 'retry-after': String(seconds) } },
  );
}
