import { randomBytes } from 'node:crypto';
import { commitmentOf } from '../domain/log-entries.ts';
import { EMPTY_ROOT, rootAt } from '../domain/merkle-tree.ts';
import { checkpointText, type TreeHead, vkeyOf } from '../domain/signed-note.ts';
import type { Session } from '../postgres/pool.ts';
import { checkpointsOf, isSignedBy, publishCheckpoint } from './checkpoints.ts';
import { type Generation, positionOfLeaf } from './generations.ts';
import { generationIn, originOf } from './origins.ts';
import {
  readStateIfAny,
  replaceState,
  signedNote,
  type SigningKey,
  stateText,
} from './signing-key.ts';
import { treeReader } from './tree.ts';

/** The log that a generation follows, as it was last signed, and how many of its leaves the ledger still has. */
export type Predecessor = TreeHead & { agreed: number };

/** What a new generation follows, and what it will be. */
export type GenerationPlan = {
  previous: Predecessor;
  generation: number;
  origin: string;
  /** The last event that is left to the generations before. */
  afterPosition: number;
};

/**
 * Plans the generation that follows the log as its keys last signed it. What the ledger still has of that is agreed: up to the
 * last checkpoint if the tree extends it, else up to the newest one in the ledger, which the keys signed before.
 * @param host the public host of the service; null if it has none
 * @param least its least number, where the ledger and the keys have forgotten generations that were signed
 */
export async function planGeneration(
  session: Session,
  current: Generation,
  { keys, host, least = 1 }: { keys: readonly SigningKey[]; host: string | null; least?: number },
): Promise<GenerationPlan> {
  const signed = [...(await signedHeads(keys)), ...(await checkpointsIn(session, current, keys))];
  const [last = { origin: current.origin, size: 0, root: EMPTY_ROOT }] = signed.sort(
    (a, b) => generationIn(b.origin) - generationIn(a.origin) || b.size - a.size,
  );
  const isOfCurrent = last.origin === current.origin;
  const agreed = isOfCurrent ? await agreedSize(session, current, signed) : 0;
  const known = Math.max(current.generation, generationIn(last.origin));
  const generation = Math.max(known + 1, least);
  const { origin, size, root } = last;
  return {
    previous: { origin, size, root, agreed },
    generation,
    origin: originOf(host, generation, current.origin),
    afterPosition: isOfCurrent ? lastPosition(current, agreed) : 0,
  };
}

/** The position of the last event that the first leaves of a generation, or one before it, stand for. */
function lastPosition(current: Generation, leaves: number): number {
  return leaves === 0 ? current.afterPosition : positionOfLeaf(current, leaves - 1);
}

/** What the state files say; nothing for keys without one. */
async function signedHeads(keys: readonly SigningKey[]): Promise<TreeHead[]> {
  const states = await Promise.all(keys.map(readStateIfAny));
  return states.flatMap((state) => state?.head ?? []);
}

/** The checkpoints of a generation in the ledger that are signed as they say. */
async function checkpointsIn(
  session: Session,
  { generation, origin }: Generation,
  keys: readonly SigningKey[],
): Promise<TreeHead[]> {
  const ours = keys.map(({ publicKey }) => vkeyOf(origin, publicKey));
  const checkpoints = await checkpointsOf(session, generation);
  return checkpoints
    .filter(({ note, vkeys }) => isSignedBy(note, [...ours, ...vkeys]))
    .map(({ size, root, note }) => ({ origin, size, root, note }))
    .filter(({ note, ...head }) => note.startsWith(`${checkpointText(head)}\n`));
}

/** The largest size at which the tree is the one that was signed. */
async function agreedSize(
  session: Session,
  { generation, origin, size }: Generation,
  signed: readonly TreeHead[],
): Promise<number> {
  const read = treeReader(session, generation);
  const candidates = signed
    .filter((head) => head.origin === origin && head.size <= size)
    .sort((a, b) => b.size - a.size);
  for (const head of candidates) {
    if ((await rootAt(head.size, read)).equals(head.root)) return head.size;
  }
  return 0;
}

/** Starts a planned generation. Its leaf 0 is the statement that names the log it follows. */
export async function startGeneration(
  session: Session,
  { generation, origin, afterPosition, previous }: GenerationPlan,
  now: Date,
): Promise<void> {
  const { agreed, size, root } = previous;
  // Canonical JSON (RFC 8785): the names are sorted, and the values have no characters that it would escape.
  const content = JSON.stringify({
    after: afterPosition,
    at: now.toISOString(),
    kind: 'log.generation.started',
    previous: { agreed, origin: previous.origin, root: root.toString('base64'), size },
    v: 1,
  });
  const salt = randomBytes(32);
  const commitment = commitmentOf(salt, content);
  const statement = [size, root, salt, content, commitment];
  await session.query(
    `insert into log_generations (generation, origin, started_at, after_position, previous_size, previous_root,
       salt, content, commitment)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [generation, origin, now.toISOString(), afterPosition, ...statement],
  );
}

/** Publishes the last checkpoint that the keys signed for a generation, if they crashed before they published it. */
export async function publishLastSigned(
  session: Session,
  { generation, origin }: Generation,
  { previous: { size, root, agreed, origin: signed } }: GenerationPlan,
  { keys, now }: { keys: readonly SigningKey[]; now: Date },
): Promise<void> {
  if (signed !== origin || agreed !== size) return;
  const note = signedNote({ origin, size, root }, keys);
  const vkeys = keys.map(({ publicKey }) => vkeyOf(origin, publicKey));
  await publishCheckpoint(session, { generation, size, root, note, vkeys, signedAt: now });
}

/** Whether the command that started a generation ended before the keys' state files followed. */
export async function isStartInterrupted(
  session: Session,
  { generation }: Generation,
  keys: readonly SigningKey[],
): Promise<boolean> {
  const { rows } = await session.query<{ previous: string | null }>(
    `select content::json->'previous'->>'origin' as previous from log_generations g
      where generation = $1 and not exists (select from log_checkpoints c where c.generation = g.generation)`,
    [generation],
  );
  const heads = await signedHeads(keys);
  return heads.some(({ origin }) => origin === rows[0]?.previous);
}

/** Lets the keys sign a generation that has just started: their state files say that nothing of it is signed. */
export async function allowSigning(origin: string, keys: readonly SigningKey[]): Promise<void> {
  const text = checkpointText({ origin, size: 0, root: EMPTY_ROOT });
  for (const key of keys) await replaceState(key, await stateText(key), text);
}
