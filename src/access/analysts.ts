import { createHash } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import { nameFault, normalizedName, skeletonsOf } from '../domain/names.ts';
import type { Session } from '../postgres/pool.ts';

export type Analyst = { id: string; name: string };

/** An analyst of an earlier release, and an older one whose name looks the same. */
export type LookAlike = { analyst: Analyst; looksLike: Analyst };

/**
 * The analyst with that name, who is added if there is none yet. Call it in a transaction.
 * @throws DomainError `name-refused` for a new name with characters that can't be seen; `name-taken` for one that looks
 *   like the name of another analyst; `analyst-deactivated`
 */
export async function analystNamed(session: Session, sent: string, now: Date): Promise<Analyst> {
  const name = normalizedName(sent);
  const known = (await findNamed(session, sent)) ?? (await findNamed(session, name));
  if (known?.isDeactivated) {
    throw new DomainError(
      'analyst-deactivated',
      `The analyst "${known.name}" is deactivated. Reactivate them first: PATCH /v1/analysts/${known.id} with "active": true.`,
    );
  }
  if (known) return { id: known.id, name: known.name };
  requireAllowedName(name);
  const { added, looksLike } = await addAnalyst(session, name, now);
  if (added) return added;
  if (looksLike.name === name) return looksLike; // added in the meantime
  throw nameTaken(
    name,
    looksLike,
    'Send exactly that name for another key of this analyst, or a name that looks different.',
  );
}

/** @throws DomainError `name-refused` for a normalized name that no analyst may get */
export function requireAllowedName(name: string): void {
  const fault = nameFault(name);
  if (fault === null) return;
  throw new DomainError('name-refused', `The name ${fault}.`, [{ path: ['name'], detail: fault }]);
}

/** The error for a name that looks like one that another analyst has or had. */
export function nameTaken(name: string, { id, name: other }: Analyst, mend: string): DomainError {
  const hashes = hashesOf(other);
  const isCurrent = hashesOf(name).some((hash) => hashes.some((one) => one.equals(hash)));
  const which = isCurrent ? 'that of' : 'an earlier name of';
  return new DomainError(
    'name-taken',
    `The name "${name}" looks like ${which} the analyst "${other}" (${id}). ${mend}`,
  );
}

async function findNamed(
  session: Session,
  name: string,
): Promise<(Analyst & { isDeactivated: boolean }) | null> {
  const { rows } = await session.query<Analyst & { isDeactivated: boolean }>(
    'select id, name, deactivated_at is not null as "isDeactivated" from analysts where name = $1',
    [name],
  );
  return rows[0] ?? null;
}

type Addition = { added: Analyst; looksLike?: never } | { added: null; looksLike: Analyst };

/**
 * Adds an analyst unless the name looks like that of another. Call it in a transaction.
 * @param name a name without a {@link nameFault}
 */
export async function addAnalyst(session: Session, name: string, now: Date): Promise<Addition> {
  const looksLike = await findLookAlike(session, name, null);
  if (looksLike) return { added: null, looksLike };
  const { rows } = await session.query<Analyst>(
    'insert into analysts (name, created_at) values ($1, $2) returning id, name',
    [name, now.toISOString()],
  );
  const [added] = rows;
  if (!added) throw new Error('an analyst was inserted but not returned');
  await storeSkeletons(session, added);
  return { added };
}

/**
 * The analyst with a current or earlier name that looks like the given one; null if there is none. Call it in a transaction:
 * other requests that add or rename an analyst wait until it ends.
 * @param exceptId the id of an analyst who does not count
 */
export async function findLookAlike(
  session: Session,
  name: string,
  exceptId: string | null,
): Promise<Analyst | null> {
  const lookAlikes = await storeMissingSkeletons(session);
  const hashes = hashesOf(name);
  const looksLike = lookAlikes.find(
    ({ analyst }) =>
      analyst.id !== exceptId &&
      hashesOf(analyst.name).some((one) => hashes.some((hash) => hash.equals(one))),
  );
  if (looksLike) return looksLike.analyst;
  const { rows } = await session.query<Analyst>(
    `select a.id, a.name from analyst_skeletons s join analysts a on a.id = s.analyst_id
      where (s.hash = any($1) or a.name = $2) and a.id is distinct from $3
      order by a.created_at, a.id limit 1`,
    [hashes, name, exceptId],
  );
  return rows[0] ?? null;
}

/** Stores how the name of an analyst looks. Earlier names of theirs may look the same. */
export async function storeSkeletons(session: Session, { id, name }: Analyst): Promise<void> {
  await insertSkeletons(session, [{ id, hashes: hashesOf(name) }]);
}

/**
 * Stores the skeletons of the analysts who have none: an earlier release added them, and may still run beside this one.
 * Older analysts come first. Call it in a transaction; whoever else adds an analyst waits until it ends.
 * @returns the analysts whose name looks like that of an older one; they keep their names and get no skeletons
 */
export async function storeMissingSkeletons(session: Session): Promise<LookAlike[]> {
  await session.query(`select pg_advisory_xact_lock(hashtextextended('outlook-ledger names', 0))`);
  const { rows: analysts } = await session.query<Analyst>(
    `select a.id, a.name from analysts a
      where not exists (select from analyst_skeletons s where s.analyst_id = a.id)
      order by a.created_at, a.id`,
  );
  if (analysts.length === 0) return [];
  const missing = analysts.map((analyst) => ({ ...analyst, hashes: hashesOf(analyst.name) }));
  const owners = await ownersOf(
    session,
    missing.flatMap(({ hashes }) => hashes),
  );
  const lookAlikes: LookAlike[] = [];
  const distinct = missing.filter(({ id, name, hashes }) => {
    const looksLike = hashes.map((hash) => owners.get(hash.toString('hex'))).find(Boolean);
    if (looksLike) lookAlikes.push({ analyst: { id, name }, looksLike });
    else for (const hash of hashes) owners.set(hash.toString('hex'), { id, name });
    return !looksLike;
  });
  await insertSkeletons(session, distinct);
  return lookAlikes;
}

/** The analysts whose names have these skeletons, by the hash in hexadecimal. */
async function ownersOf(session: Session, hashes: Buffer[]): Promise<Map<string, Analyst>> {
  const { rows } = await session.query<Analyst & { hash: Buffer }>(
    `select s.hash, a.id, a.name from analyst_skeletons s join analysts a on a.id = s.analyst_id
      where s.hash = any($1)`,
    [hashes],
  );
  return new Map(rows.map(({ hash, id, name }) => [hash.toString('hex'), { id, name }]));
}

async function insertSkeletons(
  session: Session,
  analysts: readonly { id: string; hashes: Buffer[] }[],
): Promise<void> {
  const rows = analysts.flatMap(({ id, hashes }) => hashes.map((hash) => ({ id, hash })));
  if (rows.length === 0) return;
  await session.query(
    `insert into analyst_skeletons (hash, analyst_id) select * from unnest($1::bytea[], $2::uuid[])
      on conflict do nothing`,
    [rows.map(({ hash }) => hash), rows.map(({ id }) => id)],
  );
}

// Hashes, because a skeleton can be longer than an index entry may be.
function hashesOf(name: string): Buffer[] {
  return skeletonsOf(name).map((skeleton) => createHash('sha256').update(skeleton).digest());
}
