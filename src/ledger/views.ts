import type pg from 'pg';
import { DomainError } from '../domain/errors.ts';
import { type OutlookVersion, requireRunning } from '../domain/outlook.ts';
import {
  type Probabilities,
  probabilitiesOf,
  sameProbabilities,
  type ScenarioName,
} from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';
import { lockOutlook } from './find-outlook.ts';

/** A version of an analyst's own view of an outlook. */
export type View = {
  analyst: OutlookVersion['author'];
  version: number;
  probabilities: Probabilities;
  rationale: string;
  recordedAt: Date;
};

type ViewRow = Record<ScenarioName, number> & Omit<View, 'probabilities'>;

const COLUMNS = `json_build_object('id', a.id, 'name', a.name) as analyst, w.version, w.bear_bps as bear,
  w.base_bps as base, w.bull_bps as bull, w.rationale, w.recorded_at as "recordedAt"`;

function viewOf({ analyst, version, rationale, recordedAt, ...points }: ViewRow): View {
  return { analyst, version, probabilities: probabilitiesOf(points), rationale, recordedAt };
}

/**
 * Records an analyst's view of an outlook as its next version. A view that repeats the current one changes nothing, so a
 * request may be sent again. Call it in a transaction.
 * @throws DomainError `outlook-not-found`, `outlook-closed` or `horizon-ended`
 */
export async function recordView(
  session: pg.PoolClient,
  slug: string,
  held: { author: View['analyst']; probabilities: Probabilities; rationale: string },
  clock: () => Date,
): Promise<{ view: View; isNew: boolean }> {
  const { author, probabilities, rationale } = held;
  const outlook = await lockOutlook(session, slug);
  if (outlook.status !== 'open') {
    throw new DomainError(
      'outlook-closed',
      `"${slug}" is ${outlook.status} and accepts no further views.`,
    );
  }
  requireRunning({ slug, horizon: outlook.horizon }, clock());
  const [before] = await listViewVersions(session, slug, author.id, { before: null, limit: 1 });
  const isSame =
    before !== undefined &&
    before.rationale === rationale &&
    sameProbabilities(before.probabilities, probabilities);
  if (isSame) return { view: before, isNew: false };
  const { bear, base, bull } = probabilities;
  await session.query(
    `insert into views (outlook_id, analyst_id, version, bear_bps, base_bps, bull_bps, rationale, recorded_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      outlook.id,
      author.id,
      (before?.version ?? 0) + 1,
      bear,
      base,
      bull,
      rationale,
      clock().toISOString(),
    ],
  );
  const [view] = await listViewVersions(session, slug, author.id, { before: null, limit: 1 });
  if (!view) throw new Error(`the view of ${author.id} is missing`);
  return { view, isNew: true };
}

/** The versions of an analyst's view before the version `before`, newest first; at most `limit`. */
export async function listViewVersions(
  session: Session,
  slug: string,
  analystId: string,
  { before, limit }: { before: number | null; limit: number },
): Promise<View[]> {
  const { rows } = await session.query<ViewRow>({
    name: 'list-view-versions',
    text: `select ${COLUMNS} from views w join analysts a on a.id = w.analyst_id
      where w.outlook_id = (select id from outlooks where slug = $1) and w.analyst_id = $2
        and w.version < coalesce($3::bigint, 2147483648)
      order by w.version desc limit $4`,
    values: [slug, analystId, before, limit],
  });
  return rows.map(viewOf);
}

/**
 * The current views of an outlook, one for each analyst, in the order of the analysts' ids: those after the id `after`,
 * at most `limit`. With `asOf`, the views at that time.
 */
export async function listViews(
  session: Session,
  slug: string,
  { asOf, after, limit }: { asOf: Date | null; after: string | null; limit: number | null },
): Promise<View[]> {
  const { rows } = await session.query<ViewRow>({
    name: 'list-views',
    // forecasters lists the analysts with a view; the newest version of each is one step down the key.
    text: `select ${COLUMNS} from outlooks o
       join forecasters f on f.outlook_id = o.id and f.source = 'view'
       join analysts a on a.id = f.analyst_id
       cross join lateral (
         select * from views v
          where v.outlook_id = o.id and v.analyst_id = f.analyst_id and v.recorded_at <= $2
          order by v.version desc limit 1) w
      where o.slug = $1 and f.analyst_id > $3
      order by f.analyst_id limit $4`,
    values: [
      slug,
      asOf?.toISOString() ?? 'infinity',
      after ?? '00000000-0000-0000-0000-000000000000',
      limit,
    ],
  });
  return rows.map(viewOf);
}
