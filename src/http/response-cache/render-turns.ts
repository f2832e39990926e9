import { Problem } from '../problems.ts';

/** How many large responses are rendered at once. Rendering takes several times the memory of the response. */
const AT_ONCE = 4;
/** How long a response may wait for its turn, in milliseconds; as long as for a connection of the pool. */
const LONGEST_WAIT = 5_000;

/** Renders large responses a few at a time, in the order in which they were asked for. */
export class RenderTurns {
  #running = 0;
  readonly #waiting = new Set<() => void>();

  /**
   * Renders a response when its turn comes.
   * @throws Problem `overloaded` if its turn does not come in time
   */
  async take<Draft>(render: () => Promise<Draft>): Promise<Draft> {
    if (this.#running >= AT_ONCE) await this.#turn();
    else this.#running += 1;
    try {
      return await render();
    } finally {
      this.#pass();
    }
  }

  /** Resolves once an earlier one has passed its turn on. */
  #turn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(start);
        const detail = 'The service is rendering as many large responses as it can.';
        reject(new Problem('overloaded', detail, { headers: { 'retry-after': '2' } }));
      }, LONGEST_WAIT);
      const start = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiting.add(start);
    });
  }

  #pass(): void {
    const [next] = this.#waiting;
    if (!next) this.#running -= 1;
    else {
      this.#waiting.delete(next);
      next();
    }
  }
}
