import type pg from 'pg';
import type { Audience } from '../domain/desks.ts';
import { hashedFramework } from '../domain/framework.ts';
import { canonicalJson, hashedVersion, hashText } from '../domain/hash-chain.ts';
import type { VersionReader } from '../ledger/versions.ts';
import { BEGIN_SNAPSHOT, inTransaction, type Session } from '../postgres/pool.ts';
import { proveEntry } from './entry-proofs.ts';
import { notReady, type Opening, recordAltered, requireOpening } from './openings.ts';
import { findLaterWrites, type ProvenRow, proveRows } from './row-proofs.ts';
import {
  findSubject,
  readRowTexts,
  type ReceiptSubject,
  type RowText,
} from './receipt-subjects.ts';

/** An entry of the log, opened, with the rows that it vouches for. Bytes are base64. */
type OpenedEntry = { event: string; salt: string; rows: ProvenRow[]; proof: string };

/** A text whose SHA-256 a version or a framework has as its hash. */
type HashedDocument = { of: 'version' | 'framework'; json: string };

export type Receipt = OpenedEntry & {
  v: 1;
  generation: number;
  origin: string;
  subject: string;
  laterEntries: OpenedEntry[];
  documents: HashedDocument[];
  vkey: string;
  witnesses: string[];
  missingWitnesses: string[];
};

export type ReceiptDeps = {
  pool: pg.Pool;
  versions: VersionReader;
  /** Those that the service asks for cosignatures, with their verifier keys. */
  witnesses: readonly { name: string; vkey: string }[];
};

/**
 * Proves what was said, when and by whom, in one document that needs no service to verify.
 * @returns the receipt, and the number of the version or resolution
 * @throws DomainError if there is no such record
 * @throws Problem `no-signed-log`, `receipt-not-ready`, `opening-erased` or `record-altered`
 */
export function readReceipt(
  { pool, versions, witnesses }: ReceiptDeps,
  subject: ReceiptSubject,
  audience: Pick<Audience, 'hasKey'>,
): Promise<{ receipt: Receipt; number: number }> {
  const read = async (session: pg.PoolClient) => {
    const found = await findSubject(session, subject);
    const opening = await requireOpening(session, found);
    const rows = await readRowTexts(session, subject.kind, found, audience);
    const { proved, others } = await proveRows(session, opening, rows);
    const later = await laterOpenings(session, others);
    // One signature serves all entries.
    const last = Math.max(opening.position, ...later.map((one) => one.opening.position));
    const { generation, origin, vkey, cosigners, proof } = await proveEntry(session, opening, last);
    const laterEntries: OpenedEntry[] = [];
    for (const one of later) {
      const entry = await proveEntry(session, one.opening, last);
      laterEntries.push(openedEntry(one.opening, one.rows, entry.proof));
    }
    const isVersion = subject.kind === 'version';
    const documents = isVersion ? await documentsOf(session, versions, subject) : [];
    const receipt: Receipt = {
      v: 1,
      generation,
      origin,
      subject: opening.subject,
      ...openedEntry(opening, proved, proof),
      laterEntries,
      documents,
      vkey,
      witnesses: witnesses.map((witness) => witness.vkey),
      missingWitnesses: witnesses
        .map(({ name }) => name)
        .filter((name) => !cosigners.includes(name)),
    };
    return { receipt, number: found.number };
  };
  return inTransaction(pool, read, BEGIN_SNAPSHOT);
}

function openedEntry({ content, salt }: Opening, rows: ProvenRow[], proof: string): OpenedEntry {
  return { event: content, salt: salt.toString('base64'), rows, proof };
}

type LaterOpening = { opening: Opening; rows: ProvenRow[] };

/**
 * The openings that vouch for rows that the act itself has no digests of: rows older than the log, which later writes
 * digested.
 */
async function laterOpenings(session: Session, rows: readonly RowText[]): Promise<LaterOpening[]> {
  const later: LaterOpening[] = [];
  let left = rows;
  if (left.length === 0) return later;
  for (const writeId of await findLaterWrites(session, left)) {
    const opening = await requireOpening(session, { writeId });
    const { proved, others } = await proveRows(session, opening, left);
    if (proved.length === 0) continue;
    later.push({ opening, rows: proved });
    left = others;
  }
  const [lost] = left;
  if (!lost) return later;
  throw (await isDigesting(session)) ? notReady() : recordAltered(lost.relation);
}

/** Whether rows older than the log are still to be digested. */
async function isDigesting(session: Session): Promise<boolean> {
  const { rowCount } = await session.query('select from digest_progress where not is_done limit 1');
  return rowCount === 1;
}

/** The words behind the hashes of a version: what its own hash is of, and what that of its framework is of. */
async function documentsOf(
  session: Session,
  versions: VersionReader,
  { slug, version }: { slug: string; version: number },
): Promise<HashedDocument[]> {
  const found = await versions.readIn(session, slug, { version });
  const { instrument, horizon, framework, author } = found;
  const subject = { instrument: instrument.symbol, horizon };
  const chained = { ...found, authorId: author.id, frameworkHash: framework.hash };
  const documents: HashedDocument[] = [
    { of: 'version', json: canonicalJson(hashedVersion(chained)) },
    { of: 'framework', json: canonicalJson(hashedFramework(framework.read(), subject)) },
  ];
  const hashes = [found.hash, framework.hash];
  if (documents.some(({ json }, at) => hashText(json) !== hashes[at])) {
    throw recordAltered('outlook_versions');
  }
  return documents;
}
