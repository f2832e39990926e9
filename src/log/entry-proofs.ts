import { entryOf } from '../domain/log-entries.ts';
import { hashLeaf, inclusionProof, verifyInclusion } from '../domain/merkle-tree.ts';
import { tlogProof } from '../domain/tlog-proof.ts';
import type { Session } from '../postgres/pool.ts';
import { notReady, type Opening, recordAltered } from './openings.ts';
import { treeReader } from './tree.ts';

type CheckpointRow = {
  generation: number;
  origin: string;
  index: number;
  size: number | null;
  root: Buffer;
  note: string;
  vkeys: string[];
  cosigners: string[];
  cosignatures: string[];
};

// An event is in the newest generation that started before it: later generations keep what was agreed. Leaf 0 of a
// generation after the first is its own statement. Witnesses count more than a newer checkpoint, and less than the other
// entries, up to the place $2, that it covers if they are of the same generation.
const READ_CHECKPOINT = {
  name: 'read-covering-checkpoint',
  text: `
    select g.*, c.size, c.root, c.note, c.vkeys, c.cosigners, c.cosignatures
      from (
        select generation, origin,
            $1 - after_position - case when generation = 1 then 1 else 0 end as index,
            least($2, (select min(after_position) from log_generations n where n.generation > o.generation))
              - after_position - case when generation = 1 then 1 else 0 end as last
          from log_generations o where after_position < $1 order by generation desc limit 1) g
      left join lateral (
        select c.size, c.root, c.note, c.vkeys, array_remove(array_agg(w.witness), null) as cosigners,
            array_remove(array_agg(w.signature order by w.cosigned_at, w.witness), null) as cosignatures
          from log_checkpoints c left join log_cosignatures w using (generation, size)
         where c.generation = g.generation and c.size > g.last
         group by c.generation, c.size
         order by count(w.witness) desc, c.size desc limit 1) c on true`,
};

/** An entry as a receipt shows it: `proof` is its inclusion in a signed checkpoint (c2sp.org/tlog-proof). */
export type ProvenEntry = {
  generation: number;
  origin: string;
  proof: string;
  /** The verifier key of the log. */
  vkey: string;
  /** The names of the witnesses that cosigned the checkpoint. */
  cosigners: string[];
};

/**
 * Proves that the log has the entry of an opening: by the checkpoint with the most cosignatures, and the newest of those.
 * @param last the greatest position of the entries that one checkpoint is to cover
 * @throws Problem `receipt-not-ready` if no signed checkpoint covers it, or `record-altered` if the tree does not have it
 */
export async function proveEntry(
  session: Session,
  { position, commitment }: Opening,
  last: number,
): Promise<ProvenEntry> {
  const { rows } = await session.query<CheckpointRow>({
    ...READ_CHECKPOINT,
    values: [position, last],
  });
  const [checkpoint] = rows;
  if (!checkpoint || checkpoint.size === null) throw notReady();
  const { generation, origin, index, size, root, note, vkeys, cosigners, cosignatures } =
    checkpoint;
  const proof = await inclusionProof(index, size, treeReader(session, generation));
  const leafHash = hashLeaf(entryOf(commitment));
  if (!verifyInclusion({ index, size, leafHash, proof, root })) throw recordAltered('log_tiles');
  const signed = [note, ...cosignatures.map((line) => `${line}\n`)].join('');
  const vkey = vkeys[0] as string;
  return { generation, origin, vkey, cosigners, proof: tlogProof(index, proof, signed) };
}
