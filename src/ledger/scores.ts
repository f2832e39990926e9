import type { Horizon } from '../domain/framework.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import { type Probabilities, probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import { type BaseBand, bandOf, outcomeFor } from '../domain/outcome.ts';
import { attainableShare, scoredTime, sharesOf } from '../domain/time-weighting.ts';
import type { Session } from '../postgres/pool.ts';
import { outlookNotFound } from './find-outlook.ts';
import { RESOLVED_BY, resolvedBy, type ResolvedRow } from './resolved-by.ts';
import { missingVersionError } from './missing-version.ts';

/** A forecast, with what its score needs. */
export type ScorableForecast = {
  probabilities: Probabilities;
  /** The probabilities of the version before; null for version 1, and in groups of versions whose previous ones differ. */
  previous: Probabilities | null;
  /** The band of its own base scenario; null if its scenarios have none. */
  band: BaseBand | null;
  /** The outcome by its own return bands; null if unknown. */
  outcome: ScenarioName | null;
};

export type ScorableVersion = ScorableForecast & {
  version: number;
  publishedAt: Date;
  /** The fraction of the horizon during which it was current; null while the outlook is open. */
  share: number | null;
};

/** The versions of an outlook that have the same forecast. */
export type ForecastGroup = ScorableForecast & {
  /** How long they were current within the scored part of the horizon. */
  milliseconds: number;
  /** The number of the newest of them. */
  newest: number;
};

export type Scorable = {
  status: OutlookStatus;
  horizon: Horizon;
  /** The resolution to score by; null while the outlook has none. */
  resolution: { number: number; outcome: ScenarioName | 'void'; knownAt: Date | null } | null;
  /** The share of the horizon that could be covered before the outcome was known; null without an outcome. */
  attainableCoverage: number | null;
  /** All versions; null while the outlook is open. */
  groups: ForecastGroup[] | null;
  /** The versions of the page, oldest first. */
  versions: ScorableVersion[];
  /** The number of the newest version to score. */
  newest: number;
};

const READ_OUTLOOK = {
  name: 'read-scorable-outlook',
  text: `
    select o.id, o.horizon_from, o.horizon_to,
      r.number, r.known_at, r.recorded_at, ${RESOLVED_BY},
      n.version as newest, case n.kind when 'withdrawn' then n.recorded_at end as withdrawn_at
    from outlooks o
    left join lateral (
      select * from resolutions s where s.outlook_id = o.id and s.recorded_at <= $2
       order by s.number desc limit 1) r on not r.reopens
    left join lateral (
      select v.version, v.kind, v.recorded_at from outlook_versions v
       where v.outlook_id = o.id and v.recorded_at <= $2
       order by v.recorded_at desc, v.version desc limit 1) n on true
   where o.slug = $1`,
};

const READ_VERSIONS = {
  name: 'read-scorable-versions',
  text: `
    select v.version, v.recorded_at as "publishedAt",
      v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull, b.return_min as low, b.return_max as high
    from outlook_versions v join scenarios b on b.framework_id = v.framework_id and b.name = 'base'
   where v.outlook_id = $1 and v.version between $2 and $3
   order by v.version`,
};

/** Summed up by Postgres, so that an outlook with many versions costs neither the event loop nor memory. */
const readGroups = (isByPrevious: boolean) => {
  const previous = (name: ScenarioName) =>
    `${isByPrevious ? `lag(v.${name}_bps) over versions` : 'null::integer'} as previous_${name}`;
  return {
    name: `read-forecast-groups-${isByPrevious}`,
    text: `
    select g.*, b.return_min as low, b.return_max as high
      from (
        select framework_id, bear, base, bull, previous_bear, previous_base, previous_bull,
          sum(greatest(0, until - since) * 1000)::bigint as milliseconds, max(version) as newest
        from (
          select v.version, v.framework_id, v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull,
            ${previous('bear')}, ${previous('base')}, ${previous('bull')},
            extract(epoch from greatest(v.recorded_at, $3::timestamptz)) as since,
            extract(epoch from least(lead(v.recorded_at) over versions, $4::timestamptz)) as until
          from outlook_versions v where v.outlook_id = $1 and v.version <= $2
          window versions as (order by v.version)) current
        group by framework_id, bear, base, bull, previous_bear, previous_base, previous_bull) g
      join scenarios b on b.framework_id = g.framework_id and b.name = 'base'`,
  };
};

type OutlookRow = Omit<ResolvedRow, 'outcome'> & {
  id: number;
  horizon_from: string;
  horizon_to: string;
  number: number | null;
  known_at: Date | null;
  recorded_at: Date | null;
  outcome: ScenarioName | null;
  newest: number | null;
  withdrawn_at: Date | null;
};
type ForecastRow = Record<ScenarioName, number> & { low: number | null; high: number | null };
type VersionRow = ForecastRow & { version: number; publishedAt: Date };
type GroupRow = ForecastRow &
  Record<`previous_${ScenarioName}`, number | null> & { milliseconds: number; newest: number };

