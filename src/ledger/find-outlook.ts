import { deskOf } from '../access/desks.ts';
import { type Audience, type Desk, type Desks, requireDesk } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { Horizon } from '../domain/framework.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import type { Session } from '../postgres/pool.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

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

/**
 * Requires that an outlook exists that an audience may see.
 * @throws DomainError `outlook-not-found`
 */
export async function requireVisible(
  session: Session,
  slug: string,
  audience: Audience,
): Promise<void> {
  const { rowCount } = await session.query(
    `select from outlooks o where o.slug = $1 and ${visibleTo('o', '$2')}`,
    [slug, visibleDesks(audience)],
  );
  if (!rowCount) throw outlookNotFound(slug);
}

export type LockedOutlook = {
  id: number;
  status: OutlookStatus;
  horizon: Horizon;
  frameworkId: number;
  desk: Desk & { id: number };
};

type LockedRow = Omit<LockedOutlook, 'horizon' | 'desk'> & {
  horizon_from: string;
  horizon_to: string;
  desk_id: number;
  desk_slug: string;
  desk_name: string;
};

/**
 * Locks an outlook against other writes until the transaction ends, and reads what they could change. For views and evidence,
 * which every analyst may add; {@link lockOwnOutlook} is for the rest.
 * @throws DomainError `outlook-not-found`
 */
export async function lockOutlook(session: Session, slug: string): Promise<LockedOutlook> {
  const { rows } = await session.query<LockedRow>(
    `select o.id, o.status, o.framework_id as "frameworkId", o.horizon_from, o.horizon_to,
        d.id as desk_id, d.slug as desk_slug, d.name as desk_name
       from outlooks o join ${deskOf('o')} where o.slug = $1 for no key update of o`,
    [slug],
  );
  const [row] = rows;
  if (!row) throw outlookNotFound(slug);
  const { id, status, frameworkId, horizon_from: from, horizon_to: to } = row;
  const desk = { id: row.desk_id, slug: row.desk_slug, name: row.desk_name };
  return { id, status, frameworkId, horizon: { from, to }, desk };
}

/**
 * As {@link lockOutlook}, for those who act for its desk.
 * @throws DomainError `outlook-not-found` or `wrong-desk`
 */
export async function lockOwnOutlook(
  session: Session,
  slug: string,
  desks: Desks,
): Promise<LockedOutlook> {
  const outlook = await lockOutlook(session, slug);
  requireDesk(desks, outlook.desk, `"${slug}"`);
  return outlook;
}
