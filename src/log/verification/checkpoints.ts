import { checkpointText, parseNote } from '../../domain/signed-note.ts';
import type { Session } from '../../postgres/pool.ts';
import { checkpointsOf, isSignedBy } from '../checkpoints.ts';
import type { RowFaults } from './faults.ts';
import type { EarlierRoot, Generation } from './tree.ts';

/**
 * The published checkpoints of a generation, as roots that its tree must have had. Notes that do not match their rows,
 * and those of a larger tree, are faults at once.
 */
export async function publishedRoots(
  session: Session,
  { generation, origin, size: treeSize }: Generation,
  faults: RowFaults,
): Promise<EarlierRoot[]> {
  const checkpoints = await checkpointsOf(session, generation);
  return checkpoints.toReversed().flatMap(({ size, root, note, vkeys }) => {
    const fault = (text: string) => faults.add('log_checkpoints', text, `${generation},${size}`);
    if (parseNote(note)?.text !== checkpointText({ origin, size, root })) {
      fault('does not match its note');
    } else if (!isSignedBy(note, vkeys)) fault('has no signature of the key that it names');
    if (size > treeSize) {
      fault('is of a larger tree than the log has');
      return [];
    }
    return { size, root, onDifference: () => fault('is of another tree than the log has') };
  });
}
