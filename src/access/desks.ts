import type pg from 'pg';
import { actsFor, type Desk, type Desks, FIRST_DESK } from '../domain/desks.ts';
import { DomainError, type Fault } from '../domain/errors.ts';
import { nameFault, normalizedName, skeletonsOf } from '../domain/names.ts';
import { batchCalls } from '../postgres/batching.ts';
import type { Session } from '../postgres/pool.ts';

/** A desk as the ledger stores it. */
export type StoredDesk = Desk & { id: number; createdAt: Date };

/** The most desks of a ledger. */
export const MOST_DESKS = 1_000;

const READ = 'select id, slug, name, created_at as "createdAt" from desks';

/**
 * The desk `d` of a row of outlooks or series, for a join in SQL. Rows without one are older than desks.
 * @param alias of the table in the statement
 */
export const deskOf = (alias: string): string =>
  `desks d on d.id = coalesce(${alias}.desk_id, ${FIRST_DESK})`;

/** Desks in the order of their slugs, those after `after`; at most `limit`. */
export async function listDesks(
  session: Session,
  { after, limit }: { after: string | null; limit: number },
): Promise<StoredDesk[]> {
  const { rows } = await session.query<StoredDesk>(
    `${READ} where $1::text is null or slug collate "C" > $1 order by slug collate "C" limit $2`,
    [after, limit],
  );
  return rows;
}

/** The desk with a slug; null if there is none. */
export async function findDesk(session: Session, slug: string): Promise<StoredDesk | null> {
  const { rows } = await session.query<StoredDesk>(`${READ} where slug = $1`, [slug]);
  return rows[0] ?? null;
}

/** @throws DomainError `desk-not-found` */
export async function readDesk(session: Session, slug: string): Promise<StoredDesk> {
  const found = await findDesk(session, slug);
  if (found) return found;
  throw new DomainError('desk-not-found', `There is no desk "${slug}".`);
}

/** The slugs of desks, in alphabetical order. */
export async function slugsOf(session: Session, ids: readonly number[]): Promise<string[]> {
  const { rows } = await session.query<Desk>(
    'select slug from desks where id = any($1) order by slug collate "C"',
    [ids],
  );
  return rows.map(({ slug }) => slug);
}

/**
 * Adds a desk. Call it in a transaction.
 * @throws DomainError `desk-refused` for a name that no desk may have, or if there are {@link MOST_DESKS}; `desk-taken` if
 *   another desk has the slug, or a name that looks the same
 */
export async function addDesk(
  session: Session,
  { slug, name: sent }: Desk,
  now: Date,
): Promise<StoredDesk> {
  const name = acceptedName(sent);
  const others = await lockDesks(session);
  if (others.length >= MOST_DESKS) {
    throw new DomainError('desk-refused', `A ledger has at most ${MOST_DESKS} desks.`);
  }
  const isTaken = others.some((other) => other.slug === slug);
  const slugFault = { path: ['slug'], detail: 'is taken; use that desk or choose another slug' };
  refuseTaken([...(isTaken ? [slugFault] : []), ...lookAlikeFaults(name, others)]);
  const { rows } = await session.query<StoredDesk>(
    `insert into desks (slug, name, created_at) values ($1, $2, $3)
     returning id, slug, name, created_at as "createdAt"`,
    [slug, name, now.toISOString()],
  );
  const [added] = rows;
  if (!added) throw new Error('a desk was inserted but not returned');
  return added;
}

/**
 * Gives a desk another name. Call it in a transaction.
 * @throws DomainError `desk-not-found`, `desk-refused` or `desk-taken`, as {@link addDesk}
 */
export async function renameDesk(
  session: Session,
  slug: string,
  sent: string,
): Promise<StoredDesk> {
  const name = acceptedName(sent);
  const desks = await lockDesks(session);
  const desk = await readDesk(session, slug);
  refuseTaken(
    lookAlikeFaults(
      name,
      desks.filter(({ id }) => id !== desk.id),
    ),
  );
  await session.query('update desks set name = $2 where id = $1 and name <> $2', [desk.id, name]);
  return { ...desk, name };
}

/** All desks. Whoever else adds or renames one waits until the transaction ends. */
async function lockDesks(session: Session): Promise<StoredDesk[]> {
  await session.query(`select pg_advisory_xact_lock(hashtextextended('outlook-ledger desks', 0))`);
  return (await session.query<StoredDesk>(READ)).rows;
}

/** A name in the form in which it is stored. */
function acceptedName(sent: string): string {
  const name = normalizedName(sent);
  const fault = name === '*' ? 'must not be *, which stands for all desks' : nameFault(name);
  if (fault === null) return name;
  throw new DomainError('desk-refused', `The name ${fault}.`, [{ path: ['name'], detail: fault }]);
}

