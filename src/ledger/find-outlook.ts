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

type LockedRow = Omit<LockedOutlook, 'horizon'> & { horizon_from: string; horizon_to: string };

/**
 * Locks an outlook against other writes until the transaction ends, and reads what they could change.
 * @throws DomainError `outlook-not-found`
 */
export async function lockOutlook(session: Session, slug: string): Promise<LockedOutlook> {
  const { rows } = await session.query<LockedRow>(
    `select id, status, framework_id as "frameworkId",
        horizon_from, horizon_to
       from outlooks where slug = $1 for no key update`,
    [slug],
  );
  const [row] = rows;
  if (!row) throw outlookNotFound(slug);
  const { horizon_from: from, horizon_to: to, ...outlook } = row;
  return { ...outlook, horizon: { from, to } };
}
