import type pg from 'pg';
import type { Analyst } from './analysts.ts';
import { storeMissingSkeletons } from './analysts.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';
import { appendAudit, localWrite } from './audit-log.ts';

/** What an erasure did. */
export type Erasure = {
  /** The name that the analyst has from now on. */
  replacement: string;
  /** How many acts lost their opening in the transparency log. */
  openings: number;
};

/** The most time that an erasure may take, in milliseconds: it reads the whole ledger. */
const LONGEST = 3_600_000;

/** The analyst with exactly that name or that id; null if there is none. */
export async function findByNameOrId(session: Session, nameOrId: string): Promise<Analyst | null> {
  const { rows } = await session.query<Analyst>(
    'select id, name from analysts where name = $1 or id::text = lower($1) order by name = $1 desc limit 1',
    [nameOrId],
  );
  return rows[0] ?? null;
}

/**
 * Erases the name of an analyst for good, wherever the ledger stores it, and revokes their keys. What they wrote stays, under
 * their id. The trigger erase_name() does it.
 * @param owner connects as the owner of the tables; the service's role may not erase
 * @throws Error if the name was erased before, or if a row that has to be digested again was tampered with
 */
export function eraseName(owner: pg.Pool, { id }: Analyst, now: Date): Promise<Erasure> {
  return inTransaction(owner, async (session) => {
    await session.query(`select set_config('statement_timeout', $1, true)`, [String(LONGEST)]);
    const insert = {
      text: 'insert into erasures (analyst_id, recorded_at) values ($1, $2)',
      values: [id, now.toISOString()],
      query_timeout: LONGEST,
    };
    await session.query(insert);
    await storeMissingSkeletons(session);
    const subject = `/v1/analysts/${id}`;
    const entry = { subject, summary: 'Erased the name' };
    await appendAudit(session, [localWrite(`${subject} (erased)`, entry, now)]);
    const { rows } = await session.query<Erasure>(
      `select a.name as replacement, (select count(*) from erased_openings where erasure_id = e.id) as openings
         from erasures e join analysts a on a.id = e.analyst_id where e.analyst_id = $1`,
      [id],
    );
    const [erased] = rows;
    if (!erased) throw new Error('a name was erased but the analyst was not found');
    return erased;
  });
}