function lookAlikeFaults(name: string, others: readonly StoredDesk[]): Fault[] {
  const skeletons = new Set(skeletonsOf(name));
  const alike = others.find((other) => skeletonsOf(other.name).some((one) => skeletons.has(one)));
  if (!alike) return [];
  const detail = `looks like the name of the desk "${alike.slug}"; choose one that looks different`;
  return [{ path: ['name'], detail }];
}

function refuseTaken(faults: readonly Fault[]): void {
  const [first] = faults;
  if (!first) return;
  throw new DomainError('desk-taken', `The ${first.path[0]} ${first.detail}.`, faults);
}

/**
 * The desks that a new key acts for. Call it in the transaction that issues the key.
 * @param sent slugs of desks, or only `*` for all; undefined if the request names none
 * @returns their ids; null for all desks, including later ones
 * @throws DomainError `desk-refused`
 */
export async function desksOfKey(
  session: Session,
  sent: readonly string[] | undefined,
  { isAdmin }: { isAdmin: boolean },
): Promise<number[] | null> {
  if (sent?.includes(ALL)) return null;
  if (isAdmin) {
    if (sent === undefined) return null;
    throw desksRefused('must be "*" or left out: an admin key acts for all desks');
  }
  // Waits for a desk that is being added, or makes the desk wait.
  await session.query(
    `select pg_advisory_xact_lock_shared(hashtextextended('outlook-ledger desks', 0))`,
  );
  const { rows } = await session.query<StoredDesk>(`${READ} order by slug collate "C"`);
  if (sent === undefined) {
    if (rows.length === 1) return null;
    throw desksRefused(`is required: send some of ${listOf(rows)}, or "*" for all desks`);
  }
  const ids = new Map(rows.map(({ slug, id }) => [slug, id]));
  const faults = sent.flatMap((slug, index) =>
    ids.has(slug)
      ? []
      : [{ path: ['desks', index], detail: `"${slug}" is unknown; send some of ${listOf(rows)}` }],
  );
  const [first] = faults;
  if (first) throw new DomainError('desk-refused', `The desk ${first.detail}.`, faults);
  return sent.flatMap((slug) => ids.get(slug) ?? []).toSorted((a, b) => a - b);
}

/** Stands for all desks, including later ones. */
export const ALL = '*';

function desksRefused(detail: string): DomainError {
  return new DomainError('desk-refused', `The desks of a key: ${detail}.`, [
    { path: ['desks'], detail },
  ]);
}

/** How many desks an error lists. */
const MOST_LISTED = 20;

function listOf(desks: readonly Desk[]): string {
  const slugs = desks.slice(0, MOST_LISTED).map(({ slug }) => `"${slug}"`);
  const more = desks.length > MOST_LISTED ? ' and others (GET /v1/desks)' : '';
  return slugs.join(', ') + more;
}

/**
 * The desk of a new outlook or series: the one that the request names, or the only one that the caller acts for.
 * @returns the desk; or a fault if there is none, or the request does not say which
 * @throws DomainError `wrong-desk` if the caller does not act for it
 */
export async function deskOfNew(
  session: Session,
  desks: Desks,
  sent: string | undefined,
): Promise<{ desk: StoredDesk; fault: null } | { desk: null; fault: Fault }> {
  const { rows } = await session.query<StoredDesk>(`${READ} order by slug collate "C"`);
  const own = rows.filter(({ id }) => actsFor(desks, id));
  const [first] = own;
  if (!first) {
    throw new DomainError('wrong-desk', 'Your key or token acts for no desk.');
  }
  if (sent === undefined && own.length === 1) return { desk: first, fault: null };
  const desk = rows.find(({ slug }) => slug === sent);
  if (desk && !own.includes(desk)) {
    const detail = `Your key or token does not act for the desk "${desk.slug}" (${desk.name}).`;
    throw new DomainError('wrong-desk', detail);
  }
  if (desk) return { desk, fault: null };
  const which = sent === undefined ? 'is required' : `"${sent}" is unknown`;
  const detail = `${which}; send one of ${listOf(own)}`;
  return { desk: null, fault: { path: ['desk'], detail } };
}

/** The ids of the desks with these slugs; unknown ones are left out. */
export type DeskFinder = (slugs: readonly string[]) => Promise<number[]>;

/** Finds the desks that tokens name. One query serves many calls at the same time. */
export function deskFinder(pool: pg.Pool): DeskFinder {
  return batchCalls<readonly string[], number[]>(
    async (calls) => {
      const { rows } = await pool.query<Pick<StoredDesk, 'id' | 'slug'>>({
        name: 'find-desks',
        text: 'select id, slug from desks where slug = any($1)',
        values: [[...new Set(calls.flat())]],
      });
      return calls.map((slugs) => {
        const named = new Set(slugs);
        return rows.filter(({ slug }) => named.has(slug)).map(({ id }) => id);
      });
    },
    { most: 100, atOnce: 2 },
  );
}
