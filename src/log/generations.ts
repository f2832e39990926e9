import type pg from 'pg';
import { inTransaction, type Session } from '../postgres/pool.ts';
import { lockLog } from './locks.ts';
import { originOf } from './origins.ts';

/**
 * A generation of the log, with its tree as it is stored. Positions here are places in the log (`log_position`), which
 * administrative events have as well.
 */
export type Generation = {
  /** From 1. */
  generation: number;
  /** What its checkpoints name it, for good. */
  origin: string;
  startedAt: Date;
  /** The position of the last event that it leaves to the generation before; 0 for the first one. */
  afterPosition: number;
  size: number;
  root: Buffer;
};

const COLUMNS = `generation, origin, started_at as "startedAt", after_position as "afterPosition", size, root`;

/** The number of a generation, as a path has it; null if there can't be such a generation. */
export function parseGeneration(text: string): number | null {
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : null;
}

/** Selects the newest generation. */
export const NEWEST_GENERATION = `select ${COLUMNS} from log_generations order by generation desc limit 1`;

/**
 * A generation by its number; null if there is none.
 * @returns also the size of its newest checkpoint: null if the log was never signed. Only one that is signed gets a second
 *   generation, so of a generation without a checkpoint nothing is published then, whichever instance is asked.
 */
export async function readGeneration(
  session: Session,
  generation: number,
): Promise<(Generation & { signedSize: number | null }) | null> {
  const { rows } = await session.query<Generation & { signedSize: number | null }>({
    name: 'read-log-generation',
    text: `select ${COLUMNS}, coalesce(
          (select max(c.size) from log_checkpoints c where c.generation = $1),
          (select 0 from log_generations where generation > 1 limit 1)) as "signedSize"
      from log_generations where generation = $1`,
    values: [generation],
  });
  return rows[0] ?? null;
}

/** The newest generation, the only one that grows; null before the first one has started. */
export async function newestGeneration(session: Session): Promise<Generation | null> {
  const { rows } = await session.query<Generation>({
    name: 'newest-log-generation',
    text: NEWEST_GENERATION,
  });
  return rows[0] ?? null;
}

/**
 * The position of the event that is the leaf at `index`. In a generation after the first, leaf 0 is no event but the statement
 * that started it.
 */
export function positionOfLeaf(
  { generation, afterPosition }: Pick<Generation, 'generation' | 'afterPosition'>,
  index: number,
): number {
  return afterPosition + index + (generation === 1 ? 1 : 0);
}

/**
 * Starts the first generation, unless there is one.
 * @param host the public host of the service, with its port if it has one, for the origin; null if it has none
 */
export async function startFirstGeneration(
  pool: pg.Pool,
  host: string | null,
  now: Date,
): Promise<void> {
  await inTransaction(pool, async (session) => {
    await lockLog(session);
    await session.query(
      `insert into log_generations (generation, origin, started_at, after_position)
        select 1, $1, $2, 0 where not exists (select from log_generations)`,
      [originOf(host, 1, null), now],
    );
  });
}
