import { isUuid } from '../domain/names.ts';
import type { Session } from '../postgres/pool.ts';
import type { Author } from './outlook-list-query.ts';

/** An author with at least this many outlooks has no list of them: a query finds theirs as it walks all outlooks. */
const MANY = 1_000;

/**
 * Finds an author by id or name, with the outlooks that have a version by them. Two indexes find these: that of the
 * forecasters, and outlook_versions_withdrawn_by, because a withdrawal is no forecast.
 * @returns null if there is no such analyst
 */
export async function findAuthor(session: Session, author: string): Promise<Author | null> {
  const { rows } = await session.query<{ id: string; outlooks: number[] }>(
    `select a.id, to_json(array(
        select outlook_id from (
          select outlook_id from forecasters where analyst_id = a.id and source = 'version'
          union all
          select outlook_id from outlook_versions where author_id = a.id and kind = 'withdrawn') o
        limit ${MANY})) as outlooks
       from analysts a where ${isUuid(author) ? 'a.id = $1::uuid' : 'a.name = $1'}`,
    [author],
  );
  const [found] = rows;
  if (!found) return null;
  return { id: found.id, outlooks: found.outlooks.length < MANY ? found.outlooks : null };
}
