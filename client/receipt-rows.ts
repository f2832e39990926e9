import { concat, hexOf, sha256 } from './encoding.ts';
import { hashLeaf, verifyInclusion } from './merkle-tree.ts';
import {
  type HashedDocument,
  type LedgerRow,
  type LoggedEvent,
  type ParsedReceipt,
  type ProvenEntry,
  ReceiptFault,
} from './receipt-form.ts';
import type { Json } from './strict-json.ts';

type Subject = { table: string; matches: (row: LedgerRow['row']) => boolean };

/** The table of the row that a subject stands for, and what says that a row is the one. */
const SUBJECTS: [path: RegExp, of: (id: string) => Subject][] = [
  [
    /^\/v1\/outlooks\/[^/]+\/versions\/([^/]+)$/,
    (id) => ({ table: 'outlook_versions', matches: (row) => row['version'] === id }),
  ],
  [
    /^\/v1\/outlooks\/[^/]+\/evidence\/([^/]+)$/,
    (id) => ({ table: 'evidence', matches: (row) => row['id'] === id }),
  ],
  [
    /^\/v1\/outlooks\/[^/]+\/views\/([^/]+)$/,
    (id) => ({ table: 'views', matches: (row) => row['analyst_id'] === id }),
  ],
  [/^\/v1\/outlooks\/[^/]+(\/resolution)$/, () => ({ table: 'resolutions', matches: () => true })],
];

/** What a column of each table names, where the name of the column does not say it. */
const IDS: { [table: string]: string } = {
  outlooks: 'outlook_id',
  frameworks: 'framework_id',
  evidence: 'evidence_id',
};

/** What ties rows of a subject together, by table of its main row, and the tables of the others. */
const PARTS: { [table: string]: { links: string[]; tables: string[] } } = {
  outlook_versions: {
    links: ['outlook_id', 'version', 'framework_id'],
    tables: [
      'outlooks',
      'version_evidence',
      'version_views',
      'condition_answers',
      'frameworks',
      'scenarios',
      'headwinds',
      'drawdown_labels',
      'invalidation_conditions',
      'condition_comparisons',
    ],
  },
  evidence: { links: ['evidence_id'], tables: ['evidence_claims'] },
  views: { links: [], tables: [] },
  resolutions: { links: ['outlook_id', 'number'], tables: ['resolution_evidence'] },
};

/**
 * Checks that each row is one of those that its event commits to.
 * @throws ReceiptFault
 */
export async function requireCommittedRows(entries: readonly ProvenEntry[]): Promise<void> {
  for (const { event, rows } of entries) {
    if (new Set(rows.map(({ index }) => index)).size < rows.length) {
      throw new ReceiptFault('It has a row twice.');
    }
    for (const { index, salt, text, proof, table } of rows) {
      const leafHash = await hashLeaf(concat(salt, text));
      const { count: size, root } = event.rows;
      if (await verifyInclusion({ index, size, leafHash, proof, root })) continue;
      throw new ReceiptFault(`A row of ${table} is not one of those that its event commits to.`);
    }
  }
}

/**
 * Checks that the rows are those of the subject: others may have been written in the same transaction.
 * @returns the row that the subject stands for
 * @throws ReceiptFault
 */
export function requireRowsOfSubject({ subject, entries }: ParsedReceipt): LedgerRow {
  const rows = entries.flatMap((entry) => entry.rows);
  const { table, matches } = subjectOf(subject);
  const [main, ...others] = rows.filter((one) => one.table === table && matches(one.row));
  if (!main || others.length > 0) {
    throw new ReceiptFault(`It must have one row of ${table} for ${subject}.`);
  }
  const foreign = rows.find((one) => one !== main && !belongsTo(one, main));
  if (foreign) throw new ReceiptFault(`A row of ${foreign.table} is not of ${subject}.`);
  requireSameAct(entries[0].event, main);
  return main;
}

/** Of a view or a resolution there may be several, of which each has a time of its own. */
function requireSameAct({ by, at }: LoggedEvent, { row }: LedgerRow): void {
  const author = row['author_id'] ?? row['analyst_id'];
  if (by !== null && author !== by.id) {
    throw new ReceiptFault('Its event names another author than its row.');
  }
  if (writtenAt(row) === Date.parse(at)) return;
  throw new ReceiptFault('Its event names another time than its row.');
}

