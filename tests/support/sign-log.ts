import { generateKeyPairSync } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import {
  checkpointText,
  cosignatureLine,
  type NoteSigner,
  publicKeyBytes,
  signatureLine,
  vkeyOf,
} from '../../src/domain/signed-note.ts';
import { extendTree } from '../../src/log/tree.ts';
import { inTransaction } from '../../src/postgres/pool.ts';

export const ORIGIN = 'ledger.example/log/1';

/** A key with its verifier keys: as that of a log, and as that of a witness. */
export type TestSigner = NoteSigner & { vkey: string; witnessVkey: string };

/** Makes an Ed25519 key that signs notes under this name. */
export function newSigner(name = ORIGIN): TestSigner {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = publicKeyBytes(privateKey);
  return { name, privateKey, vkey: vkeyOf(name, key), witnessVkey: vkeyOf(name, key, 4) };
}

/** Gives all committed events their leaves, after it started the log if need be. Returns the tree's size. */
export async function growLog(
  pool: pg.Pool,
  origin = ORIGIN,
  startedAt = new Date(),
): Promise<number> {
  await pool.query(
    `insert into log_generations (generation, origin, started_at, after_position)
     select 1, $1, $2, 0 where not exists (select from log_generations)`,
    [origin, startedAt],
  );
  for (let tries = 0; tries < 500; tries += 1) {
    await pool.query('select sequence_events()');
    await extendTree(pool);
    const { rows } = await pool.query<{ size: number }>(ALL_LEAVES);
    if (rows[0]) return rows[0].size;
    await delay(20);
  }
  throw new Error('the tree does not grow');
}

// While the service runs, it may be the one that extends the tree.
const ALL_LEAVES = `
  select size from (select * from log_generations order by generation desc limit 1) g
   where not exists (select from events where position is null and log_position is null)
     and after_position + size - (generation > 1)::int >= (
       select coalesce(max(coalesce(log_position, position)), 0) from events)`;

type Tree = { generation: number; origin: string; size: number; root: Buffer };

async function newestTree(session: Pick<pg.ClientBase, 'query'>): Promise<Tree> {
  const { rows } = await session.query<Tree>(
    'select generation, origin, size, root from log_generations order by generation desc limit 1',
  );
  const [tree] = rows;
  if (!tree) throw new Error('the log has not started');
  return tree;
}

/** Signs the tree as it is, as the holder of the key does, and has witnesses cosign it. Returns its size. */
export async function signLog(
  pool: pg.Pool,
  signer: TestSigner,
  witnesses: readonly { signer: NoteSigner; at: Date }[] = [],
): Promise<number> {
  return inTransaction(pool, async (session) => {
    const { generation: number, origin, size, root } = await newestTree(session);
    const text = checkpointText({ origin, size, root });
    await session.query(
      `insert into log_checkpoints (generation, size, root, note, vkeys, signed_at)
       values ($1, $2, $3, $4, $5, now()) on conflict do nothing`,
      [number, size, root, `${text}\n${signatureLine(text, signer)}\n`, [signer.vkey]],
    );
    for (const { signer: witness, at } of witnesses) {
      await session.query(
        `insert into log_cosignatures (generation, size, witness, signature, cosigned_at)
         values ($1, $2, $3, $4, $5)`,
        [number, size, witness.name, cosignatureLine(text, at.getTime() / 1000, witness), at],
      );
    }
    return size;
  });
}
