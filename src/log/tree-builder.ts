import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type pg from 'pg';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { Session } from '../postgres/pool.ts';
import {
  type Generation,
  NEWEST_GENERATION,
  newestGeneration,
  positionOfLeaf,
  startFirstGeneration,
} from './generations.ts';
import { extendTree, LEAVES_AT_ONCE } from './tree.ts';

/** How often to poll for events, in milliseconds. The change feed reports most of them earlier. */
const POLL_EVERY = 500;
/** The least time between two polls, in milliseconds: events committed in the meantime share a transaction. */
const MIN_PAUSE = 400;
/** The least pause while there is more to do, in milliseconds: another instance may be doing it. */
const MIN_TURN = 50;
/** The longest pause while there is more to do, in milliseconds. */
const MAX_PAUSE = 1_000;
/** How many rows older than the log are digested in one transaction. */
const ROWS_AT_ONCE = 500;

export type TreeBuilderDeps = {
  pool: pg.Pool;
  feed: ChangeFeed;
  now: () => Date;
  log: FastifyBaseLogger;
  /** The public host of the service, which names the first generation; null if it has none. */
  host: string | null;
};

type HeadFollower = (generation: Generation) => Promise<void>;

/**
 * Extends the log while the service runs: its tree by new events, and the ledger's digests by the rows that are older than the
 * log. Every instance does so, and they take turns, so the log goes on when one of them stops.
 */
export class TreeBuilder {
  readonly #deps: TreeBuilderDeps;
  readonly #followers: HeadFollower[] = [];
  #isDigested = false;
  #hasFailed = false;
  readonly #stop = new AbortController();
  #isWoken = false;
  #endPause: () => void = () => {};
  #running: Promise<void> | null = null;

  constructor(deps: TreeBuilderDeps) {
    this.#deps = deps;
    deps.feed.follow({ onEvents: () => this.#wake() });
  }

  /** Works from when the app listens until it closes. */
  runWith(app: FastifyInstance): void {
    app.addHook('onListen', async () => void (this.#running = this.#run()));
    app.addHook('preClose', async () => {
      this.#stop.abort();
      this.#wake();
      await this.#running;
    });
  }

  /**
   * Calls `follower` after every poll, whether the tree has grown or not, with the newest generation as it is stored. The next
   * poll waits for it.
   */
  onHead(follower: HeadFollower): void {
    this.#followers.push(follower);
  }

  #wake(): void {
    this.#isWoken = true;
    this.#endPause();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#isWoken = false;
      const startedAt = performance.now();
      const hasMore = await this.#tryOnce();
      // While there is much to do, writers get half of the time.
      const elapsed = performance.now() - startedAt;
      await this.#pause(hasMore ? Math.min(Math.max(elapsed, MIN_TURN), MAX_PAUSE) : MIN_PAUSE);
      if (!hasMore && !this.#isWoken) {
        const woken = new Promise<void>((resolve) => (this.#endPause = resolve));
        await Promise.race([woken, this.#pause(POLL_EVERY - MIN_PAUSE)]);
      }
    }
  }

  /** Ends early when the service stops. */
  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { ref: false, signal: this.#stop.signal }).catch(() => {});
  }

  /** @returns whether there is more to do */
  async #tryOnce(): Promise<boolean> {
    try {
      const hasMore = await this.#workOnce();
      if (this.#hasFailed) this.#deps.log.info('the transparency log is extended again');
      this.#hasFailed = false;
      return hasMore;
    } catch (error) {
      // Logged once, not each time while the database is away.
      if (!this.#hasFailed)
        this.#deps.log.warn({ err: error }, 'could not extend the transparency log; trying again');
      this.#hasFailed = true;
      return false;
    }
  }

  async #workOnce(): Promise<boolean> {
    const { pool, host, now } = this.#deps;
    const { generation, due } = await readDue(pool);
    if (!generation) {
      await startFirstGeneration(pool, host, now());
      return true;
    }
    const extended = due > 0 ? await extendTree(pool) : null;
    const head = extended ?? (due > 0 ? await newestGeneration(pool) : generation);
    for (const follow of this.#followers) await follow(head ?? generation);
    if (!this.#isDigested) this.#isDigested = !(await digestExistingRows(pool));
    // Without the lock there is nothing to do but wait: another instance extends the tree.
    return (extended !== null && due > LEAVES_AT_ONCE) || !this.#isDigested;
  }
}

/**
 * Gives positions to new events, and looks for those that the log lacks.
 *
 * @returns the newest generation, and how many leaves it lacks
 */
async function readDue(session: Session): Promise<{ generation: Generation | null; due: number }> {
  // One message, so that an idle ledger answers a single one each time. It writes and locks nothing then.
  const [, positions, generations] = (await session.query(
    `select sequence_events(); select max(coalesce(log_position, position)) as last from events; ${NEWEST_GENERATION}`,
  )) as unknown as [unknown, { rows: { last: number | null }[] }, { rows: Generation[] }];
  const last = positions.rows[0]?.last ?? 0;
  const [generation = null] = generations.rows;
  const due = generation ? last + 1 - positionOfLeaf(generation, generation.size) : 0;
  return { generation, due };
}

/**
 * Digests some of the rows from before the log. The last call writes the event that says that all are digested.
 * @returns whether there may be more
 */
export async function digestExistingRows(session: Session): Promise<boolean> {
  const { rows } = await session.query<{ hasMore: boolean }>({
    name: 'digest-existing-rows',
    text: 'select digest_existing_rows($1) as "hasMore"',
    values: [ROWS_AT_ONCE],
  });
  return rows[0]?.hasMore === true;
}
