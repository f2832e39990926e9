import type { Horizon } from '../domain/framework.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import { type Probabilities, probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import { type BaseBand, bandOf, outcomeFor } from '../domain/outcome.ts';
import { attainableShare, sharesOf } from '../domain/time-weighting.ts';
import type { Session } from '../postgres/pool.ts';
import { outlookNotFound } from './find-outlook.ts';
import { RESOLVED_BY, resolvedBy, type ResolvedRow } from './resolved-by.ts';
import { missingVersionError } from './missing-version.ts';

/** A version, with what its score needs. */
export type ScorableVersion = {
  version: number;
  publishedAt: Date;
  probabilities: Probabilities;
  /** The fraction of the horizon during which it was current; null while the outlook is open. */
  share: number | null;
  /** The band of its own base scenario; null if its scenarios have none. */
  band: BaseBand | null;
  /** The outcome by its own return bands; null if unknown. */
  outcome: ScenarioName | null;
};

export type Scorable = {
  status: OutlookStatus;
  horizon: Horizon;
  /** The resolution to score by; null while the outlook has none. */
  resolution: { number: number; outcome: ScenarioName | 'void'; knownAt: Date | null } | null;
  /** The share of the horizon that could be covered before the outcome was known; null without an outcome. */
  attainableCoverage: number | null;
  versions: ScorableVersion[];
};

const READ_RESOLVED = `
  select o.id, o.horizon_from, o.horizon_to,
    r.number, r.known_at, r.recorded_at, ${RESOLVED_BY}
  from outlooks o
  left join lateral (
    select * from resolutions s where s.outlook_id = o.id and s.recorded_at <= $2
     order by s.number desc limit 1) r on not r.reopens
 where o.slug = $1`;

const READ_VERSIONS = {
  name: 'read-scorable-versions',
  text: `select v.version, v.kind, v.recorded_at as "publishedAt", v.bear_bps as bear, v.base_bps as base,
      v.bull_bps as bull, b.return_min as low, b.return_max as high
    from outlook_versions v join scenarios b on b.framework_id = v.framework_id and b.name = 'base'
   where v.outlook_id = $1 and v.recorded_at <= $2
   order by v.version`,
};

type OutlookRow = Omit<ResolvedRow, 'outcome'> & {
  id: number;
  horizon_from: string;
  horizon_to: string;
  number: number | null;
  known_at: Date | null;
  recorded_at: Date | null;
  outcome: ScenarioName | null;
};
type VersionRow = Record<ScenarioName, number> & {
  version: number;
  kind: string;
  publishedAt: Date;
  low: number | null;
  high: number | null;
};

/**
 * The versions of an outlook to score, oldest first, as of a given time or now.
 * @throws DomainError `outlook-not-found` or `nothing-stood`
 */
export async function readScorable(
  session: Session,
  slug: string,
  asOf: Date | null,
): Promise<Scorable> {
  const moment = asOf?.toISOString() ?? 'infinity';
  const { rows } = await session.query<OutlookRow>(READ_RESOLVED, [slug, moment]);
  const [row] = rows;
  if (!row) throw outlookNotFound(slug);
  const { rows: versions } = await session.query<VersionRow>({
    ...READ_VERSIONS,
    values: [row.id, moment],
  });
  if (versions.length === 0 && asOf) throw await missingVersionError(session, slug, { asOf });
  const horizon = { from: row.horizon_from, to: row.horizon_to };
  const withdrawn = versions.findLast(({ kind }) => kind === 'withdrawn')?.publishedAt;
  const { outcome, number, known_at: knownAt } = row;
  // Nothing is scored after the outcome became known, or after a withdrawal.
  const ends = [withdrawn, knownAt ?? row.recorded_at].filter((at) => at instanceof Date);
  const moments = versions.map(({ publishedAt }) => publishedAt);
  const shares = ends.length > 0 ? sharesOf(moments, horizon, earliest(ends)) : null;
  const resolution =
    number === null ? null : { number, outcome: outcome ?? ('void' as const), knownAt };
  return {
    status: withdrawn ? 'withdrawn' : statusBy(resolution),
    horizon,
    resolution,
    attainableCoverage: knownAt && attainableShare(horizon, knownAt),
    versions: versions.flatMap(({ version, kind, publishedAt, low, high, ...points }, index) => {
      if (kind === 'withdrawn') return [];
      return [
        {
          version,
          publishedAt,
          probabilities: probabilitiesOf(points),
          share: shares && (shares[index] ?? 0),
          band: bandOf(low, high),
          outcome: outcome && outcomeFor(resolvedBy({ ...row, outcome }), bandOf(low, high)),
        },
      ];
    }),
  };
}

const earliest = (times: readonly Date[]): Date =>
  new Date(Math.min(...times.map((time) => time.getTime())));

function statusBy(resolution: Scorable['resolution']): OutlookStatus {
  if (resolution === null) return 'open';
  return resolution.outcome === 'void' ? 'void' : 'resolved';
}
