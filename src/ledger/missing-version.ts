import { DomainError } from '../domain/errors.ts';
import type { Session } from '../postgres/pool.ts';
import { outlookNotFound } from './find-outlook.ts';

/** Which version of an outlook to read: the newest, one by its number, or the newest at a given time. */
export type VersionSelector = 'newest' | { version: number } | { asOf: Date };

const READ_POINTER = {
  name: 'read-pointer',
  text: `select o.latest_version, (select min(recorded_at) from outlook_versions
     where outlook_id = o.id and version = 1) as created_at from outlooks o where o.slug = $1`,
};

/** The error for a version that was not found: the outlook is missing, or the version, or it came later. */
export async function missingVersionError(
  session: Session,
  slug: string,
  selector: VersionSelector,
): Promise<DomainError> {
  const { rows } = await session.query<{ latest_version: number; created_at: Date }>({
    ...READ_POINTER,
    values: [slug],
  });
  const outlook = rows[0];
  if (!outlook) return outlookNotFound(slug);
  if (typeof selector === 'object' && 'asOf' in selector) {
    const since = outlook.created_at.toISOString();
    return new DomainError('nothing-stood', `"${slug}" was first published at ${since}.`);
  }
  const number = typeof selector === 'object' ? ` ${selector.version}` : '';
  return new DomainError(
    'version-not-found',
    `"${slug}" has no version${number}; its newest is ${outlook.latest_version}.`,
  );
}
