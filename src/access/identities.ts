import type pg from 'pg';
import { LRUCache } from 'lru-cache';
import type { Analyst } from './api-keys.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';

/** A person as an identity provider names them; the subject is unique within the issuer. */
export type Identity = { issuer: string; subject: string; name: string };

/** The analyst behind an identity, the same one each time. */
export type IdentityFinder = (identity: Identity, now: Date) => Promise<Analyst>;

/**
 * Finds analysts by their identities, and adds new ones. If the name of a new analyst is taken, the subject is appended to
 * it, so that nobody can pass for another analyst.
 */
export function identityFinder(pool: pg.Pool): IdentityFinder {
  // An identity stays with its analyst for good, so a found analyst may be cached.
  const known = new LRUCache<string, Analyst>({ max: 10_000 });
  return async (identity, now) => {
    const key = JSON.stringify([identity.issuer, identity.subject]);
    const found =
      known.get(key) ?? (await find(pool, identity)) ?? (await add(pool, identity, now));
    known.set(key, found);
    return found;
  };
}

async function find(session: Session, { issuer, subject }: Identity): Promise<Analyst | null> {
  const { rows } = await session.query<Analyst>(
    `select a.id, a.name from analyst_identities i join analysts a on a.id = i.analyst_id
      where i.issuer = $1 and i.subject = $2`,
    [issuer, subject],
  );
  return rows[0] ?? null;
}

function add(pool: pg.Pool, identity: Identity, now: Date): Promise<Analyst> {
  const { issuer, subject } = identity;
  return inTransaction(pool, async (session) => {
    await session.query(
      `select pg_advisory_xact_lock(hashtextextended('outlook-ledger identity ' || $1 || ' ' || $2, 0))`,
      [issuer, subject],
    );
    const there = await find(session, identity);
    if (there) return there; // added in the meantime
    const analyst = await insertAnalyst(session, identity, now);
    await session.query(
      'insert into analyst_identities (issuer, subject, analyst_id) values ($1, $2, $3)',
      [issuer, subject, analyst.id],
    );
    return analyst;
  });
}

async function insertAnalyst(
  session: pg.PoolClient,
  { subject, name }: Identity,
  now: Date,
): Promise<Analyst> {
  // Each taken candidate belongs to an analyst, so this ends.
  for (let attempt = 1; ; attempt += 1) {
    const { rows } = await session.query<Analyst>(
      `insert into analysts (name, created_at) values ($1, $2)
       on conflict do nothing returning id, name`,
      [candidateName(name, subject, attempt), now.toISOString()],
    );
    if (rows[0]) return rows[0];
  }
}

/** `Ada`, then `Ada (subject)`, then `Ada (subject, 2)` and so on; at most 300 characters, the limit of the table. */
function candidateName(name: string, subject: string, attempt: number): string {
  if (attempt === 1) return name;
  const start = (length: number) => Array.from(name).slice(0, length).join(''); // never half of a surrogate pair
  if (attempt === 2) return `${start(40)} (${subject})`;
  return `${start(30)} (${subject}, ${attempt - 1})`;
}