/** When a row was written, in milliseconds since 1970; PostgreSQL writes 2026-11-27 10:00:00.123+00. */
function writtenAt(row: LedgerRow['row']): number {
  return Date.parse(`${row['recorded_at']?.replace(' ', 'T')}:00`);
}

function subjectOf(path: string): Subject {
  for (const [pattern, of] of SUBJECTS) {
    const id = pattern.exec(path)?.[1];
    if (id !== undefined) return of(id);
  }
  throw new ReceiptFault('Its subject has no receipts that are known here.');
}

function belongsTo({ table, row }: LedgerRow, main: LedgerRow): boolean {
  const { links, tables } = PARTS[main.table] ?? { links: [], tables: [] };
  const given = links.filter((link) => valueOf(table, row, link) !== undefined);
  return (
    tables.includes(table) &&
    given.length > 0 &&
    given.every((link) => valueOf(table, row, link) === valueOf(main.table, main.row, link))
  );
}

function valueOf(table: string, row: LedgerRow['row'], link: string): string | undefined {
  return IDS[table] === link ? row['id'] : row[link];
}

/**
 * Checks that the documents are those whose hashes the rows have, and say what the rows say.
 * @throws ReceiptFault
 */
export async function requireDocuments(receipt: ParsedReceipt, main: LedgerRow): Promise<void> {
  const { documents, subject } = receipt;
  const [version, ...versions] = documents.filter(({ of }) => of === 'version');
  const [framework, ...frameworks] = documents.filter(({ of }) => of === 'framework');
  const isVersion = main.table === 'outlook_versions';
  if ((version !== undefined) !== isVersion || versions.length + frameworks.length > 0) {
    throw new ReceiptFault('Its documents are not those of its subject.');
  }
  if (!version) {
    if (framework) throw new ReceiptFault('Its documents are not those of its subject.');
    return;
  }
  const { slug, frameworkHash } = version.value;
  if (main.row['hash'] !== `\\x${await digestOf(version)}` || !saysTheSame(version.value, main)) {
    throw new ReceiptFault('Its version is not the one whose hash was written.');
  }
  if (
    typeof slug !== 'string' ||
    subject !== `/v1/outlooks/${slug}/versions/${main.row['version']}`
  ) {
    throw new ReceiptFault('Its version is of another outlook.');
  }
  if (framework) await requireFramework(receipt, framework, frameworkHash);
}

async function requireFramework(
  { entries }: ParsedReceipt,
  framework: HashedDocument,
  hash: Json | undefined,
): Promise<void> {
  const digest = await digestOf(framework);
  const rows = entries.flatMap((entry) => entry.rows);
  const isWritten = rows.every(
    ({ table, row }) => table !== 'frameworks' || row['hash'] === `\\x${digest}`,
  );
  if (hash === `sha256:${digest}` && isWritten) return;
  throw new ReceiptFault('Its framework is not the one whose hash was written.');
}

async function digestOf({ text }: HashedDocument): Promise<string> {
  return hexOf(await sha256(text));
}

/** Whether a version's document and its row say the same, probabilities in basis points. */
function saysTheSame(version: HashedDocument['value'], { row }: LedgerRow): boolean {
  const probabilities = version['probabilities'] as { [name: string]: Json } | null;
  const publishedAt = version['publishedAt'];
  if (typeof publishedAt !== 'string' || Date.parse(publishedAt) !== writtenAt(row)) return false;
  const pairs: [Json | undefined, string | undefined][] = [
    [version['version'], row['version']],
    [version['kind'], row['kind']],
    [version['rationale'], row['rationale']],
    [version['authorId'], row['author_id']],
    [version['previousHash'] ?? undefined, row['previous_hash']?.replace('\\x', 'sha256:')],
    ...['bear', 'base', 'bull'].map((name): [Json | undefined, string | undefined] => [
      probabilities?.[name],
      row[`${name}_bps`],
    ]),
  ];
  return pairs.every(([stated, written]) =>
    typeof stated === 'number' ? `${stated}` === written : stated === written,
  );
}
