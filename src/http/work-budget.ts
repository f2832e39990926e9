/** How much unused budget a client may save up for a burst, in seconds of its rate. */
const BURST = 2;

/**
 * The work that a client may cause: some milliseconds a second, of which up to {@link BURST} seconds' worth may come at once
 * (a leaky bucket). Work in progress counts by an estimate until it is measured.
 */
export class WorkBudget {
  readonly #rate: number;
  #done = 0;
  #reserved = 0;
  #at = performance.now();

  /** @param rate milliseconds of work a second; 0 for no limit */
  constructor(rate: number) {
    this.#rate = rate;
  }

  /** The part of the burst that is used up; above 1 for a client beyond its budget. */
  get level(): number {
    if (this.#rate === 0) return 0;
    const now = performance.now();
    this.#done = Math.max(0, this.#done - ((now - this.#at) * this.#rate) / 1000);
    this.#at = now;
    return (this.#done + this.#reserved) / (this.#rate * BURST);
  }

  /** Seconds until a client beyond its budget is within it again. */
  get recoverySeconds(): number {
    return Math.max(0, this.level - 1) * BURST;
  }

  /** Counts work that was done. */
  add(milliseconds: number): void {
    this.#done += milliseconds;
  }

  /** Counts work that is about to begin; a negative number takes it back. */
  reserve(milliseconds: number): void {
    this.#reserved += milliseconds;
  }
}

/** The estimate for the first request to a route, in milliseconds. */
const FIRST_ESTIMATE = 100;

/**
 * Estimates the most work that a request to a route is likely to cause: the running mean and four times the mean deviation,
 * as TCP estimates round trips (RFC 6298, section 2). All values are milliseconds.
 */
export class WorkEstimates {
  readonly #routes = new Map<string, { mean: number; deviation: number }>();

  of(route: string): number {
    const known = this.#routes.get(route);
    return known ? known.mean + 4 * known.deviation : FIRST_ESTIMATE;
  }

  observe(route: string, milliseconds: number): void {
    const known = this.#routes.get(route) ?? { mean: milliseconds, deviation: milliseconds / 2 };
    const error = milliseconds - known.mean;
    known.deviation += (Math.abs(error) - known.deviation) / 4;
    known.mean += error / 8;
    this.#routes.set(route, known);
  }
}
