import type { Session } from '../postgres/pool.ts';
import { type Generation, positionOfLeaf } from './generations.ts';

/**
 * The commitments of at most `count` leaves, from the one at `index` on. Fewer if no more events have a place in the log.
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
    text: `select coalesce(e.log_position, e.position) as position, o.commitment
      from events e left join openings o on o.event_id = e.id
     where coalesce(e.log_position, e.position) between $1 and $2 order by 1`,
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
