import type { Session } from './pool.ts';

/** How many of the newest entries and events count: more than are written while a transaction is open. */
const NEWEST = 1_000;

const newest = (table: string): string => `
  select coalesce(string_agg(n.id || ' ' || extract(epoch from n.recorded_at), ',' order by n.id), '') as text
    from (select id, recorded_at from ${table} order by id desc limit ${NEWEST}) n`;

const READ_STATE = {
  name: 'read-ledger-state',
  text: `select encode(sha256(convert_to(a.text || ';' || e.text, 'UTF8')), 'hex') as state
    from (${newest('audit_entries')}) a, (${newest('events')}) e`,
};

/**
 * A text that changes with whatever is committed: each write of a client has an entry in the audit trail, and what the
 * service itself changes has an event. It depends on many ids, because an id is drawn before its transaction commits: the
 * highest one would hide a lower one that comes later.
 */
export async function readLedgerState(session: Session): Promise<string> {
  const { rows } = await session.query<{ state: string }>(READ_STATE);
  const [row] = rows;
  if (!row) throw new Error('the query for the state of the ledger returned no row');
  return row.state;
}
