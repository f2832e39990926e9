import type { TreeHead } from '../../domain/signed-note.ts';
import type { Session } from '../../postgres/pool.ts';
import { publishedRoots } from './checkpoints.ts';
import { verifyDerived } from './derived.ts';
import { describeFault } from './describe.ts';
import { type RowFault, RowFaults } from './faults.ts';
import { type RowCounts, verifyRows } from './rows.ts';
import { type EarlierRoot, type Generation, readGenerations, verifyTree } from './tree.ts';
import { verifyWrites } from './writes.ts';

/** What the verification of the log found, and how much it read. */
export type LogVerification = RowCounts & {
  faults: readonly RowFault[];
  /** A sentence about each fault. */
  sentences: readonly string[];
  /** How many events an erasure left only the commitment of. */
  erasedEvents: number;
  generations: readonly Pick<
    Generation,
    'generation' | 'origin' | 'afterPosition' | 'size' | 'root'
  >[];
  /** How a noted checkpoint compares with the log of today; null if there was none. */
  noted: NotedComparison | null;
};

export type NotedComparison = 'same' | 'different' | 'larger' | 'unknown-origin';

/** Takes what is being verified, and how many rows of it were read. */
export type OnProgress = (step: string, rows: number) => void;

/**
 * Recomputes the transparency log from the ledger: rows, their digests, openings, leaves, tiles, heads and checkpoints. Also
 * derives again what the ledger derives. It reads all tables a few times, in pages; Postgres sorts, on disk where memory does
 * not suffice.
 *
 * @param session a transaction that sees one snapshot
 * @param noted a checkpoint that somebody noted earlier; null for none
 */
export async function verifyLog(
  session: Session,
  noted: TreeHead | null,
  onProgress: OnProgress = () => {},
): Promise<LogVerification> {
  // As the triggers that write the digests do.
  await session.query(`select set_config(name, value, true) from (values ('timezone', 'UTC'), ('datestyle', 'ISO'),
    ('extra_float_digits', '1'), ('bytea_output', 'hex'), ('work_mem', '64MB'), ('jit', 'off'), ('search_path', 'public')) as s (name, value)`);
  const faults = new RowFaults();
  const counting = (step: string) => {
    let total = 0;
    return (rows: number) => onProgress(step, (total += rows));
  };
  const counts = await verifyRows(session, faults, counting('rows'));
  const { erased } = await verifyWrites(session, faults, counting('events and their openings'));
  const generations = await readGenerations(session);
  const result = { noted: noted && compareHeads(noted, generations) };
  for (const generation of generations) {
    const earlier: EarlierRoot[] = await publishedRoots(session, generation, faults);
    if (noted && result.noted === 'same' && noted.origin === generation.origin) {
      earlier.push({ ...noted, onDifference: () => (result.noted = 'different') });
    }
    const bySize = earlier.toSorted((a, b) => a.size - b.size);
    const step = `leaves of log ${generation.generation}`;
    await verifyTree(session, generation, bySize, faults, counting(step));
  }
  await verifyDerived(session, faults, () => onProgress('derived rows', 0));
  const sentences: string[] = [];
  for (const fault of faults.all()) sentences.push(await describeFault(session, fault));
  return {
    ...counts,
    erasedEvents: erased,
    generations,
    ...result,
    faults: faults.all(),
    sentences,
  };
}

/** What the sizes say; `same` as long as the roots may be. */
function compareHeads(
  { origin, size }: TreeHead,
  generations: readonly Generation[],
): NotedComparison {
  const generation = generations.find((one) => one.origin === origin);
  if (!generation) return 'unknown-origin';
  return size > generation.size ? 'larger' : 'same';
}
