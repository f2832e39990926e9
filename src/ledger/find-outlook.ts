import { DomainError } from '../domain/errors.ts';
import type { Horizon } from '../domain/framework.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import type { Session } from '../postgres/pool.ts';

/** The error for a slug that no outlook has. */
export function outlookNotFound(slug: string): DomainError {
  return new DomainError('outlook-not-found', `There is no outlook "${slug}".`);
}

/**
 * Tells an empty list from an outlook that does not exist.
 * @throws DomainError `outlook-not-found`
 */
export async function requireOutlook(session: Session, slug: string): Promise<void> {
  const { rowCount } = await session.query('select from outlooks where slug = $1', [slug]);
  if (!rowCount) throw outlookNotFound(slug);
}

export type LockedOutlook = {
  id: number;
  status: OutlookStatus;
  horizon: Horizon;
  frameworkId: number;
};

/**
 * Locks an outlook against other writes until the transaction ends, and reads what they could change.
 * @throws DomainError `outlook-not-found`
 */
export async function lockOutlook(session: Session, slug: string): Promise<LockedOutlook> {
  const { rows } = await session.query<LockedOutlook>(
    `select id, status, framework_id as "frameworkId",
        json_build_object('from', horizon_from, 'to', horizon_to) as horizon
       from outlooks where slug = $1 for no key update`,
    [slug],
  );
  const [outlook] = rows;
  if (!outlook) throw outlookNotFound(slug);
  return outlook;
}
