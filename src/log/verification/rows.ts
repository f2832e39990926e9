import { rowHashOf, rowSaltOf } from '../../domain/log-entries.ts';
import { readPages } from '../../postgres/pages.ts';
import type { Session } from '../../postgres/pool.ts';
import type { RowFaults } from './faults.ts';
import { Ahead, groupsOf } from './ahead.ts';
import { DIGESTED_TABLES, type DigestedTable } from './tables.ts';

/** What the verification of rows counts. */
export type RowCounts = {
  rows: number;
  /** Rows whose digest lost its salt when a name was erased: their content can't be checked any more. */
  erased: number;
  /** Rows of before the log, which it has yet to digest. */
  undigested: number;
};

type Row = { key: string; text: string };
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
/** All digests of one row, the oldest first; at least one. */
type RowHistory = readonly Digest[];

const DIGESTS = `
  select d.relation, k.key, d.write_id as "writeId", d.operation, d.salt, k.place - 1 as index,
      substr(d.hashes, 32 * k.place::int - 31, 32) as hash
    from row_digests d cross join unnest(d.keys) with ordinality as k (key, place)
   order by d.relation collate "C", k.key collate "C", d.write_id, d.number, k.place`;

const rowsOf = ({ relation, condition = 'true' }: DigestedTable) => `
  select row_key(t) as key, row_text(t) as text from ${relation} t where ${condition} order by row_key(t) collate "C"`;

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
  const histories = new Ahead(
    groupsOf(
      readPages<Digest>(session, DIGESTS),
      (digest, first) => digest.key === first.key && digest.relation === first.relation,
    ),
  );
  for (const table of DIGESTED_TABLES) {
    const { relation } = table;
    for await (const rows of readPages<Row>(session, rowsOf(table))) {
      for (const row of rows) {
        const history = await historyOf(histories, table, row.key, faults);
        if (history) checkRow(table, row, history, faults, counts);
        else if (undigested.has(relation)) counts.undigested += 1;
        else faults.add(relation, 'was written without an event', row.key);
      }
      counts.rows += rows.length;
      onRows(rows.length);
    }
    await historyOf(histories, table, null, faults);
  }
  for (let rest = await histories.next(); rest; rest = await histories.next()) {
    checkGone(null, rest, faults);
  }
  return counts;
}

/**
 * The history of the row with this key; null if it has none. Histories on the way to it are of rows that are gone.
 *
 * @param key null for the end of the table
 */
async function historyOf(
  histories: Ahead<RowHistory>,
  table: DigestedTable,
  key: string | null,
  faults: RowFaults,
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
    checkGone(first.relation === table.relation ? table : null, history, faults);
  }
}

function checkRow(
  { relation, isAppendOnly }: DigestedTable,
  { key, text }: Row,
  digests: RowHistory,
  faults: RowFaults,
  counts: RowCounts,
): void {
  const newest = digests.at(-1) as Digest;
  if (newest.operation === 'delete') {
    faults.add(relation, 'is there although it was deleted', key, newest.writeId);
    return;
  }
  // A row that never changes is as each of its digests says: another one must not replace the first. Only an erasure, which
  // takes the salts of those before it, changes such a row.
  const due = (isAppendOnly ? digests : [newest]).filter(({ salt }) => salt !== null);
  if (due.length === 0) counts.erased += 1;
  const changed = due.find((digest, index) => isAppendOnly && index > 0 && isChange(digest));
  if (changed) faults.add(relation, 'was changed, but never is', key, changed.writeId);
  else if (!due.every((digest) => hasContent(digest, text))) {
    faults.add(relation, 'is not as it was written', key, newest.writeId);
  }
}

const isChange = ({ operation }: Digest) => operation === 'update' || operation === 'delete';

function hasContent({ salt, index, hash }: Digest, text: string): boolean {
  return salt !== null && rowHashOf(rowSaltOf(salt, index), text).equals(hash);
}

/** @param table null if the ledger has no such table */
function checkGone(table: DigestedTable | null, digests: RowHistory, faults: RowFaults): void {
  const { relation, key, operation, writeId } = digests.at(-1) as Digest;
  if (table === null)
    faults.add(relation, 'is of a table that the log does not cover', key, writeId);
  else if (operation !== 'delete') faults.add(relation, 'is missing', key, writeId);
  else if (table.isAppendOnly) {
    faults.add(relation, 'was deleted, but never is', key, writeId);
  }
}

/** The tables with rows of before the log that it has yet to digest. */
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
