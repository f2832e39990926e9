import { EMPTY_ROOT, rootAt } from '../domain/merkle-tree.ts';
import { checkpointText, vkeyOf } from '../domain/signed-note.ts';
import type { Session } from '../postgres/pool.ts';
import { isSignedBy, newestCheckpoint } from './checkpoints.ts';
import type { Generation } from './generations.ts';
import { readStateIfAny, replaceState, type SigningKey, stateText } from './signing-key.ts';
import { treeReader } from './tree.ts';

/** Why a checkpoint can't be adopted; the message says what to do. */
export class NotAdoptable extends Error {}

/**
 * Gives a key whose state file is lost, or that replaces a lost one, a new state file: it goes on from the newest checkpoint in
 * the ledger. The ledger can't tell whether a later one was signed.
 * @param replacesKey whether a checkpoint of another key will do
 * @returns the size of the checkpoint, 0 if the ledger has none; null if the key has its state file
 * @throws NotAdoptable if the checkpoint is not the key's, or the tree does not extend it
 */
export async function adoptCheckpoint(
  session: Session,
  { generation, origin, size }: Generation,
  key: SigningKey,
  replacesKey: boolean,
): Promise<number | null> {
  const newest = await newestCheckpoint(session, generation);
  const state = await readStateIfAny(key);
  if (state !== null && (state.head !== null || newest === null)) return null;
  if (newest === null) {
    const text = checkpointText({ origin, size: 0, root: EMPTY_ROOT });
    await replaceState(key, await stateText(key), text);
    return 0;
  }
  const isOurs = isSignedBy(newest.note, [vkeyOf(origin, key.publicKey)]);
  if (!isOurs && !(replacesKey && isSignedBy(newest.note, newest.vkeys))) {
    throw new NotAdoptable(
      `another key signed the newest checkpoint (${newest.vkeys.join(', ')}). If ${key.file} replaces that key, add --replaces-key`,
    );
  }
  const read = treeReader(session, generation);
  const text = checkpointText({ origin, size: newest.size, root: newest.root });
  const isExtended =
    newest.size <= size &&
    (await rootAt(newest.size, read)).equals(newest.root) &&
    newest.note.startsWith(text);
  if (!isExtended) {
    throw new NotAdoptable(
      'the log does not extend its newest checkpoint: start a new generation with npm run keys -- log new-generation',
    );
  }
  await replaceState(key, await stateText(key), isOurs ? newest.note : text);
  return newest.size;
}
