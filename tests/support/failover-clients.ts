import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { EventClient } from './event-client.ts';

/** A client of the event stream that goes on after each end, as an EventSource does. */
export class LastingStream {
  readonly #client: EventClient;
  readonly #running: Promise<void>;
  readonly #resetTimes: number[] = [];
  #isOver = false;

  constructor(origin: string) {
    this.#client = new EventClient(`${origin}/v1/events`);
    this.#running = this.#run();
    const watch = setInterval(() => {
      if (this.#isOver) clearInterval(watch);
      const resets = this.received.filter((position) => position === null).length;
      while (this.#resetTimes.length < resets) this.#resetTimes.push(performance.now());
    }, 10);
  }

  /** Whether it has what it resumes from. */
  get isOpen(): boolean {
    return this.#client.lastEventId !== '';
  }

  /** The position of each event, in the order of arrival; null for a reset. */
  get received(): (number | null)[] {
    return this.#client.events.map(({ event, id }) =>
      event === 'stream.reset' ? null : Number.parseInt(id, 10),
    );
  }

  /** When each reset came, by `performance.now()`, within 10 ms. */
  get resetTimes(): readonly number[] {
    return this.#resetTimes;
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await this.#client.leave();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.#client.connect();
        await this.#client.end;
      } catch {
        // no instance is ready, or the proxy closed the connection
      }
      await delay(100);
    }
  }
}

export type Reads = {
  /** How many reads had each status. */
  statuses: Map<number, number>;
  /** Responses that a client could not use. */
  faults: string[];
  /** The hash of each version that was served, with the start of the last read that got it, by `performance.now()`. */
  served: Map<string, number>;
};

/** Reads outlooks until it is over. */
export async function keepReading(
  origin: string,
  slugs: readonly string[],
  isOver: () => boolean,
): Promise<Reads> {
  const reads: Reads = { statuses: new Map(), faults: [], served: new Map() };
  while (!isOver()) {
    // Half of them are of a time of their own, and so query the database.
    const query = randomInt(2) === 0 ? '' : `?asOf=${new Date().toISOString()}`;
    const url = `${origin}/v1/outlooks/${slugs[randomInt(slugs.length)]}${query}`;
    const began = performance.now();
    const response = await fetch(url, { signal: AbortSignal.timeout(30_000) });
    const text = await response.text();
    reads.statuses.set(response.status, (reads.statuses.get(response.status) ?? 0) + 1);
    if (response.status === 200)
      reads.served.set((JSON.parse(text) as { hash: string }).hash, began);
    const saysWhen = response.status === 503 && response.headers.has('retry-after');
    if (response.status !== 200 && !saysWhen) reads.faults.push(`${response.status} ${text}`);
    await delay(randomInt(20));
  }
  return reads;
}
