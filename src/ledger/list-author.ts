import { isUuid } from '../domain/names.ts';
import type { Session } from '../postgres/pool.ts';
import type { Author } from './outlook-list-query.ts';

/** From so many outlooks on, those of an author are found along the list. */
const MANY = 1_000;

/**
 * Finds the author that a query names by id or by name, with the outlooks that have any version by them. The index of the
 * forecasters and outlook_versions_withdrawn_by find these: a withdrawal is no forecast.
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
