import { rowHashOf, rowSaltOf } from '../domain/log-entries.ts';
import { HASH_BYTES, inclusionProofsOf } from '../domain/merkle-tree.ts';
import { Problem } from '../http/problems.ts';
import type { Session } from '../postgres/pool.ts';
import type { RowText } from './receipt-subjects.ts';

/**
 * A row of a write, and the proof that the write's root covers it. `index` counts the rows of the write from 0. Salt and
 * hashes are base64. The salt says nothing about other rows.
 */
export type ProvedRow = { index: number; salt: string; text: string; proof: string[] };

/** What one statement wrote; `keys` and `salt` are null for tables that were not asked for. */
type Digest = { relation: string; keys: string[] | null; salt: Buffer | null; hashes: Buffer };

const READ_DIGESTS = {
  name: 'read-digests',
  text: `
    select relation, hashes, case when relation = any($2) then keys end as keys,
        case when relation = any($2) then salt end as salt
      from row_digests where write_id = $1 order by number`,
};

/**
 * Proves the rows that a write has digests of. What it costs grows with the rows of the write: it hashes each once.
 * @returns the proved rows, in the order of `rows`, and those that the write has no digest of
 * @throws Problem `opening-erased`, or `record-altered` if a row is not as it was digested
 */
export async function proveRows(
  session: Session,
  writeId: number,
  rows: readonly RowText[],
): Promise<{ proved: ProvedRow[]; others: RowText[] }> {
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
    if (!rowHashOf(salt, text).equals(leaves[index] as Buffer)) throw recordAltered(relation);
    const proof = (proofs[place] as Buffer[]).map((hash) => hash.toString('base64'));
    return { index, salt: salt.toString('base64'), text, proof };
  });
  return { proved, others: rows.filter((row) => !places.has(nameOf(row))) };
}

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

function hashesIn(bytes: Buffer): Buffer[] {
  const count = bytes.length / HASH_BYTES;
  return Array.from({ length: count }, (_, at) =>
    bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  );
}

const FIND_LATER_WRITES = {
  name: 'find-later-writes',
  text: `
    select distinct write_id as id from row_digests
     where operation = 'found' and keys && $2 and relation = any($1) order by write_id`,
};

/** The writes that digested rows of before the log. They may have none of these rows, but rows of their tables and keys. */
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

export function openingErased(): Problem {
  return new Problem(
    'opening-erased',
    'A name in this record was erased, and with it what its leaf in the log commits to.',
  );
}

export function recordAltered(relation: string): Problem {
  return new Problem(
    'record-altered',
    `A row of ${relation} is not as it was written, so no receipt can prove it.`,
  );
}
