import type { Figures } from './figures.ts';
import type { Worker } from './workers.ts';

export type Shot = {
  path: string;
  method?: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: string;
};

/** Requests by connection, each of which goes through its own again and again. */
export type Shots = { origin: string; dealt: readonly (readonly Shot[])[] };

/** As fast as the connections go: for some seconds, or until each request was made once. */
export type FullSpeed = Shots & {
  kind: 'full-speed';
  /** The process whose CPU is counted. */
  pid: number;
  seconds: number | 'once';
  /** The status that every answer must have. */
  status: number;
  /** What to send before, and for how long; not counted. */
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

/** Milliseconds that a job may take beyond what it is told to. */
export const SLACK = 30_000;

/** Milliseconds that reading everything once may take. */
export const ONCE_WITHIN = 420_000;

export function fire(generator: Generator, job: FullSpeed | Paced): Promise<Figures> {
  const seconds = job.seconds === 'once' ? ONCE_WITHIN / 1000 : job.seconds;
  return generator.ask(job, seconds * 1000 + SLACK);
}

/**
 * Deals items out like cards, so that no two connections ask for the same at a time. Where there are
 * fewer items than hands, some hands hold the same.
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
