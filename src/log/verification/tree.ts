import { commitmentOf, entryOf } from '../../domain/log-entries.ts';
import { TILE_WIDTH } from '../../domain/log-tiles.ts';
import { type Hash, HASH_BYTES, hashLeaf, rootOf } from '../../domain/merkle-tree.ts';
import { readPages } from '../../postgres/pages.ts';
import type { Session } from '../../postgres/pool.ts';
import { Peekable } from './peekable.ts';
import type { RowFaults } from './faults.ts';
import { GrowingTree } from './growing-tree.ts';

/** A generation of the log and the head of its tree. `afterPosition` is the position of the last event before its own. */
export type Generation = {
  generation: number;
  origin: string;
  afterPosition: number;
  /** The opening of leaf 0; null for the first generation, whose leaves are all events. */
  salt: Buffer | null;
  content: string | null;
  commitment: Buffer | null;
  size: number;
  root: Buffer;
};

/** The root that a tree once had, and what to do if it has another one today. */
export type EarlierRoot = { size: number; root: Buffer; onDifference: () => void };

type Tile = { number: number; hashes: Buffer };
type EventLeaf = { id: number; position: number; commitment: Buffer | null };

/** The generations of the log, the oldest first. */
export async function readGenerations(session: Session): Promise<Generation[]> {
  const { rows } = await session.query<Generation>(
    `select generation, origin, after_position as "afterPosition", salt, content, commitment, size, root
       from log_generations order by generation`,
  );
  return rows;
}

/**
 * Builds the tree of a generation from the commitments of its events. Compares it with the stored tiles and the stored head,
 * and with roots that it had when it was smaller.
 *
 * @param earlier by size, none larger than the tree
 * @param onLeaves takes the number of leaves that were hashed since the last call
 */
export async function verifyTree(
  session: Session,
  generation: Generation,
  earlier: readonly EarlierRoot[],
  faults: RowFaults,
  onLeaves: (leaves: number) => void,
): Promise<void> {
  const { generation: number, size, root } = generation;
  const tree = new GrowingTree();
  const stored = new StoredLeaves(session, number);
  const upper = new UpperTiles(session, number, faults);
  const due = [...earlier];
  const compareRoots = () => {
    for (; due[0]?.size === tree.size; due.shift()) {
      if (!due[0].root.equals(tree.root())) due[0].onDifference();
    }
  };
  compareRoots();
  for await (const { leaf, event } of leavesOf(session, generation, faults)) {
    const copy = await stored.at(tree.size);
    if (!copy) {
      faults.add('log_tiles', 'is missing or too short', `${number},0,${tileOf(tree.size)}`);
    } else if (leaf !== null && !leaf.equals(copy)) {
      faults.add('events', 'is not what its leaf in the log says', String(event));
    }
    const hash = copy ?? leaf;
    if (hash === null) break;
    // With the stored leaf, so that a fault below is not one of everything above as well.
    tree.add(hash);
    await upper.add(hash);
    compareRoots();
    if (tree.size % TILE_WIDTH === 0) onLeaves(TILE_WIDTH);
  }
  onLeaves(tree.size % TILE_WIDTH);
  if (tree.size !== size || !tree.root().equals(root)) {
    faults.add('log_generations', 'has a head that does not match its leaves', String(number));
  }
  await upper.finish();
  await verifyNoMoreTiles(session, generation, faults);
}

const tileOf = (index: number): number => Math.floor(index / TILE_WIDTH);

/** The leaves of a generation, as its events have them; null for an event that is missing or has no opening. */
async function* leavesOf(
  session: Session,
  { generation, afterPosition, salt, content, commitment, size }: Generation,
  faults: RowFaults,
): AsyncGenerator<{ leaf: Hash | null; event: number | null }> {
  let position = afterPosition;
  let last = afterPosition + size;
  if (commitment && size > 0) {
    last -= 1;
    if (salt && content !== null && !commitmentOf(salt, content).equals(commitment)) {
      faults.add('log_generations', 'is not what the log committed to', String(generation));
    }
    yield { leaf: hashLeaf(entryOf(commitment)), event: null };
  }
  const text = `
    select e.id, coalesce(e.log_position, e.position) as position, o.commitment from events e left join openings o on o.event_id = e.id
     where coalesce(e.log_position, e.position) > ${afterPosition} and coalesce(e.log_position, e.position) <= ${last}
     order by 2`;
  for await (const events of readPages<EventLeaf>(session, text)) {
    for (const event of events) {
      for (position += 1; position < event.position; position += 1) yield gapAt(position, faults);
      if (event.commitment) {
        yield { leaf: hashLeaf(entryOf(event.commitment)), event: event.id };
      } else {
        faults.add('openings', 'is missing', String(event.id));
        yield { leaf: null, event: event.id };
      }
    }
  }
  for (position += 1; position <= last; position += 1) yield gapAt(position, faults);
}

