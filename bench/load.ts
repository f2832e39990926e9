import type { Figures } from './figures.ts';
import type { Worker } from './workers.ts';

export type Shot = {
  path: string;
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: string;
  /** Whether each request has an `Idempotency-Key` of its own and, as If-Match, the ETag of the last response for its path. */
  isGuarded?: boolean;
};

/** Requests by connection; each connection repeats its own in order. */
export type Shots = { origin: string; dealt: readonly (readonly Shot[])[] };

/** Full speed, for some seconds or until each request was sent once. */
export type FullSpeed = Shots & {
  kind: 'full-speed';
  /** The process whose CPU is counted. */
  pid: number;
  seconds: number | 'once';
  /** The status that every response must have. */
  status: number;
  /** The warm-up, which is not counted: what to send and for how long. */
  warmUp: (Shots & { seconds: number | 'once' }) | null;
};

/** One request at a steady rate, spread over connections. */
export type Paced = {
  kind: 'paced';
  origin: string;
  path: string;
  pid: number;
  connections: number;
  perSecond: number;
  seconds: number;
};

export type Generator = Worker<FullSpeed | Paced, Figures>;

/** How much longer than planned a job may take, in milliseconds. */
export const SLACK = 30_000;

/** How long reading everything once may take, in milliseconds. */
export const ONCE_WITHIN = 420_000;

export function fire(generator: Generator, job: FullSpeed | Paced): Promise<Figures> {
  const seconds = job.seconds === 'once' ? ONCE_WITHIN / 1000 : job.seconds;
  return generator.ask(job, seconds * 1000 + SLACK);
}

/**
 * Deals items out to connections like cards, so that no two connections request the same item at once. With fewer items
 * than connections, some connections share items.
 */
export function deal<Item>(items: readonly Item[], hands: number): Item[][] {
  const dealt: Item[][] = Array.from({ length: hands }, () => []);
  const count = Math.max(items.length, hands);
  for (let index = 0; index < count; index += 1) {
    const item = items[index % items.length];
    if (item !== undefined) dealt[index % hands]?.push(item);
  }
  return dealt;
}
