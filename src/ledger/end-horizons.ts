import type pg from 'pg';
import { inTransaction } from '../postgres/pool.ts';

/** The most outlooks in one transaction. */
const ENDED_AT_ONCE = 100;

/**
 * Notes the end of horizons that are over, so that the outlooks await their resolution, and expires the conditions of open
 * ones that never triggered. Several instances may do so at once.
 * @returns the slugs of the outlooks whose horizon ended
 */
export async function endHorizons(pool: pg.Pool, now: Date): Promise<string[]> {
  const slugs: string[] = [];
  for (;;) {
    const ended = await inTransaction(pool, (session) => endSome(session, now));
    slugs.push(...ended);
    if (ended.length < ENDED_AT_ONCE) return slugs;
  }
}

async function endSome(session: pg.PoolClient, now: Date): Promise<string[]> {
  const today = now.toISOString().slice(0, 10);
  // Found by outlooks_horizon_to_end, however many outlooks await their resolution.
  const { rows } = await session.query<{ id: number; slug: string }>(
    `select id, slug from outlooks
      where status in ('open', 'withdrawn') and horizon_ended_at is null and horizon_to <= $1::date
      order by horizon_to, id limit ${ENDED_AT_ONCE} for no key update skip locked`,
    [today],
  );
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  // A trigger adds the event and the reason for a review.
  await session.query('update outlooks set horizon_ended_at = $2 where id = any($1)', [
    ids,
    now.toISOString(),
  ]);
  await session.query(
    `insert into condition_changes (outlook_id, key, state, cause, invalidates, version, reason,
       observations, recorded_at)
     select o.id, c.key, 'expired', 'horizon', c.invalidates, 0,
       format('"%s" was not triggered by %s, the last day of the horizon.', c.key, o.horizon_to - 1),
       '[]', $2
       from outlooks o join invalidation_conditions c on c.framework_id = o.framework_id
      where o.id = any($1) and o.status = 'open' and coalesce((
        select n.state from condition_changes n
         where n.outlook_id = o.id and n.key = c.key order by n.id desc limit 1), 'untriggered') = 'untriggered'
      order by o.id, c.position`,
    [ids, now.toISOString()],
  );
  return rows.map(({ slug }) => slug);
}
