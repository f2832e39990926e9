import type { Session } from '../postgres/pool.ts';

/** A generation of the log, with its tree as it is stored. */
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

/** Selects the newest generation. */
export const NEWEST_GENERATION = `select ${COLUMNS} from log_generations order by generation desc limit 1`;

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

/** The leaf of the event at a position; null if an earlier generation has it. The inverse of {@link positionOfLeaf}. */
export function leafOfPosition(
  { generation, afterPosition }: Pick<Generation, 'generation' | 'afterPosition'>,
  position: number,
): number | null {
  return position > afterPosition ? position - afterPosition - (generation === 1 ? 1 : 0) : null;
}

/**
 * The commitments of at most `count` leaves, from the one at `index` on. Fewer if there are no more events with positions.
 * @throws Error if one is missing between them
 */
export async function readCommitments(
  session: Session,
  generation: Generation,
  { index, count }: { index: number; count: number },
): Promise<Buffer[]> {
  const commitments = await storedCommitments(session, generation, { index, count });
  const missing = commitments.indexOf(null);
  if (missing === -1) return commitments as Buffer[];
  const position = positionOfLeaf(generation, index + missing);
  throw new Error(`the event at position ${position} has no opening`);
}

/** Like {@link readCommitments}, for the transaction that appends them: events that lack an opening get one. */
export async function openCommitments(
  session: Session,
  generation: Generation,
  range: { index: number; count: number },
): Promise<Buffer[]> {
  const commitments = await storedCommitments(session, generation, range);
  const first = commitments.indexOf(null);
  if (first === -1) return commitments as Buffer[];
  const last = commitments.lastIndexOf(null);
  await session.query('select open_late_events($1, $2)', [
    positionOfLeaf(generation, range.index + first),
    positionOfLeaf(generation, range.index + last),
  ]);
  return readCommitments(session, generation, range);
}

/** Null stands for an event without an opening. */
async function storedCommitments(
  session: Session,
  generation: Generation,
  { index, count }: { index: number; count: number },
): Promise<(Buffer | null)[]> {
  const statement =
    generation.generation > 1 && index === 0 ? [await statementOf(session, generation)] : [];
  const first = positionOfLeaf(generation, index + statement.length);
  const { rows } = await session.query<{ position: number; commitment: Buffer | null }>({
    name: 'read-log-commitments',
    text: `select e.position, o.commitment
      from events e left join openings o on o.event_id = e.id
     where e.position between $1 and $2 order by e.position`,
    values: [first, first + count - statement.length - 1],
  });
  rows.forEach(({ position }, at) => {
    if (position !== first + at) throw new Error(`the event at position ${first + at} is missing`);
  });
  return [...statement, ...rows.map(({ commitment }) => commitment)];
}

/** Leaf 0 of a generation after the first. */
async function statementOf(session: Session, { generation }: Generation): Promise<Buffer> {
  const { rows } = await session.query<{ commitment: Buffer }>(
    'select commitment from log_generations where generation = $1',
    [generation],
  );
  if (!rows[0]) throw new Error(`the log has no generation ${generation}`);
  return rows[0].commitment;
}
