import type { AnalystState } from '../access/analyst-changes.ts';
import type { Analyst } from '../access/analysts.ts';
import type { Audience } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { Session } from '../postgres/pool.ts';
import { onlyVisibleTo, visibleDesks, visibleTo } from './visibility.ts';
import { VIEW_COLUMNS, type View, viewOf, type ViewRow } from './views.ts';

/** @throws DomainError `analyst-not-found` */
export async function readAnalyst(session: Session, id: string): Promise<Analyst> {
  const { rows } = await session.query<Analyst>('select id, name from analysts where id = $1', [
    id,
  ]);
  const [found] = rows;
  if (found) return found;
  throw new DomainError('analyst-not-found', `There is no analyst ${id}.`);
}

/**
 * The analysts who have published a version or, for an audience with a key, a view of an outlook that it may see, by name:
 * those after the name `after`, at most `limit`. Others, such as systems that send observations, have a key but forecast
 * nothing.
 */
export async function listAnalysts(
  session: Session,
  { after, limit, audience }: { after: string | null; limit: number; audience: Audience },
): Promise<AnalystState[]> {
  const values: unknown[] = [after, limit];
  const isVisible = onlyVisibleTo(audience, 'o', (value) => `$${values.push(value)}`);
  const { rows } = await session.query<AnalystState>(
    // In the order of analysts_by_name; forecasters_of_analyst finds the forecasts of each.
    `select a.id, a.name, a.deactivated_at is null as active from analysts a
      where a.name collate "C" > coalesce($1, '') and exists (
        select from forecasters f ${isVisible === null ? '' : 'join outlooks o on o.id = f.outlook_id'}
         where f.analyst_id = a.id and ${audience.hasKey ? 'true' : `f.source = 'version'`} and ${isVisible ?? 'true'})
      order by a.name collate "C" limit $2`,
    values,
  );
  return rows;
}

/** An analyst's view of an outlook, with the title of its current version. */
export type ViewOfOutlook = View & { slug: string; title: string; outlookId: number };

/**
 * The views of an analyst of outlooks that an audience may see, each at its newest version, with withdrawn ones, of the newest
 * outlooks first: those of outlooks before the one with the id `before`, at most `limit`.
 */
export async function listViewsOf(
  session: Session,
  analystId: string,
  { before, limit, audience }: { before: number | null; limit: number; audience: Audience },
): Promise<ViewOfOutlook[]> {
  const { rows } = await session.query<
    ViewRow & Pick<ViewOfOutlook, 'slug' | 'title' | 'outlookId'>
  >({
    name: 'list-views-of-analyst',
    text: `select ${VIEW_COLUMNS}, o.slug, t.title, o.id as "outlookId"
       from forecasters f
       join outlooks o on o.id = f.outlook_id
       join frameworks t on t.id = o.framework_id
       join analysts a on a.id = f.analyst_id
       cross join lateral (
         select * from views v where v.outlook_id = f.outlook_id and v.analyst_id = f.analyst_id
          order by v.version desc limit 1) w
      where f.analyst_id = $1 and f.source = 'view' and f.outlook_id < coalesce($2, 9223372036854775807)
        and ${visibleTo('o', '$4')}
      order by f.outlook_id desc limit $3`,
    values: [analystId, before, limit, visibleDesks(audience)],
  });
  return rows.map(({ slug, title, outlookId, ...row }) => ({
    ...viewOf(row),
    slug,
    title,
    outlookId,
  }));
}
