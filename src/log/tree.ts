import type pg from 'pg';
import { entryOf } from '../domain/log-entries.ts';
import { tilePartOf } from '../domain/log-tiles.ts';
import {
  HASH_BYTES,
  type Hash,
  hashesIn,
  hashLeaf,
  type ReadHashes,
  rootOf,
} from '../domain/merkle-tree.ts';
import {
  appendLeaves,
  edgeTilesOf,
  type GrownTile,
  rootOfEdge,
  type TreeEdge,
} from '../domain/tree-edge.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';
import { type Generation, newestGeneration } from './generations.ts';
import { openCommitments } from './leaves.ts';

/** How many leaves one transaction appends at most. It ends well within the limit of a statement on a busy machine, even if all need openings. */
export const LEAVES_AT_ONCE = 1_024;

/**
 * Appends leaves for the events that have a place in the log, at most `limit`, in one transaction. Any instance may call it: of
 * several at once, one appends.
 * @returns the generation as it is then; null if it has not started, or another instance is appending
 */
export async function extendTree(
  pool: pg.Pool,
  limit = LEAVES_AT_ONCE,
): Promise<Generation | null> {
  return inTransaction(pool, async (session) => {
    if (!(await isFirstToLock(session))) return null;
    const generation = await newestGeneration(session);
    if (!generation) return null;
    const range = { index: generation.size, count: limit };
    const commitments = await openCommitments(session, generation, range);
    if (commitments.length === 0) return generation;
    const leafHashes = commitments.map((commitment) => hashLeaf(entryOf(commitment)));
    const { edge, tiles } = appendLeaves(await readEdge(session, generation), leafHashes);
    await writeTiles(session, generation.generation, tiles);
    return storeHead(session, generation, { size: edge.size, root: await rootOfEdge(edge) });
  });
}

/** Appends leaves until every event that has a place in the log has one. */
export async function growTree(pool: pg.Pool): Promise<void> {
  for (let size = -1; ;) {
    const generation = await extendTree(pool);
    if (!generation || generation.size === size) return;
    size = generation.size;
  }
}

/** Whether no other instance appends. The transaction has the lock until it ends. */
async function isFirstToLock(session: Session): Promise<boolean> {
  const { rows } = await session.query<{ isLocked: boolean }>(
    `select pg_try_advisory_xact_lock(hashtextextended('outlook-ledger log', 0)) as "isLocked"`,
  );
  return rows[0]?.isLocked === true;
}

async function readEdge(session: Session, { generation, size }: Generation): Promise<TreeEdge> {
  const read = readerOf(session, generation);
  const parts = edgeTilesOf(size).filter(({ width }) => width > 0);
  const stored = await read(
    parts.map(({ level, number, width }) => ({ level, number, first: 0, count: width })),
  );
  const hashes: Hash[][] = [];
  parts.forEach(({ level }, at) => (hashes[level] = hashesIn(stored[at] as Buffer)));
  return { size, hashes: Array.from(hashes, (level) => level ?? []) };
}

async function writeTiles(
  session: Session,
  generation: number,
  tiles: readonly GrownTile[],
): Promise<void> {
  await session.query({
    name: 'write-log-tiles',
    text: `insert into log_tiles (generation, level, number, hashes)
      select $1, level, number, hashes
        from unnest($2::smallint[], $3::bigint[], $4::bytea[]) as t (level, number, hashes)
      on conflict (generation, level, number) do update set hashes = excluded.hashes`,
    values: [
      generation,
      tiles.map(({ level }) => level),
      tiles.map(({ number }) => number),
      tiles.map(({ hashes }) => hashes),
    ],
  });
}

async function storeHead(
  session: Session,
  generation: Generation,
  head: { size: number; root: Buffer },
): Promise<Generation> {
  await session.query({
    name: 'store-log-head',
    text: 'update log_generations set size = $2, root = $3 where generation = $1',
    values: [generation.generation, head.size, head.root],
  });
  return { ...generation, ...head };
}

/** Part of a tile: `count` hashes from the `first` on. */
type Part = { level: number; number: number; first: number; count: number };

/**
 * Reads complete subtrees of a generation's tree, for roots and proofs at any size up to the stored one. One query reads all
 * that a proof needs, and of each tile only the hashes that it needs.
 * @returns a reader that throws if a tile is missing or too short
 */
export function treeReader(session: Session, generation: number): ReadHashes {
  const read = readerOf(session, generation);
  return async (subtrees) => {
    const parts = await read(subtrees.map(tilePartOf));
    return parts.map((hashes) => rootOf(hashesIn(hashes)));
  };
}

/** The hashes of a tile, of which it has at least `width`. */
export async function readTile(
  session: Session,
  generation: number,
  { level, number, width }: { level: number; number: number; width: number },
): Promise<Buffer> {
  const read = readerOf(session, generation);
  return (await read([{ level, number, first: 0, count: width }]))[0] as Buffer;
}

function readerOf(session: Session, generation: number) {
  return async (parts: readonly Part[]): Promise<Buffer[]> => {
    if (parts.length === 0) return [];
    const { rows } = await session.query<{ hashes: Buffer | null }>({
      name: 'read-log-tiles',
      text: `select substr(hashes, 32 * first + 1, 32 * count) as hashes
        from unnest($2::smallint[], $3::bigint[], $4::integer[], $5::integer[]) with ordinality
          as part (level, number, first, count, place)
        left join log_tiles on log_tiles.generation = $1
         and log_tiles.level = part.level and log_tiles.number = part.number
       order by place`,
      values: [
        generation,
        parts.map(({ level }) => level),
        parts.map(({ number }) => number),
        parts.map(({ first }) => first),
        parts.map(({ count }) => count),
      ],
    });
    return parts.map(({ level, number, first, count }, at) => {
      const hashes = rows[at]?.hashes;
      if (hashes?.length === count * HASH_BYTES) return hashes;
      const tile = `tile ${number} of level ${level} in generation ${generation}`;
      throw new Error(`${tile} of the log lacks the hashes ${first} to ${first + count - 1}`);
    });
  };
}
