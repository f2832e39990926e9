/** The queue is full, or a request waited too long in it. */
export class TurnRefused extends Error {
  readonly isLate: boolean;

  constructor({ isLate }: { isLate: boolean }) {
    super();
    this.isLate = isLate;
  }
}

/** A request that waits for its turn. */
export type Waiter = {
  /** Starts the request. Call `release` when it has finished; its client then rests for some milliseconds. */
  start: (release: (rest: number) => void) => void;
  /** Refuses the request. */
  refuse: (reason: TurnRefused) => void;
};

type Waiting = Waiter & { timer: NodeJS.Timeout };

type Bounds = {
  /** How many requests run at the same time. */
  atOnce: number;
  mostWaiting: number;
  mostWaitingPerClient: number;
  /** How long a request may wait, in milliseconds. */
  longestWait: number;
  /** After how long the next request starts even if this one runs on, in milliseconds: its client may read slowly. */
  longestTurn: number;
};

/**
 * Lets clients take turns, however many requests each of them sends. One request runs at a time for each client, and
 * `atOnce` in all. When the queue is full, the client with the most waiting requests loses its newest one. Written here
 * because published queues (p-queue, bottleneck) have one order for all and no bound for each client.
 */
export class FairQueue<Client extends object> {
  readonly #bounds: Bounds;
  readonly #mayStart: (client: Client) => boolean;
  /** The waiting requests of each client, in the order of the turns. No line is empty. */
  readonly #lines = new Map<Client, Waiting[]>();
  /** The clients whose request runs, or who rest after one. */
  readonly #served = new Set<Client>();
  #running = 0;
  #waiting = 0;

  /** @param mayStart whether a client's next request may start without a turn */
  constructor(bounds: Bounds, mayStart: (client: Client) => boolean) {
    this.#bounds = bounds;
    this.#mayStart = mayStart;
  }

  /** How many requests wait. */
  get size(): number {
    return this.#waiting;
  }

  /** Whether a client has requests that wait. */
  isWaiting(client: Client): boolean {
    return this.#lines.has(client);
  }

  /**
   * Starts or refuses a waiter, at once or later.
   * @returns a function that takes the waiter out of the queue
   */
  join(client: Client, waiter: Waiter): () => void {
    const line = this.#lines.get(client) ?? [];
    if (line.length >= this.#bounds.mostWaitingPerClient) {
      waiter.refuse(new TurnRefused({ isLate: false }));
      return () => {};
    }
    const refuseLate = () => {
      if (this.#remove(client, waiting)) waiter.refuse(new TurnRefused({ isLate: true }));
    };
    const timer = setTimeout(refuseLate, this.#bounds.longestWait).unref();
    const waiting = { ...waiter, timer };
    this.#lines.set(client, line);
    line.push(waiting);
    this.#waiting += 1;
    if (this.#waiting > this.#bounds.mostWaiting) this.#dropNewest();
    this.startNext();
    return () => void this.#remove(client, waiting);
  }

  /** Starts whatever may start now. Call it whenever a request of any client has finished. */
  startNext(): void {
    for (const [client, line] of this.#lines) {
      while (line[0] && this.#mayStart(client)) this.#take(client, line[0]).start(() => {});
    }
    while (this.#running < this.#bounds.atOnce) {
      const next = this.#next();
      if (!next) return;
      this.#serve(next.client, this.#take(next.client, next.waiting));
    }
  }

  #next(): { client: Client; waiting: Waiting } | null {
    for (const [client, [waiting]] of this.#lines) {
      if (waiting && !this.#served.has(client)) return { client, waiting };
    }
    return null;
  }

  #serve(client: Client, waiting: Waiting): void {
    this.#served.add(client);
    this.#running += 1;
    const letNextStart = () => {
      if (timer === null) return;
      clearTimeout(timer);
      timer = null;
      this.#running -= 1;
    };
    let timer: NodeJS.Timeout | null = setTimeout(() => {
      letNextStart();
      this.startNext();
    }, this.#bounds.longestTurn).unref();
    const end = () => {
      letNextStart();
      this.#served.delete(client);
      this.startNext();
    };
    waiting.start((rest) => {
      if (rest > 0) setTimeout(end, rest).unref();
      else end();
    });
  }

  /** Takes a request out of the queue, and moves its client to the end. */
  #take(client: Client, waiting: Waiting): Waiting {
    this.#remove(client, waiting);
    const line = this.#lines.get(client);
    if (line && this.#lines.delete(client)) this.#lines.set(client, line);
    return waiting;
  }

  #remove(client: Client, waiting: Waiting): boolean {
    const line = this.#lines.get(client) ?? [];
    const at = line.indexOf(waiting);
    if (at === -1) return false;
    clearTimeout(waiting.timer);
    line.splice(at, 1);
    this.#waiting -= 1;
    if (line.length === 0) this.#lines.delete(client);
    return true;
  }

  /** Refuses the newest request of the client with the most. */
  #dropNewest(): void {
    const [first, ...others] = this.#lines;
    if (!first) return;
    const [client, line] = others.reduce(
      (most, one) => (one[1].length > most[1].length ? one : most),
      first,
    );
    const newest = line.at(-1);
    if (newest && this.#remove(client, newest)) newest.refuse(new TurnRefused({ isLate: false }));
  }
}