function gapAt(position: number, faults: RowFaults): { leaf: null; event: null } {
  faults.add('event position', 'has a leaf in the log, but no event', String(position));
  return { leaf: null, event: null };
}

/** The hashes of the lowest tiles, read one after the other. */
class StoredLeaves {
  readonly #tiles: Peekable<Tile>;

  constructor(session: Session, generation: number) {
    const text = `select number, hashes from log_tiles where generation = ${generation} and level = 0 order by number`;
    const pages = readPages<Tile>(session, text, 100);
    this.#tiles = new Peekable(itemsOf(pages));
  }

  /** The hash of a leaf; null if no tile has it. Each index must be larger than the one before. */
  async at(index: number): Promise<Hash | null> {
    let tile = await this.#tiles.peek();
    while (tile && tile.number < tileOf(index)) {
      await this.#tiles.next();
      tile = await this.#tiles.peek();
    }
    const start = HASH_BYTES * (index % TILE_WIDTH);
    if (tile?.number !== tileOf(index) || start >= tile.hashes.length) return null;
    return tile.hashes.subarray(start, start + HASH_BYTES);
  }
}

async function* itemsOf<Item>(pages: AsyncIterable<readonly Item[]>): AsyncGenerator<Item> {
  for await (const page of pages) yield* page;
}

/** The tiles above the lowest ones, each built from those below it and compared with the stored one. */
class UpperTiles {
  readonly #session: Session;
  readonly #generation: number;
  readonly #faults: RowFaults;
  /** By level, the hashes of the tile that is not full yet, and its number. */
  readonly #levels: { number: number; hashes: Hash[] }[] = [];

  constructor(session: Session, generation: number, faults: RowFaults) {
    this.#session = session;
    this.#generation = generation;
    this.#faults = faults;
  }

  async add(hash: Hash, level = 0): Promise<void> {
    const tile = (this.#levels[level] ??= { number: 0, hashes: [] });
    tile.hashes.push(hash);
    if (tile.hashes.length < TILE_WIDTH) return;
    if (level > 0) await this.#compare(level, tile);
    this.#levels[level] = { number: tile.number + 1, hashes: [] };
    await this.add(rootOf(tile.hashes), level + 1);
  }

  /** Compares the last tile of each level, which is not full. */
  async finish(): Promise<void> {
    for (const [level, tile] of this.#levels.entries()) {
      if (level > 0 && tile.hashes.length > 0) await this.#compare(level, tile);
    }
  }

  async #compare(level: number, tile: { number: number; hashes: Hash[] }): Promise<void> {
    const { rows } = await this.#session.query<Tile>(
      'select number, hashes from log_tiles where generation = $1 and level = $2 and number = $3',
      [this.#generation, level, tile.number],
    );
    if (rows[0]?.hashes.equals(Buffer.concat(tile.hashes))) return;
    const key = `${this.#generation},${level},${tile.number}`;
    const fault = rows[0] ? 'does not match the leaves under it' : 'is missing or too short';
    this.#faults.add('log_tiles', fault, key);
  }
}

/** Finds tiles, or hashes at the end of one, that the tree does not have. */
async function verifyNoMoreTiles(
  session: Session,
  { generation, size }: Generation,
  faults: RowFaults,
): Promise<void> {
  const { rows } = await session.query<{ level: number; number: number; bytes: number }>(
    `select distinct on (level) level, number, length(hashes) as bytes from log_tiles
      where generation = $1 order by level, number desc`,
    [generation],
  );
  for (const { level, number, bytes } of rows) {
    const hashes = Math.floor(size / TILE_WIDTH ** level);
    if (number * TILE_WIDTH + bytes / HASH_BYTES > hashes) {
      faults.add(
        'log_tiles',
        'has hashes that the tree does not have',
        `${generation},${level},${number}`,
      );
    }
  }
}
