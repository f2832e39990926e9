import type pg from 'pg';
import { inTransaction } from '../postgres/pool.ts';

/** The most outlooks in one transaction. */
const EXPIRED_AT_ONCE = 100;

/**
 * Expires the untriggered conditions of outlooks whose horizon is over. Several instances may do so at once.
 * @returns the slugs of the outlooks with a condition that changed
 */
export async function expireConditions(pool: pg.Pool, now: Date): Promise<string[]> {
  const slugs: string[] = [];
  for (;;) {
    const expired = await inTransaction(pool, (session) => expireSome(session, now));
    slugs.push(...expired);
    if (expired.length < EXPIRED_AT_ONCE) return slugs;
  }
}

const UNTRIGGERED = `
  from outlooks o join invalidation_conditions c on c.framework_id = o.framework_id
 where coalesce((select n.state from condition_changes n
         where n.outlook_id = o.id and n.key = c.key order by n.id desc limit 1), 'untriggered')
       = 'untriggered'`;

async function expireSome(session: pg.PoolClient, now: Date): Promise<string[]> {
  const today = now.toISOString().slice(0, 10);
  const { rows: locked } = await session.query<{ id: number; slug: string }>(
    `select due.id, due.slug from outlooks due
      where due.status = 'open' and due.horizon_to <= $1::date
        and exists (select ${UNTRIGGERED} and o.id = due.id)
      order by due.id limit ${EXPIRED_AT_ONCE} for no key update skip locked`,
    [today],
  );
  if (locked.length === 0) return [];
  // A second statement, after the lock: it sees what another instance expired in the meantime.
  const { rows: expired } = await session.query<{ id: number }>(
    `insert into condition_changes (outlook_id, key, state, cause, invalidates, version, reason,
       observations, recorded_at)
     select o.id, c.key, 'expired', 'horizon', c.invalidates, 0,
       format('"%s" was not triggered by %s, the end of the horizon.', c.key, o.horizon_to), '[]', $2
       ${UNTRIGGERED} and o.id = any($1) order by o.id, c.position
     returning outlook_id as id`,
    [locked.map(({ id }) => id), now.toISOString()],
  );
  const changed = new Set(expired.map(({ id }) => id));
  return locked.filter(({ id }) => changed.has(id)).map(({ slug }) => slug);
}
