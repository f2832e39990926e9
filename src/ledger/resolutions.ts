import type pg from 'pg';
import type { Actor, Audience } from '../domain/desks.ts';
import type { OutlookStatus, OutlookVersion } from '../domain/outlook.ts';
import type { ScenarioName } from '../domain/probabilities.ts';
import { isOver } from '../domain/horizon.ts';
import { bandOf, type HorizonReturn, returnOverHorizon } from '../domain/outcome.ts';
import {
  type ResolutionToAppend,
  decideResolution,
  type Resolvable,
  type ResolutionRequest,
} from '../domain/resolution.ts';
import type { Dating, Frequency } from '../domain/series.ts';
import { type RequestMode, proposalOf, requireApproval } from '../domain/proposals.ts';
import { DomainError } from '../domain/errors.ts';
import type { Session } from '../postgres/pool.ts';
import { closeRecordedAt, lastCloseBefore } from './closes.ts';
import { requireEvidence } from './evidence.ts';
import { evaluateReopened } from './evaluate-conditions.ts';
import { lockOwnOutlook, outlookNotFound } from './find-outlook.ts';
import { readRules } from './policies.ts';
import { approversOf } from './approvals.ts';
import { lockOutObservations } from './rules.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

/** The outcome of an outlook, and who decided it. */
export type FullResolution = {
  number: number;
  outcome: ScenarioName | 'void' | 'reopened';
  realisedReturn: number | null;
  /** Whether the closes imply the outcome; null without an outcome. */
  decidedBy: 'closes' | 'statement' | null;
  /** When the outcome became known; null without one. */
  knownAt: Date | null;
  reason: string | null;
  /** The first and last close of the horizon; null if there were none, or the horizon was not over. */
  closes: Pick<HorizonReturn, 'start' | 'end'> | null;
  evidence: readonly string[];
  resolvedBy: OutlookVersion['author'];
  /** Who approved it; empty if it needed no approval. */
  approvedBy: readonly OutlookVersion['author'][];
  resolvedAt: Date;
  /** When the next resolution replaced it; null for the current one. */
  supersededAt: Date | null;
};

const COLUMNS = `r.number, case when r.reopens then 'reopened' else coalesce(r.outcome, 'void') end as outcome,
  realised_return_of(r) as "realisedReturn", case when r.outcome is null then null
    when decided_by_closes(r) then 'closes' else 'statement' end as "decidedBy",
  r.known_at as "knownAt", r.reason, case when r.end_date is not null then json_build_object(
    'start', json_build_object('date', r.start_date, 'value', r.start_value),
    'end', json_build_object('date', r.end_date, 'value', r.end_value)) end as closes,
  (select coalesce(json_agg(e.evidence_id order by e.position), '[]') from resolution_evidence e
    where e.outlook_id = r.outlook_id and e.number = r.number) as evidence,
  json_build_object('id', a.id, 'name', a.name) as "resolvedBy", r.recorded_at as "resolvedAt",
  ${approversOf('r')} as "approvedBy",
  r.superseded_at as "supersededAt"`;

/** What closes that came or changed after a resolution say against its outcome. */
export type Contradiction = {
  outcome: ScenarioName;
  closes: Pick<HorizonReturn, 'start' | 'end'>;
  /** When it was noted. */
  since: Date;
};

/** How an outlook was resolved: its status, and its resolutions, newest first. */
export type Resolutions = {
  status: OutlookStatus;
  resolutions: FullResolution[];
  /** Of the current resolution; null if closes don't contradict it. */
  contradiction: Contradiction | null;
};

