import { checkpointText, parseNote } from '../../domain/signed-note.ts';
import type { Session } from '../../postgres/pool.ts';
import type { RowFaults } from './faults.ts';
import type { EarlierRoot, Generation } from './tree.ts';

type Checkpoint = { size: number; root: Buffer; note: string };

/**
 * The published checkpoints of a generation, as roots that its tree must have had. Notes that say something else than their
 * rows, and those of a larger tree, are faults at once.
 */
export async function publishedRoots(
  session: Session,
  { generation, origin, size: treeSize }: Generation,
  faults: RowFaults,
): Promise<EarlierRoot[]> {
  const { rows } = await session.query<Checkpoint>(
    'select size, root, note from log_checkpoints where generation = $1 order by size',
    [generation],
  );
  return rows.flatMap(({ size, root, note }) => {
    const fault = (text: string) => faults.add('log_checkpoints', text, `${generation},${size}`);
    if (parseNote(note)?.text !== checkpointText({ origin, size, root })) {
      fault('says something else than its note');
    }
    if (size > treeSize) {
      fault('is of a larger tree than the log has');
      return [];
    }
    return { size, root, onDifference: () => fault('is of another tree than the log has') };
  });
}
