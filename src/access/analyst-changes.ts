import type { AnalystChange } from '../domain/names.ts';
import { normalizedName } from '../domain/names.ts';
import { DomainError } from '../domain/errors.ts';
import type { Session } from '../postgres/pool.ts';
import {
  type Analyst,
  findLookAlike,
  nameTaken,
  requireAllowedName,
  storeSkeletons,
} from './analysts.ts';
import { requireOtherAdmin } from './api-keys.ts';

/** An analyst, and whether they may act: their keys and tokens are accepted, and their views count. */
export type AnalystState = Analyst & { active: boolean };

/** A new name, and whether the analyst may act; what is left out stays. */
export type Amendment = { name?: string | undefined; active?: boolean | undefined };

const READ = 'select id, name, deactivated_at is null as active from analysts where id = $1';

/** @throws DomainError `analyst-not-found` */
export async function readAnalystState(session: Session, id: string): Promise<AnalystState> {
  const { rows } = await session.query<AnalystState>(READ, [id]);
  const [found] = rows;
  if (found) return found;
  throw new DomainError('analyst-not-found', `There is no analyst ${id}.`);
}

/**
 * Renames an analyst, deactivates or reactivates them. Call it in a transaction. What they wrote stays theirs, under the new
 * name; the ledger keeps the earlier ones.
 * @returns the analyst, and what changed
 * @throws DomainError `analyst-not-found`; `name-refused`, `name-taken`; `last-admin-key` if nobody else could act as admin
 */
export async function changeAnalyst(
  session: Session,
  id: string,
  { name, active }: Amendment,
  now: Date,
): Promise<{ analyst: AnalystState; changes: AnalystChange[] }> {
  await session.query(`select pg_advisory_xact_lock(hashtextextended('outlook-ledger names', 0))`);
  const before = await readAnalystState(session, id);
  const changes: AnalystChange[] = [];
  if (name !== undefined && (await rename(session, before, normalizedName(name), now))) {
    changes.push('renamed');
  }
  if (active !== undefined && active !== before.active) {
    if (!active) await requireOtherAdmin(session, before, now);
    const kind = active ? 'reactivated' : 'deactivated';
    await append(session, id, { kind, at: now });
    changes.push(kind);
  }
  return { analyst: await readAnalystState(session, id), changes };
}

/** @returns whether the name changed */
async function rename(session: Session, before: Analyst, name: string, at: Date): Promise<boolean> {
  if (name === before.name) return false;
  const { id } = before;
  requireAllowedName(name);
  const { rowCount } = await session.query('select from erasures where analyst_id = $1', [id]);
  if (rowCount !== 0) {
    const detail = 'was erased for good, so this analyst can get no other';
    throw new DomainError('name-refused', `The name ${detail}.`, [{ path: ['name'], detail }]);
  }
  const alike = await findLookAlike(session, name, id);
  if (alike) throw nameTaken(name, alike, 'Send a name that looks different.');
  await append(session, id, { kind: 'renamed', at, names: [before.name, name] });
  await storeSkeletons(session, { id, name });
  return true;
}

type NewChange = { kind: AnalystChange; at: Date; names?: readonly [string, string] };

async function append(session: Session, id: string, { kind, at, names }: NewChange): Promise<void> {
  const [oldName = null, newName = null] = names ?? [];
  await session.query(
    `insert into analyst_changes (analyst_id, kind, old_name, new_name, recorded_at)
     values ($1, $2, $3, $4, $5)`,
    [id, kind, oldName, newName, at.toISOString()],
  );
}
