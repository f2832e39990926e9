import type pg from 'pg';
import type { ViewKind } from '../domain/consensus.ts';
import { DomainError } from '../domain/errors.ts';
import { type OutlookVersion, requireRunning } from '../domain/outlook.ts';
import {
  type Probabilities,
  probabilitiesOf,
  sameProbabilities,
  type ScenarioName,
} from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';
import { type LockedOutlook, lockOutlook } from './find-outlook.ts';

/** A version of an analyst's own view of an outlook. */
export type View = {
  analyst: OutlookVersion['author'];
  version: number;
  /** A withdrawn view repeats the probabilities that were held before. */
  kind: ViewKind;
  probabilities: Probabilities;
  /** Null only for a withdrawal. */
  rationale: string | null;
  recordedAt: Date;
};

/** A view that counts: its analyst has not withdrawn it. */
export type HeldView = View & { kind: 'held'; rationale: string };

export type ViewRow = Record<ScenarioName, number> & Omit<View, 'probabilities'>;

export const VIEW_COLUMNS = `json_build_object('id', a.id, 'name', a.name) as analyst, w.version, w.kind, w.bear_bps as bear,
  w.base_bps as base, w.bull_bps as bull, w.rationale, w.recorded_at as "recordedAt"`;

export function viewOf({
  analyst,
  version,
  kind,
  rationale,
  recordedAt,
  ...points
}: ViewRow): View {
  return { analyst, version, kind, probabilities: probabilitiesOf(points), rationale, recordedAt };
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
  requireOpen(slug, outlook, clock());
  const before = await readOwnView(session, slug, author.id);
  const isSame =
    before?.kind === 'held' &&
    before.rationale === rationale &&
    sameProbabilities(before.probabilities, probabilities);
  if (isSame) return { view: before, isNew: false };
  const next = { kind: 'held' as const, author, probabilities, rationale };
  return { view: await appendView(session, slug, outlook.id, before, next, clock()), isNew: true };
}

/**
 * Withdraws an analyst's view of an outlook: consensuses leave it out from now on. A view that is withdrawn already stays
 * as it is, so a request may be sent again. Call it in a transaction.
 * @throws DomainError `outlook-not-found`, `view-not-found`, `outlook-closed` or `horizon-ended`
 */
export async function withdrawView(
  session: pg.PoolClient,
  slug: string,
  author: View['analyst'],
  clock: () => Date,
): Promise<{ view: View; isNew: boolean }> {
  const outlook = await lockOutlook(session, slug);
  const before = await readOwnView(session, slug, author.id);
  if (!before) throw viewNotFound(slug, author.id);
  if (before.kind === 'withdrawn') return { view: before, isNew: false };
  requireOpen(slug, outlook, clock());
  const { probabilities } = before;
  const next = { kind: 'withdrawn' as const, author, probabilities, rationale: null };
  return { view: await appendView(session, slug, outlook.id, before, next, clock()), isNew: true };
}

/** The error for an analyst who never had a view of an outlook. */
export function viewNotFound(slug: string, analystId: string): DomainError {
  return new DomainError('view-not-found', `The analyst ${analystId} has no view of "${slug}".`);
}

function requireOpen(slug: string, { status, horizon }: LockedOutlook, now: Date): void {
  if (status !== 'open') {
    throw new DomainError(
      'outlook-closed',
      `"${slug}" is ${status}, so views of it can no longer change.`,
    );
  }
  requireRunning({ slug, horizon }, now);
}

async function appendView(
  session: Session,
  slug: string,
  outlookId: number,
  before: View | undefined,
  next: Pick<View, 'kind' | 'probabilities' | 'rationale'> & { author: View['analyst'] },
  now: Date,
): Promise<View> {
  const { kind, author, probabilities, rationale } = next;
  const { bear, base, bull } = probabilities;
  const version = (before?.version ?? 0) + 1;
  await session.query(
    `insert into views (outlook_id, analyst_id, version, kind, bear_bps, base_bps, bull_bps, rationale, recorded_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [outlookId, author.id, version, kind, bear, base, bull, rationale, now.toISOString()],
  );
  const view = await readOwnView(session, slug, author.id);
  if (!view) throw new Error(`the view of ${author.id} is missing`);
  return view;
}

/** The newest version of an analyst's view; undefined if there is none. */
export async function readOwnView(
  session: Session,
  slug: string,
  analystId: string,
): Promise<View | undefined> {
  return (await listViewVersions(session, slug, analystId, { before: null, limit: 1 }))[0];
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
    text: `select ${VIEW_COLUMNS} from views w join analysts a on a.id = w.analyst_id
      where w.outlook_id = (select id from outlooks where slug = $1) and w.analyst_id = $2
        and w.version < coalesce($3::bigint, 2147483648)
      order by w.version desc limit $4`,
    values: [slug, analystId, before, limit],
  });
  return rows.map(viewOf);
}

/**
 * The views of an outlook that analysts hold, one for each analyst, in the order of the analysts' ids: those after the id
 * `after`, at most `limit`. With `asOf`, the views at that time. Those recorded before `since` are left out, and those of
 * analysts who were deactivated then.
 */
export async function listViews(
  session: Session,
  slug: string,
  {
    asOf,
    since = null,
    after,
    limit,
  }: { asOf: Date | null; since?: Date | null; after: string | null; limit: number | null },
): Promise<HeldView[]> {
  const { rows } = await session.query<ViewRow>({
    name: 'list-views',
    // forecasters lists the analysts with a view; the newest version of each is one step down the key.
    text: `select ${VIEW_COLUMNS} from outlooks o
       join forecasters f on f.outlook_id = o.id and f.source = 'view'
       join analysts a on a.id = f.analyst_id
       cross join lateral (
         select * from views v
          where v.outlook_id = o.id and v.analyst_id = f.analyst_id and v.recorded_at <= $2
          order by v.version desc limit 1) w
      where o.slug = $1 and f.analyst_id > $3 and w.kind = 'held' and w.recorded_at >= $5
        and coalesce((
          select c.kind from analyst_changes c
           where c.analyst_id = f.analyst_id and c.kind <> 'renamed' and c.recorded_at <= $2
           order by c.id desc limit 1), 'reactivated') = 'reactivated'
      order by f.analyst_id limit $4`,
    values: [
      slug,
      asOf?.toISOString() ?? 'infinity',
      after ?? '00000000-0000-0000-0000-000000000000',
      limit,
      since?.toISOString() ?? '-infinity',
    ],
  });
  return rows.map((row) => viewOf(row) as HeldView);
}
