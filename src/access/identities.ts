import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { cleanedName } from '../domain/names.ts';
import { addAnalyst, type Analyst } from './analysts.ts';
import { batchCalls } from '../postgres/batching.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';

/** A person as an identity provider names them; the subject is unique within the issuer. */
export type Identity = { issuer: string; subject: string; name: string };

/** The analyst behind an identity, the same one each time, and whether they are deactivated. */
export type IdentityFinder = (identity: Identity, now: Date) => Promise<IdentifiedAnalyst>;

export type IdentifiedAnalyst = Analyst & { isDeactivated: boolean };

/**
 * Finds analysts by their identities, and adds new ones. An analyst keeps the name that their first token claimed, until
 * an admin gives them another. If it looks like another analyst's, the subject is appended to it, so that nobody can pass for another analyst. Nothing is
 * cached: no event says that a ledger that went back to an earlier state has lost an analyst.
 */
export function identityFinder(pool: pg.Pool): IdentityFinder {
  const find = batchCalls<Identity, IdentifiedAnalyst | null>(
    (identities) => findAll(pool, identities),
    {
      most: 100,
      atOnce: 2,
    },
  );
  return async (identity, now) => (await find(identity)) ?? (await add(pool, identity, now));
}

const FIND_IDENTITIES = {
  name: 'find-identities',
  text: `select i.issuer, i.subject, a.id, a.name, a.deactivated_at is not null as "isDeactivated"
    from unnest($1::text[], $2::text[]) as given (issuer, subject)
    join analyst_identities i on i.issuer = given.issuer and i.subject = given.subject
    join analysts a on a.id = i.analyst_id`,
};

/** The analysts behind identities, in their order; null for one that is not known yet. */
async function findAll(
  session: Session,
  identities: readonly Identity[],
): Promise<(IdentifiedAnalyst | null)[]> {
  const { rows } = await session.query<IdentifiedAnalyst & Omit<Identity, 'name'>>({
    ...FIND_IDENTITIES,
    values: [identities.map(({ issuer }) => issuer), identities.map(({ subject }) => subject)],
  });
  return identities.map(({ issuer, subject }) => {
    const found = rows.find((row) => row.issuer === issuer && row.subject === subject);
    if (!found) return null;
    const { id, name, isDeactivated } = found;
    return { id, name, isDeactivated };
  });
}

function add(pool: pg.Pool, identity: Identity, now: Date): Promise<IdentifiedAnalyst> {
  const { issuer, subject } = identity;
  return inTransaction(pool, async (session) => {
    await session.query(
      `select pg_advisory_xact_lock(hashtextextended('outlook-ledger identity ' || $1 || ' ' || $2, 0))`,
      [issuer, subject],
    );
    const [there] = await findAll(session, [identity]);
    if (there) return there; // added in the meantime
    const analyst = await insertAnalyst(session, identity, now);
    await session.query(
      'insert into analyst_identities (issuer, subject, analyst_id) values ($1, $2, $3)',
      [issuer, subject, analyst.id],
    );
    return { ...analyst, isDeactivated: false };
  });
}

async function insertAnalyst(
  session: pg.PoolClient,
  identity: Identity,
  now: Date,
): Promise<Analyst> {
  for (const name of candidateNames(identity)) {
    const { added } = await addAnalyst(session, name, now);
    if (added) return added;
  }
  throw new Error('no candidate for a name is left');
}

/** How many characters of a claimed name come before a random UUID. */
const CLAIMED_PART = 200;

/**
 * `Ada`, then `Ada (subject)`, then `Ada (subject, 2)` and so on. Others may have taken all of these to lock someone out, but
 * nobody can take a name that ends with a random UUID.
 */
function* candidateNames({ name, subject }: Identity): Generator<string> {
  const id = cleanedName(subject);
  const claimed = cleanedName(name) || id;
  const start = (length: number) => Array.from(claimed).slice(0, length).join(''); // no half of a surrogate pair
  if (claimed !== '') yield claimed;
  if (id !== '') {
    yield cleanedName(`${start(40)} (${id})`);
    for (let count = 2; count < 10; count += 1) yield cleanedName(`${start(30)} (${id}, ${count})`);
  }
  for (;;) yield cleanedName(`${start(CLAIMED_PART)} (${randomUUID()})`);
}
