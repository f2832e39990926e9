import { commitmentOf } from '../../domain/log-entries.ts';
import { EMPTY_ROOT, HASH_BYTES } from '../../domain/merkle-tree.ts';
import { readPages } from '../../postgres/pages.ts';
import type { Session } from '../../postgres/pool.ts';
import { Peekable, groupsOf } from './peekable.ts';
import type { RowFaults } from './faults.ts';
import { GrowingTree } from './growing-tree.ts';

type DigestHashes = { writeId: number; hashes: Buffer };
type Opening = {
  writeId: number;
  eventId: number;
  /** Null, like the content, after an erasure. */
  salt: Buffer | null;
  content: string | null;
  commitment: Buffer;
  /** What the content said apart from the name that was erased; null if nothing was. */
  remainder: string | null;
  /** Whose name was erased. */
  erased: string | null;
  /** The kind and the time of the event; null if it is missing. */
  kind: string | null;
  at: Date | null;
};
/** What the content of an opening says of the rows that its transaction wrote; the root is base64. */
type RowsRoot = { count: number; root: string };

type Said = { at: string; by: { id: string } | null; kind: string; rows: RowsRoot };

const DIGESTS = 'select write_id as "writeId", hashes from row_digests order by write_id, number';
const OPENINGS = `
  select o.write_id as "writeId", o.event_id as "eventId", o.salt, o.content, o.commitment, r.content as remainder,
      x.analyst_id as erased, e.kind, e.recorded_at as at
    from openings o left join events e on e.id = o.event_id
    left join erased_openings r on r.event_id = o.event_id
    left join erasures x on x.id = r.erasure_id
   order by o.write_id, o.event_id`;

/**
 * Compares what each write digested with the openings of its events, and each opening with its commitment and its event.
 *
 * @param onOpenings takes the number of openings that were read since the last call
 * @returns how many openings an erasure left only the commitment of
 */
export async function verifyWrites(
  session: Session,
  faults: RowFaults,
  onOpenings: (openings: number) => void,
): Promise<{ erased: number }> {
  const inWrite = (one: { writeId: number }, first: { writeId: number }) =>
    one.writeId === first.writeId;
  const digests = new Peekable(readRoots(session));
  let erased = 0;
  const pages = readPages<Opening>(session, OPENINGS);
  for await (const openings of groupsOf(pages, inWrite)) {
    const { writeId } = openings[0] as Opening;
    let root = await digests.peek();
    while (root && root.writeId < writeId) {
      faults.add('row_digests', WITHOUT_EVENT, String(root.writeId), root.writeId);
      await digests.next();
      root = await digests.peek();
    }
    const isOwn = root?.writeId === writeId;
    if (isOwn) await digests.next();
    for (const opening of openings) checkOpening(opening, isOwn && root ? root : NO_ROWS, faults);
    erased += openings.filter(({ content }) => content === null).length;
    onOpenings(openings.length);
  }
  for (let rest = await digests.next(); rest; rest = await digests.next()) {
    faults.add('row_digests', WITHOUT_EVENT, String(rest.writeId), rest.writeId);
  }
  return { erased };
}

const WITHOUT_EVENT = 'is of a write without an event';
/** What a write without digests has: events of versions that were opened late. */
const NO_ROWS: RowsRoot = { count: 0, root: EMPTY_ROOT.toString('base64') };

/** The root over the rows of each write, as their digests have it. */
async function* readRoots(session: Session): AsyncGenerator<RowsRoot & { writeId: number }> {
  const pages = readPages<DigestHashes>(session, DIGESTS, 200);
  let tree = new GrowingTree();
  let current: number | null = null;
  const rootOf = (writeId: number) => ({
    writeId,
    count: tree.size,
    root: tree.root().toString('base64'),
  });
  for await (const page of pages) {
    for (const { writeId, hashes } of page) {
      if (current !== null && current !== writeId) {
        yield rootOf(current);
        tree = new GrowingTree();
      }
      current = writeId;
      for (let at = 0; at < hashes.length; at += HASH_BYTES) {
        tree.add(hashes.subarray(at, at + HASH_BYTES));
      }
    }
  }
  if (current !== null) yield rootOf(current);
}

/** Null if it is not that of an opening: before migration 0034, late events that were all of versions got such openings. */
function parseContent(text: string): Said | null {
  try {
    const said = JSON.parse(text) as Said | null;
    return said?.rows ? said : null;
  } catch {
    return null;
  }
}

function checkOpening(
  { writeId, eventId, salt, content, commitment, remainder, erased, kind, at }: Opening,
  rows: RowsRoot,
  faults: RowFaults,
): void {
  const fault = (text: string) => faults.add('openings', text, String(eventId), writeId);
  if (kind === null) fault('is of an event that is missing');
  const text = content ?? remainder;
  if (text === null) {
    fault('is gone without an erasure');
    return;
  }
  if (salt !== null && content !== null && !commitmentOf(salt, content).equals(commitment)) {
    fault('is not what the log committed to');
    return;
  }
  const said = parseContent(text);
  if (said === null) {
    fault('is not the JSON of an opening');
    return;
  }
  if (content === null && said.by?.id !== erased) {
    fault('was erased, but not by the erasure of its author');
  }
  if (kind !== null && (said.kind !== kind || said.at !== at?.toISOString())) {
    fault('does not match its event');
  }
  if (said.rows.count !== rows.count || said.rows.root !== rows.root) {
    fault('is of other rows than were digested with it');
  }
}
