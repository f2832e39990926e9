import { setTimeout as delay } from 'node:timers/promises';
import { EventClient } from './event-client.ts';

/** A place in what a follower got: how many events, and the id of the last one. */
type Mark = { events: number; lastEventId: string };

/** Follows like a page: it connects again, to any instance, whenever a stream ends. It began with the first event. */
export class StreamFollower {
  readonly client = new EventClient('', { lastEventId: '0' });
  /** What went wrong while it connected, other than that the service was unavailable. */
  readonly faults: string[] = [];
  readonly #nextUrl: () => string;
  #mark: Mark = { events: 0, lastEventId: '0' };
  #isOver = false;
  #running: Promise<void> = Promise.resolve();

  /** @param nextUrl where it connects next */
  constructor(nextUrl: () => string) {
    this.#nextUrl = nextUrl;
  }

  start(): this {
    this.#running = this.#run();
    return this;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.client.leave();
    await this.#running;
  }

  /** Marks what it got so far. Call it while the database is away, after which its ledger may be another. */
  mark(): void {
    const { events, lastEventId } = this.client;
    this.#mark = { events: events.length, lastEventId };
  }

  /**
   * What is wrong with what it got since the mark: it must have been told if its last event is gone, and only then, and have
   * all later events, each once.
   * @param ids of all events that the ledger has had since
   */
  faultsIn(ids: readonly string[]): string[] {
    const { events, lastEventId } = this.#mark;
    const received = this.client.events.slice(events);
    const resets = received.filter(({ event }) => event === 'stream.reset').length;
    const isLost = lastEventId !== '0' && !ids.includes(lastEventId);
    const faults = [...this.faults];
    if (resets !== (isLost ? 1 : 0)) {
      faults.push(`${lastEventId} is ${isLost ? 'gone' : 'there'}, but ${resets} resets were told`);
    }
    const got = received.map(({ id }) => id);
    const after = isLost ? ids.indexOf(got[0] ?? '') : ids.indexOf(lastEventId) + 1;
    const due = after === -1 ? [] : ids.slice(after);
    if (got.join() !== due.join()) faults.push(`got ${got.join(' ')} instead of ${due.join(' ')}`);
    return faults;
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.client.connect(this.#nextUrl());
        await this.client.end;
      } catch (error) {
        if (!/answered 503|fetch failed/.test(String(error))) this.faults.push(String(error));
      }
      await delay(20);
    }
  }
}
