import { rowHashOf, rowSaltOf } from '../../domain/log-entries.ts';
import { readPages } from '../../postgres/pages.ts';
import type { Session } from '../../postgres/pool.ts';
import type { RowFaults } from './faults.ts';
import { Peekable, groupsOf } from './peekable.ts';
import { DIGESTED_TABLES, type DigestedTable } from './tables.ts';

/** What the verification of rows counts. */
export type RowCounts = {
  rows: number;
  /** Rows whose earlier content can't be checked any more, because it held a name that was erased. */
  erased: number;
  /** Rows that the log has yet to digest: they are older than it, or an older release that still runs wrote them. */
  undigested: number;
};

type Row = { key: string; text: string; isAwaiting: boolean };
type Digest = {
  relation: string;
  key: string;
  writeId: number;
  operation: 'insert' | 'update' | 'delete' | 'found';
  /** Null after an erasure. */
  salt: Buffer | null;
  /** The row's place in its statement, from 0. */
  index: number;
  hash: Buffer;
};
type Checking = {
  faults: RowFaults;
  counts: RowCounts;
  /** The writes that erased a name: they digest again, as updates, the rows whose digests lose their salts. */
  erasures: ReadonlySet<number>;
};
/** All digests of one row, the oldest first; at least one. */
type RowHistory = readonly Digest[];

const DIGESTS = `
  select d.relation, k.key, d.write_id as "writeId", d.operation, d.salt, k.place - 1 as index,
      substr(d.hashes, 32 * k.place::int - 31, 32) as hash
    from row_digests d cross join unnest(d.keys) with ordinality as k (key, place)
   order by d.relation collate "C", k.key collate "C", d.write_id, d.number, k.place`;

const rowsOf = ({ relation, condition = 'true', awaiting = 'false' }: DigestedTable) => `
  select row_key(t) as key, row_text(t) as text, ${awaiting} as "isAwaiting" from ${relation} t where ${condition} order by row_key(t) collate "C"`;

/**
 * Compares the rows of all tables that the log digests with their digests. Both come sorted by table and key: each is read
 * once, in pages.
 *
 * @param onRows takes the number of rows that were read since the last call
 */
export async function verifyRows(
  session: Session,
  faults: RowFaults,
  onRows: (rows: number) => void,
): Promise<RowCounts> {
  const counts: RowCounts = { rows: 0, erased: 0, undigested: 0 };
  const undigested = await readUndigested(session);
  const checking: Checking = { faults, counts, erasures: await readErasures(session) };
  const histories = new Peekable(
    groupsOf(
      readPages<Digest>(session, DIGESTS),
      (digest, first) => digest.key === first.key && digest.relation === first.relation,
    ),
  );
  for (const table of DIGESTED_TABLES) {
    const { relation } = table;
    for await (const rows of readPages<Row>(session, rowsOf(table))) {
      for (const row of rows) {
        const history = await historyOf(histories, table, row.key, checking);
        if (history) checkRow(table, row, history, checking);
        else if (row.isAwaiting || undigested.has(relation)) counts.undigested += 1;
        else faults.add(relation, 'was written without an event', row.key);
      }
      counts.rows += rows.length;
      onRows(rows.length);
    }
    await historyOf(histories, table, null, checking);
  }
  for (let rest = await histories.next(); rest; rest = await histories.next()) {
    checkGone(null, rest, checking);
  }
  return counts;
}

/**
 * The history of the row with this key; null if it has none. Histories on the way to it are of rows that are gone.
 *
 * @param key null for the end of the table
 */
async function historyOf(
  histories: Peekable<RowHistory>,
  table: DigestedTable,
  key: string | null,
  checking: Checking,
): Promise<RowHistory | null> {
  for (;;) {
    const history = await histories.peek();
    if (!history) return null;
    const [first] = history as [Digest];
    const order =
      compareBytes(first.relation, table.relation) ||
      (key === null ? -1 : compareBytes(first.key, key));
    if (order > 0) return null;
    await histories.next();
    if (order === 0) return history;
    checkGone(first.relation === table.relation ? table : null, history, checking);
  }
}

function checkRow(
  { relation, isAppendOnly, holdsNames }: DigestedTable,
  { key, text }: Row,
  digests: RowHistory,
  { faults, counts, erasures }: Checking,
): void {
  const newest = digests.at(-1) as Digest;
  const fault = (text: string, { writeId } = newest) => faults.add(relation, text, key, writeId);
  if (newest.operation === 'delete') {
    fault('is there although it was deleted');
    return;
  }
  // An erasure deletes salts, and digests the rows again.
  const isErased = digests.some(({ salt }) => salt === null);
  if (newest.salt === null || (isErased && !holdsNames)) {
    fault('lost the salt of its digest without an erasure');
    return;
  }
  if (isErased) counts.erased += 1;
  const changed = digests.find(
    ({ operation, writeId }) => operation === 'update' && !erasures.has(writeId),
  );
  if (isAppendOnly && changed) {
    fault('was changed, but never is', changed);
    return;
  }
  // A row that never changes is as each of its digests says: another one must not replace the first.
  const due = (isAppendOnly ? digests : [newest]).filter(({ salt }) => salt !== null);
  if (!due.every((digest) => hasContent(digest, text))) fault('is not as it was written');
}

function hasContent({ salt, index, hash }: Digest, text: string): boolean {
  return salt !== null && rowHashOf(rowSaltOf(salt, index), text).equals(hash);
}

/** @param table null if the log covers no table of that name */
function checkGone(
  table: DigestedTable | null,
  digests: RowHistory,
  { faults, counts, erasures }: Checking,
): void {
  const { relation, key, operation, salt, writeId } = digests.at(-1) as Digest;
  const fault = (text: string) => faults.add(relation, text, key, writeId);
  if (table === null) fault('is of a table that the log does not cover');
  else if (relation === IDENTITIES && key === ERASED_KEY && salt === null && erasures.size > 0)
    counts.erased += digests.length;
  else if (operation !== 'delete') fault('is missing');
  else if (!table.isDeletable) fault('was deleted, but never is');
}

const IDENTITIES = 'analyst_identities';
/** In place of the primary key of an identity that was erased with its row. */
const ERASED_KEY = 'erased';

async function readErasures(session: Session): Promise<Set<number>> {
  const { rows } = await session.query<{ writeId: number }>(
    `select write_id as "writeId" from row_digests where relation = 'erasures'`,
  );
  return new Set(rows.map(({ writeId }) => writeId));
}

/** The tables with rows older than the log that it has yet to digest. */
async function readUndigested(session: Session): Promise<Set<string>> {
  const { rows } = await session.query<{ relation: string }>(
    'select relation from digest_progress where not is_done',
  );
  return new Set(rows.map(({ relation }) => relation));
}

/** The order of Postgres under the collation "C". */
function compareBytes(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
