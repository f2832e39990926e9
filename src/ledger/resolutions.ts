import type pg from 'pg';
import type { OutlookStatus, OutlookVersion } from '../domain/outlook.ts';
import type { ScenarioName } from '../domain/probabilities.ts';
import {
  type Decided,
  decideResolution,
  type HorizonReturn,
  type ResolutionRequest,
  returnOver,
} from '../domain/resolution.ts';
import type { Dating, Frequency } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';
import { lastCloseBefore } from './closes.ts';
import { requireEvidence } from './evidence.ts';
import { outlookNotFound } from './find-outlook.ts';
import { bandOf } from './track-records.ts';

/** The outcome of an outlook, and who decided it. */
export type FullResolution = {
  number: number;
  outcome: ScenarioName | 'void';
  realisedReturn: number | null;
  reason: string | null;
  /** The first and last close of the horizon; null if there were none, or the horizon was not over. */
  closes: Pick<HorizonReturn, 'start' | 'end'> | null;
  evidence: readonly string[];
  resolvedBy: OutlookVersion['author'];
  resolvedAt: Date;
  /** When the next resolution replaced it; null for the current one. */
  supersededAt: Date | null;
};

const COLUMNS = `r.number, coalesce(r.outcome, 'void') as outcome, r.realised_return as "realisedReturn",
  r.reason, case when r.end_date is not null then json_build_object(
    'start', json_build_object('date', r.start_date, 'value', r.start_value),
    'end', json_build_object('date', r.end_date, 'value', r.end_value)) end as closes,
  (select coalesce(json_agg(e.evidence_id order by e.position), '[]') from resolution_evidence e
    where e.outlook_id = r.outlook_id and e.number = r.number) as evidence,
  json_build_object('id', a.id, 'name', a.name) as "resolvedBy", r.recorded_at as "resolvedAt",
  r.superseded_at as "supersededAt"`;

/** How an outlook was resolved: its status, and its resolutions, newest first. */
export type Resolutions = { status: OutlookStatus; resolutions: FullResolution[] };

/** @throws DomainError `outlook-not-found` */
export async function readResolutions(session: Session, slug: string): Promise<Resolutions> {
  const { rows: outlooks } = await session.query<{ status: OutlookStatus }>(
    'select status from outlooks where slug = $1',
    [slug],
  );
  const [outlook] = outlooks;
  if (!outlook) throw outlookNotFound(slug);
  const { rows } = await session.query<FullResolution>(
    `select ${COLUMNS} from outlooks o
       join resolutions r on r.outlook_id = o.id
       join analysts a on a.id = r.author_id
      where o.slug = $1 order by r.number desc`,
    [slug],
  );
  return { status: outlook.status, resolutions: rows };
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
  standing: number | null;
};

/**
 * Records the outcome, which closes the outlook. Call it in a transaction.
 * @throws DomainError `outlook-not-found`, `unknown-evidence`, or what {@link decideResolution} throws
 */
export async function resolveOutlook(
  session: pg.PoolClient,
  slug: string,
  request: ResolutionRequest & { evidence: readonly string[]; author: OutlookVersion['author'] },
  clock: () => Date,
): Promise<Resolutions> {
  // Locked by a statement of its own: the next one then reads what nobody can change before the commit.
  await session.query('select from outlooks where slug = $1 for no key update', [slug]);
  const { rows } = await session.query<OutlookRow>(
    `select o.id, o.horizon_from, o.horizon_to, b.return_min as low, b.return_max as high,
        s.id as series_id, s.frequency, s.dated,
        (select max(number) from resolutions where outlook_id = o.id) as standing
       from outlooks o
       join instruments i on i.id = o.instrument_id
       join scenarios b on b.framework_id = o.framework_id and b.name = 'base'
       left join series s on s.id = i.closes_id
      where o.slug = $1`,
    [slug],
  );
  const [row] = rows;
  if (!row) throw outlookNotFound(slug);
  const horizon = { from: row.horizon_from, to: row.horizon_to };
  const band = bandOf(row.low, row.high);
  const computed = await readReturn(session, row);
  const now = clock();
  const outlook = { slug, horizon, band, computed, standing: row.standing };
  const decided = decideResolution(outlook, request, now);
  await requireEvidence(session, row.id, request.evidence);
  await insertResolution(session, row.id, decided, request.author, now);
  await session.query(
    `insert into resolution_evidence (outlook_id, number, position, evidence_id)
     select $1, $2, place, id from unnest($3::uuid[]) with ordinality as cited (id, place)`,
    [row.id, decided.number, request.evidence],
  );
  return readResolutions(session, slug);
}

async function readReturn(
  session: Session,
  { series_id: id, frequency, dated, horizon_from: from, horizon_to: to }: OutlookRow,
): Promise<HorizonReturn | { missing: string }> {
  if (id === null || frequency === null || dated === null) {
    return { missing: 'the instrument has no series of closes' };
  }
  const series = { id, frequency, dated };
  const start = await lastCloseBefore(session, series, from);
  const end = await lastCloseBefore(session, series, to);
  return returnOver({ from, to }, frequency, { start, end });
}

async function insertResolution(
  session: Session,
  outlookId: number,
  { number, outcome, realisedReturn, reason, band, computed }: Decided,
  author: OutlookVersion['author'],
  now: Date,
): Promise<void> {
  await session.query(
    `insert into resolutions (outlook_id, number, outcome, realised_return, reason, band_low, band_high,
       start_date, start_value, end_date, end_value, author_id, recorded_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
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
      author.id,
      now.toISOString(),
    ],
  );
}
