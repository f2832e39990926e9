import type { Session } from '../postgres/pool.ts';

/**
 * The hash of the first version of the first outlook, by which a ledger differs from every other, wherever it runs. Null for
 * a ledger without outlooks.
 */
export async function readLedgerHash(session: Session): Promise<string | null> {
  const { rows } = await session.query<{ hash: string }>({
    name: 'read-ledger-hash',
    text: `select encode(v.hash, 'hex') as hash from (select id from outlooks order by id limit 1) o
      join outlook_versions v on v.outlook_id = o.id and v.version = 1`,
  });
  return rows[0]?.hash ?? null;
}