/** @throws DomainError `outlook-not-found` */
export async function readResolutions(session: Session, slug: string): Promise<Resolutions> {
  const { rows: outlooks } = await session.query<{ id: number; status: OutlookStatus }>(
    'select id, status from outlooks where slug = $1',
    [slug],
  );
  const [outlook] = outlooks;
  if (!outlook) throw outlookNotFound(slug);
  const { rows: resolutions } = await session.query<FullResolution>(
    `select ${COLUMNS} from resolutions r join analysts a on a.id = r.author_id
      where r.outlook_id = $1 order by r.number desc`,
    [outlook.id],
  );
  const { rows: contradictions } = await session.query<Contradiction>(
    `select c.outcome, c.recorded_at as since, json_build_object(
         'start', json_build_object('date', c.start_date, 'value', c.start_value),
         'end', json_build_object('date', c.end_date, 'value', c.end_value)) as closes
       from resolutions r cross join lateral (
         select * from resolution_contradictions n
          where n.outlook_id = r.outlook_id and n.number = r.number
          order by n.recorded_at desc limit 1) c
      where r.outlook_id = $1 and r.superseded_at is null and c.outcome is not null`,
    [outlook.id],
  );
  return { status: outlook.status, resolutions, contradiction: contradictions[0] ?? null };
}

/** A resolution as a feed announces it. */
export type AnnouncedResolution = Pick<
  FullResolution,
  'number' | 'outcome' | 'realisedReturn' | 'reason' | 'resolvedBy' | 'resolvedAt'
> & {
  slug: string;
  /** The title of the outlook's current version. */
  title: string;
  /** Whether it corrects another resolution. */
  corrects: boolean;
};

/**
 * The newest resolutions, corrections and reopenings, newest first, at most `limit`.
 * @param of one outlook, or all that an audience may see, whose newest are found by resolutions_newest
 */
export async function newestResolutions(
  session: Session,
  of: { slug: string } | { audience: Audience },
  limit: number,
): Promise<AnnouncedResolution[]> {
  const which =
    'slug' in of
      ? 'r.outlook_id = (select id from outlooks where slug = $2)'
      : visibleTo('o', '$2');
  const { rows } = await session.query<AnnouncedResolution>(
    `select o.slug, f.title, ${COLUMNS},
        not r.reopens and coalesce((select not p.reopens from resolutions p
          where p.outlook_id = r.outlook_id and p.number = r.number - 1), false) as corrects
       from resolutions r
       join outlooks o on o.id = r.outlook_id
       join frameworks f on f.id = o.framework_id
       join analysts a on a.id = r.author_id
      where ${which}
      order by r.recorded_at desc, r.outlook_id desc, r.number desc limit $1`,
    [limit, 'slug' in of ? of.slug : visibleDesks(of.audience)],
  );
  return rows;
}

type OutlookRow = {
  id: number;
  horizon_from: string;
  horizon_to: string;
  low: number | null;
  high: number | null;
  series_id: number | null;
  frequency: Frequency | null;
  dated: Dating | null;
  newest: number | null;
  is_reopened: boolean | null;
  known_at: Date | null;
};

// A reopening starts over: what was known before it no longer counts.
const READ_OUTLOOK = `
  select o.id, o.horizon_from, o.horizon_to, b.return_min as low, b.return_max as high,
      s.id as series_id, s.frequency, s.dated, r.number as newest, r.reopens as is_reopened,
      (select p.known_at from resolutions p
        where p.outlook_id = o.id and p.known_at is not null and p.number > coalesce((
          select max(n.number) from resolutions n where n.outlook_id = o.id and n.reopens), 0)
        order by p.number desc limit 1) as known_at
    from outlooks o
    join instruments i on i.id = o.instrument_id
    join scenarios b on b.framework_id = o.framework_id and b.name = 'base'
    left join series s on s.id = i.closes_id
    left join resolutions r on r.outlook_id = o.id and r.superseded_at is null
   where o.slug = $1`;

/**
 * Records the outcome, which closes the outlook, or reopens it. Call it in a transaction.
 * @throws DomainError `outlook-not-found`, `wrong-desk`, `own-forecast`, `unknown-evidence`, or what {@link decideResolution}
 *   throws; ApprovalNeeded, before it writes anything
 */
