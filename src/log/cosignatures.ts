import type { Session } from '../postgres/pool.ts';

/** What a witness signed, and when. */
export type Cosignature = {
  generation: number;
  size: number;
  /** The name of its key. */
  witness: string;
  /** The whole signature line, without its newline. */
  signature: string;
  cosignedAt: Date;
};

const COLUMNS = 'generation, size, witness, signature, cosigned_at as "cosignedAt"';

/** The cosignatures of a checkpoint, the earliest first. */
export async function cosignaturesOf(
  session: Session,
  { generation, size }: { generation: number; size: number },
): Promise<Cosignature[]> {
  const { rows } = await session.query<Cosignature>({
    name: 'cosignatures-of-checkpoint',
    text: `select ${COLUMNS} from log_cosignatures where generation = $1 and size = $2 order by cosigned_at, witness`,
    values: [generation, size],
  });
  return rows;
}

/** What each witness of a generation cosigned last, by its name. */
export async function newestCosignatures(
  session: Session,
  generation: number,
): Promise<Map<string, Cosignature>> {
  const { rows } = await session.query<Cosignature>({
    name: 'newest-cosignatures',
    text: `select distinct on (witness) ${COLUMNS} from log_cosignatures
      where generation = $1 order by witness, size desc`,
    values: [generation],
  });
  return new Map(rows.map((row) => [row.witness, row]));
}

/**
 * Stores what a witness cosigned, in place of what it cosigned before, unless the checkpoint was deleted meanwhile. Call it in
 * a transaction that has the lock of signing: checkpoints without cosignatures are deleted under that lock.
 */
export async function storeCosignature(
  session: Session,
  { generation, size, witness, signature, cosignedAt }: Cosignature,
): Promise<void> {
  await session.query(
    `insert into log_cosignatures (generation, size, witness, signature, cosigned_at)
     select generation, size, $3, $4, $5 from log_checkpoints where generation = $1 and size = $2
     on conflict do nothing`,
    [generation, size, witness, signature, cosignedAt.toISOString()],
  );
  await session.query(
    `delete from log_cosignatures where generation = $1 and witness = $2 and size < (
       select max(size) from log_cosignatures where generation = $1 and witness = $2)`,
    [generation, witness],
  );
}
