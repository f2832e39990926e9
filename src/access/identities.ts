import type pg from 'pg';
import { LRUCache } from 'lru-cache';
import type { Analyst } from './api-keys.ts';
import { inTransaction } from '../postgres/pool.ts';

/** Whom an identity provider speaks of; the subject is unique within the issuer. */
export type Identity = { issuer: string; subject: string; name: string };

/** The analyst behind an identity, the same one each time. */
export type IdentityFinder = (identity: Identity, now: Date) => Promise<Analyst>;

/**
 * Finds analysts by their identities, and adds them when they first come. Nobody becomes another by taking their
 * name: where it is taken, the subject is added to it.
 */
export function identityFinder(pool: pg.Pool): IdentityFinder {
  // An identity stays with its analyst for good, so what was found may be remembered.
  const known = new LRUCache<string, Analyst>({ max: 10_000 });
  return async (identity, now) => {
    const key = JSON.stringify([identity.issuer, identity.subject]);
    const found =
      known.get(key) ?? (await find(pool, identity)) ?? (await add(pool, identity, now));
    known.set(key, found);
    return found;
  };
}

async function find(
  session: Pick<pg.ClientBase, 'query'>,
  { issuer, subject }: Identity,
): Promise<Analyst | null> {
  const { rows } = await session.query<Analyst>(
    `select a.id, a.name from analyst_identities i join analysts a on a.id = i.analyst_id
      where i.issuer = $1 and i.subject = $2`,
    [issuer, subject],
  );
  return rows[0] ?? null;
}

function add(pool: pg.Pool, identity: Identity, now: Date): Promise<Analyst> {
  const { issuer, subject, name } = identity;
  return inTransaction(pool, async (session) => {
    await session.query(
      `select pg_advisory_xact_lock(hashtextextended('outlook-ledger identity ' || $1 || ' ' || $2, 0))`,
      [issuer, subject],
    );
    const there = await find(session, identity);
    if (there) return there; // added meanwhile
    for (const candidate of [name, `${name.slice(0, 40)} (${subject})`]) {
      const { rows } = await session.query<Analyst>(
        `insert into analysts (name, created_at) values ($1, $2)
         on conflict do nothing returning id, name`,
        [candidate, now.toISOString()],
      );
      const [analyst] = rows;
      if (!analyst) continue;
      await session.query(
        'insert into analyst_identities (issuer, subject, analyst_id) values ($1, $2, $3)',
        [issuer, subject, analyst.id],
      );
      return analyst;
    }
    throw new Error(`no free analyst name for ${subject} of ${issuer}`);
  });
}