/** Which versions to read, at most `limit`: those after version `after`, or the newest ones if it is null. */
export type ScorablePage = { after: number | null; limit: number };

/**
 * What to score of an outlook, as of a given time or now: a page of its versions, and groups of all of them.
 * @param isByPrevious whether versions whose previous versions differ are in different groups
 * @throws DomainError `outlook-not-found` or `nothing-stood`
 */
export async function readScorable(
  session: Session,
  slug: string,
  { asOf, isByPrevious, ...page }: ScorablePage & { asOf: Date | null; isByPrevious: boolean },
): Promise<Scorable> {
  const values = [slug, asOf?.toISOString() ?? 'infinity'];
  const { rows } = await session.query<OutlookRow>({ ...READ_OUTLOOK, values });
  const [row] = rows;
  if (!row) throw outlookNotFound(slug);
  if (row.newest === null) {
    throw await missingVersionError(session, slug, asOf ? { asOf } : 'newest');
  }
  const { outcome, number, known_at: knownAt, withdrawn_at: withdrawnAt } = row;
  const outlook = {
    id: row.id,
    horizon: { from: row.horizon_from, to: row.horizon_to },
    closedAt: closedAtOf(row),
    newest: withdrawnAt ? row.newest - 1 : row.newest, // a withdrawal comes last
    outcomeBy: (band: BaseBand | null) =>
      outcome && outcomeFor(resolvedBy({ ...row, outcome }), band),
  };
  const resolution =
    number === null ? null : { number, outcome: outcome ?? ('void' as const), knownAt };
  return {
    status: withdrawnAt ? 'withdrawn' : statusBy(resolution),
    horizon: outlook.horizon,
    resolution,
    attainableCoverage: knownAt && attainableShare(outlook.horizon, knownAt),
    groups: outlook.closedAt && (await groupsOf(session, outlook, isByPrevious)),
    versions: await versionsOf(session, outlook, page),
    newest: outlook.newest,
  };
}

type ScorableOutlook = {
  id: number;
  horizon: Horizon;
  closedAt: Date | null;
  newest: number;
  outcomeBy: (band: BaseBand | null) => ScenarioName | null;
};

/** When the outcome became known, or the outlook was withdrawn: nothing is scored after it. */
function closedAtOf({ known_at, recorded_at, withdrawn_at }: OutlookRow): Date | null {
  const ends = [withdrawn_at, known_at ?? recorded_at].filter((at) => at instanceof Date);
  return ends.length > 0 ? new Date(Math.min(...ends.map((at) => at.getTime()))) : null;
}

async function groupsOf(
  session: Session,
  { id, horizon, closedAt, newest, outcomeBy }: ScorableOutlook,
  isByPrevious: boolean,
): Promise<ForecastGroup[]> {
  const { from, end } = scoredTime(horizon, closedAt);
  const values = [id, newest, new Date(from).toISOString(), new Date(end).toISOString()];
  const { rows } = await session.query<GroupRow>({ ...readGroups(isByPrevious), values });
  return rows.map((row) => {
    const { previous_bear: bear, previous_base: base, previous_bull: bull, ...group } = row;
    const isFirst = bear === null || base === null || bull === null;
    const band = bandOf(row.low, row.high);
    return {
      probabilities: probabilitiesOf(row),
      previous: isFirst ? null : probabilitiesOf({ bear, base, bull }),
      band,
      outcome: outcomeBy(band),
      milliseconds: group.milliseconds,
      newest: group.newest,
    };
  });
}

async function versionsOf(
  session: Session,
  { id, horizon, closedAt, newest, outcomeBy }: ScorableOutlook,
  { after, limit }: ScorablePage,
): Promise<ScorableVersion[]> {
  const first = after === null ? Math.max(1, newest - limit + 1) : after + 1;
  const last = Math.min(first + limit - 1, newest);
  // One version before the page to compare with, and one after it, at which the last of the page ended.
  const values = [id, first - 1, Math.min(last + 1, newest)];
  const { rows } = await session.query<VersionRow>({ ...READ_VERSIONS, values });
  const times = rows.map(({ publishedAt }) => publishedAt);
  const shares = closedAt && sharesOf(times, horizon, closedAt);
  const versions = rows.map(({ version, publishedAt, low, high, ...points }, index) => {
    const before = rows[index - 1];
    const band = bandOf(low, high);
    return {
      version,
      publishedAt,
      probabilities: probabilitiesOf(points),
      previous: before ? probabilitiesOf(before) : null,
      share: shares && (shares[index] ?? 0),
      band,
      outcome: outcomeBy(band),
    };
  });
  return versions.filter(({ version }) => version >= first && version <= last);
}

function statusBy(resolution: Scorable['resolution']): OutlookStatus {
  if (resolution === null) return 'open';
  return resolution.outcome === 'void' ? 'void' : 'resolved';
}
