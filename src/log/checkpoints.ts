import { parseNote, parseVkey, verifySignature } from '../domain/signed-note.ts';
import type { Session } from '../postgres/pool.ts';

/** A checkpoint that was published: the head of a generation's tree, as its log signed it. */
export type Checkpoint = {
  generation: number;
  size: number;
  root: Buffer;
  /** The signed note (c2sp.org/tlog-checkpoint), with the log's signatures. */
  note: string;
  /** The verifier keys of its signatures; the first one is that of the log's current key. */
  vkeys: string[];
  signedAt: Date;
};

const COLUMNS = 'generation, size, root, note, vkeys, signed_at as "signedAt"';

const NEWEST = {
  name: 'newest-checkpoint',
  text: `select ${COLUMNS} from log_checkpoints where generation = $1 order by size desc limit 1`,
};

/** The newest checkpoint of a generation; null if nothing of it was signed. */
export async function newestCheckpoint(
  session: Session,
  generation: number,
): Promise<Checkpoint | null> {
  const { rows } = await session.query<Checkpoint>({ ...NEWEST, values: [generation] });
  return rows[0] ?? null;
}

/** The checkpoints of a generation that are left, newest first. */
export async function checkpointsOf(session: Session, generation: number): Promise<Checkpoint[]> {
  const { rows } = await session.query<Checkpoint>(
    `select ${COLUMNS} from log_checkpoints where generation = $1 order by size desc`,
    [generation],
  );
  return rows;
}

/** Whether the note is signed by one of these verifier keys. */
export function isSignedBy(note: string, vkeys: readonly string[]): boolean {
  const parsed = parseNote(note);
  const known = vkeys.map(parseVkey);
  return (
    parsed?.signatures.some((one) =>
      known.some((vkey) => vkey !== null && verifySignature(parsed.text, one, vkey)),
    ) === true
  );
}

const PUBLISH = {
  name: 'publish-checkpoint',
  text: `insert into log_checkpoints (generation, size, root, note, vkeys, signed_at)
    values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
};

// A witness may still be cosigning one of the last minute.
const PRUNE = {
  name: 'prune-checkpoints',
  text: `delete from log_checkpoints c
    where generation = $1 and size < $2 and signed_at < $3::timestamptz - interval '1 minute'
      and not exists (select from log_cosignatures s where (s.generation, s.size) = (c.generation, c.size))`,
};

/** Publishes a checkpoint and deletes older ones, except those that a witness cosigned. */
export async function publishCheckpoint(
  session: Session,
  { generation, size, root, note, vkeys, signedAt }: Checkpoint,
): Promise<void> {
  const time = signedAt.toISOString();
  await session.query({ ...PUBLISH, values: [generation, size, root, note, vkeys, time] });
  await session.query({ ...PRUNE, values: [generation, size, time] });
}
