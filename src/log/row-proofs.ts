import { rowHashOf, rowSaltOf } from '../domain/log-entries.ts';
import { HASH_BYTES, hashesIn, inclusionProofsOf, verifyInclusion } from '../domain/merkle-tree.ts';
import type { Session } from '../postgres/pool.ts';
import { type Opening, openingErased, recordAltered } from './openings.ts';
import type { RowText } from './receipt-subjects.ts';

/**
 * A row of a write, and the proof that the write's root covers it. `index` counts the rows of the write from 0. Salt and
 * hashes are base64. The salt says nothing about other rows.
 */
export type ProvenRow = { index: number; salt: string; text: string; proof: string[] };

/** What one SQL statement wrote; `keys` and `salt` are null for tables that were not asked for. */
type Digest = { relation: string; keys: string[] | null; salt: Buffer | null; hashes: Buffer };

const READ_DIGESTS = {
  name: 'read-digests',
  text: `
    select relation, hashes, case when relation = any($2) then keys end as keys,
        case when relation = any($2) then salt end as salt
      from row_digests where write_id = $1 order by number`,
};

/**
 * Proves the rows that a write has digests of. Its cost grows with all rows of the write: it hashes the tree over them once.
 * @returns the proved rows, in the order of `rows`, and those that the write has no digest of
 * @throws Problem `opening-erased`, or `record-altered` if a row is not as it was digested
 */
export async function proveRows(
  session: Session,
  { writeId, rows: { count: size, root } }: Opening,
  rows: readonly RowText[],
): Promise<{ proved: ProvenRow[]; others: RowText[] }> {
  const relations = [...new Set(rows.map(({ relation }) => relation))];
  const { rows: digests } = await session.query<Digest>({
    ...READ_DIGESTS,
    values: [writeId, relations],
  });
  const places = placesOf(digests);
  const leaves = digests.flatMap(({ hashes }) => hashesIn(hashes));
  const shown = rows.flatMap((row) => {
    const place = places.get(nameOf(row));
    return place ? [{ ...place, text: row.text, relation: row.relation }] : [];
  });
  const proofs = inclusionProofsOf(
    leaves,
    shown.map(({ index }) => index),
  );
  const proved = shown.map(({ index, at, digestSalt, text, relation }, place) => {
    if (digestSalt === null) throw openingErased();
    const salt = rowSaltOf(digestSalt, at);
    const proof = proofs[place] as Buffer[];
    const leafHash = rowHashOf(salt, text);
    if (!verifyInclusion({ index, size, leafHash, proof, root })) throw recordAltered(relation);
    return { index, salt: base64(salt), text, proof: proof.map(base64) };
  });
  return { proved, others: rows.filter((row) => !places.has(nameOf(row))) };
}

const base64 = (bytes: Buffer): string => bytes.toString('base64');

/** Where a row is: among the rows of the write, and among those of its digest, whose salt it has. */
type Place = { index: number; at: number; digestSalt: Buffer | null };

/** The places of rows by their names. A row that a write changed twice counts as it was at the end. */
function placesOf(digests: readonly Digest[]): Map<string, Place> {
  const places = new Map<string, Place>();
  let before = 0;
  for (const { relation, keys, salt, hashes } of digests) {
    for (const [at, key] of (keys ?? []).entries()) {
      places.set(nameOf({ relation, key }), { index: before + at, at, digestSalt: salt });
    }
    before += hashes.length / HASH_BYTES;
  }
  return places;
}

const nameOf = ({ relation, key }: Pick<RowText, 'relation' | 'key'>): string =>
  `${relation} ${key}`;

const FIND_LATER_WRITES = {
  name: 'find-later-writes',
  text: `
    select distinct write_id as id from row_digests
     where operation = 'found' and keys && $2 and relation = any($1) order by write_id`,
};

/** The writes that digested rows older than the log. Keys of several tables can be alike, so a write may have none of the rows. */
export async function findLaterWrites(
  session: Session,
  rows: readonly RowText[],
): Promise<number[]> {
  const relations = [...new Set(rows.map(({ relation }) => relation))];
  const keys = [...new Set(rows.map(({ key }) => key))];
  const { rows: writes } = await session.query<{ id: number }>({
    ...FIND_LATER_WRITES,
    values: [relations, keys],
  });
  return writes.map(({ id }) => id);
}
