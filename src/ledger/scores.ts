import type { Horizon } from '../domain/framework.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import { type Probabilities, probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import type { BaseBand } from '../domain/resolution.ts';
import { sharesOf } from '../domain/time-weighting.ts';
import type { Session } from '../postgres/pool.ts';
import { bandOf, outcomeFor, type ResolvedBy } from './track-records.ts';
import { outlookNotFound } from './find-outlook.ts';
import { missingVersionError } from './versions.ts';

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
  /** The resolution to score by; null before the first. */
  resolution: { number: number; outcome: ScenarioName | 'void' } | null;
  versions: ScorableVersion[];
};

const READ_RESOLVED = `
  select o.id, o.horizon_from, o.horizon_to,
    (select min(recorded_at) from resolutions where outlook_id = o.id and recorded_at <= $2) as first_at,
    r.number, r.outcome, r.realised_return, r.band_low as resolved_low, r.band_high as resolved_high
  from outlooks o
  left join lateral (
    select * from resolutions s where s.outlook_id = o.id and s.recorded_at <= $2
     order by s.number desc limit 1) r on true
 where o.slug = $1`;

const READ_VERSIONS = {
  name: 'read-scorable-versions',
  text: `select v.version, v.kind, v.recorded_at as "publishedAt", v.bear_bps as bear, v.base_bps as base,
      v.bull_bps as bull, b.return_min as low, b.return_max as high
    from outlook_versions v join scenarios b on b.framework_id = v.framework_id and b.name = 'base'
   where v.outlook_id = $1 and v.recorded_at <= $2
   order by v.version`,
};

type ResolvedRow = Omit<ResolvedBy, 'outcome'> & {
  id: number;
  horizon_from: string;
  horizon_to: string;
  first_at: Date | null;
  number: number | null;
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
  const { rows } = await session.query<ResolvedRow>(READ_RESOLVED, [slug, moment]);
  const [row] = rows;
  if (!row) throw outlookNotFound(slug);
  const { rows: versions } = await session.query<VersionRow>({
    ...READ_VERSIONS,
    values: [row.id, moment],
  });
  if (versions.length === 0 && asOf) throw await missingVersionError(session, slug, { asOf });
  const horizon = { from: row.horizon_from, to: row.horizon_to };
  const withdrawn = versions.findLast(({ kind }) => kind === 'withdrawn')?.publishedAt;
  const closedAt = withdrawn ?? row.first_at;
  const moments = versions.map(({ publishedAt }) => publishedAt);
  const shares = closedAt && sharesOf(moments, horizon, closedAt);
  const { outcome } = row;
  const resolution =
    row.number === null ? null : { number: row.number, outcome: outcome ?? ('void' as const) };
  return {
    status: withdrawn ? 'withdrawn' : statusBy(resolution),
    horizon,
    resolution,
    versions: versions.flatMap(({ version, kind, publishedAt, low, high, ...points }, index) => {
      if (kind === 'withdrawn') return [];
      return [
        {
          version,
          publishedAt,
          probabilities: probabilitiesOf(points),
          share: shares && (shares[index] ?? 0),
          band: bandOf(low, high),
          outcome: outcome && outcomeFor({ ...row, outcome }, bandOf(low, high)),
        },
      ];
    }),
  };
}

function statusBy(resolution: Scorable['resolution']): OutlookStatus {
  if (resolution === null) return 'open';
  return resolution.outcome === 'void' ? 'void' : 'resolved';
}