export async function resolveOutlook(
  session: pg.PoolClient,
  slug: string,
  request: ResolutionRequest & { evidence: readonly string[]; actor: Actor; mode: RequestMode },
  clock: () => Date,
): Promise<Resolutions> {
  if (request.outcome === 'reopened') await lockOutObservations(session);
  // Locked by a statement of its own: the next one then reads what nobody can change before the commit. A writer of
  // closes locks the outlook after it has stored them, and then compares them with the resolution.
  const { desk } = await lockOwnOutlook(session, slug, request.actor.desks);
  const { rows } = await session.query<OutlookRow>(READ_OUTLOOK, [slug]);
  const [row] = rows;
  if (!row) throw outlookNotFound(slug);
  const outlook: Resolvable = {
    slug,
    horizon: { from: row.horizon_from, to: row.horizon_to },
    band: bandOf(row.low, row.high),
    ...(await readCloses(session, row)),
    current: row.is_reopened ? null : row.newest,
    reopening: row.is_reopened ? row.newest : null,
    knownAt: row.known_at,
  };
  const now = clock();
  const decided = decideResolution(outlook, request, now);
  await requireEvidence(session, row.id, request.evidence);
  await requirePolicy(session, { id: row.id, slug, deskId: desk.id }, request);
  await insertResolution(session, row.id, decided, request, now);
  await session.query(
    `insert into resolution_evidence (outlook_id, number, position, evidence_id)
     select $1, $2, place, id from unnest($3::uuid[]) with ordinality as cited (id, place)`,
    [row.id, decided.number, request.evidence],
  );
  if (decided.reopens && !isOver(outlook.horizon, now)) {
    await evaluateReopened(session, row.id, outlook.horizon, now);
  }
  return readResolutions(session, slug);
}

/**
 * Requires what the policy of the desk demands of resolutions.
 * @throws DomainError `own-forecast`; ApprovalNeeded
 */
async function requirePolicy(
  session: Session,
  { id, slug, deskId }: { id: number; slug: string; deskId: number },
  { actor, mode }: { actor: Actor; mode: RequestMode },
): Promise<void> {
  const { approvals, authorMayResolve } = await readRules(session, deskId);
  if (!authorMayResolve) {
    const { rowCount } = await session.query(
      'select from forecasters where outlook_id = $1 and analyst_id = $2 limit 1',
      [id, actor.analyst.id],
    );
    const detail = `You forecast "${slug}", so by the policy of its desk another analyst has to resolve it.`;
    if (rowCount) throw new DomainError('own-forecast', detail);
  }
  requireApproval(mode, approvals.resolution);
}

async function readCloses(
  session: Session,
  { series_id: id, frequency, dated, horizon_from: from, horizon_to: to }: OutlookRow,
): Promise<Pick<Resolvable, 'computed' | 'closes'>> {
  if (id === null || frequency === null || dated === null) {
    return { computed: { missing: 'the instrument has no series of closes' }, closes: null };
  }
  const series = { id, frequency, dated };
  const start = await lastCloseBefore(session, series, from);
  const end = await lastCloseBefore(session, series, to);
  const newest = await lastCloseBefore(session, series, 'infinity');
  return {
    computed: returnOverHorizon({ from, to }, frequency, { start, end }),
    closes: end &&
      newest && {
        newestOn: newest.date,
        endRecordedAt: await closeRecordedAt(session, series, end),
      },
  };
}

async function insertResolution(
  session: Session,
  outlookId: number,
  { number, outcome, reopens, realisedReturn, knownAt, reason, band, computed }: ResolutionToAppend,
  { actor, mode }: { actor: Actor; mode: RequestMode },
  now: Date,
): Promise<void> {
  await session.query(
    `insert into resolutions (outlook_id, number, outcome, realised_return, reason, band_low, band_high,
       start_date, start_value, end_date, end_value, author_id, recorded_at, reopens, known_at, proposal_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
    [
      outlookId,
      number,
      outcome,
      realisedReturn,
      reason,
      band?.low,
      band?.high,
      computed?.start.date,
      computed?.start.value,
      computed?.end.date,
      computed?.end.value,
      actor.analyst.id,
      now.toISOString(),
      reopens,
      knownAt?.toISOString(),
      proposalOf(mode),
    ],
  );
}
