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
    const received = this.client.events.slice(this.#mark.events);
    const got = received.map(({ id }) => id);
    const resets = received.flatMap(({ event }, index) =>
      event === 'stream.reset' ? [index] : [],
    );
    const [first] = resets;
    // Events that were on their way at the mark may come before the reset.
    const last = (first ? got[first - 1] : undefined) ?? this.#mark.lastEventId;
    const isLost = last !== '0' && !ids.includes(last);
    const faults = [...this.faults];
    if (resets.length !== (isLost ? 1 : 0)) {
      faults.push(`${last} is ${isLost ? 'gone' : 'there'}, but ${resets.length} resets were told`);
    }
    const current = got.slice(first ?? 0);
    const due = ids.slice(isLost ? ids.indexOf(current[0] ?? '') : ids.indexOf(last) + 1);
    if (current.join() !== due.join()) {
      faults.push(`got ${current.join(' ')} instead of ${due.join(' ')}`);
    }
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
