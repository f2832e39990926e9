import { bandOf, type ResolvedBy } from '../domain/outcome.ts';
import type { BriefResolution } from '../domain/outlook.ts';
import type { ScenarioName } from '../domain/probabilities.ts';

/** The status that a resolution `r` gives an outlook, in SQL. */
export const STATUS_BY = `case when r.reopens then 'open' when r.outcome is null then 'void' else 'resolved' end`;

/** The instant of a timestamp in milliseconds since 1970, in SQL. */
const milliseconds = (timestamp: string) => `(extract(epoch from ${timestamp}) * 1000)::float8`;

/**
 * The newest resolution of an outlook `o` among those that a condition on `r` selects, as a {@link ResolutionRow} in SQL;
 * null if there is none, or it reopens the outlook.
 * @param more columns of `r` to add
 */
export const resolutionBy = (condition: string, more: readonly string[] = []): string => `
    (select case when not r.reopens then json_build_object(
        'number', r.number, 'outcome', coalesce(r.outcome, 'void'),
        'realisedReturn', realised_return_of(r), 'knownAt', ${milliseconds('r.known_at')},
        'resolvedAt', ${milliseconds('r.recorded_at')}${more.map((name) => `, '${name}', r.${name}`).join('')}) end
       from resolutions r where r.outlook_id = o.id and ${condition} order by r.number desc limit 1)`;

/** A resolution in brief, with its times in milliseconds since 1970. */
export type ResolutionRow = Omit<BriefResolution, 'resolvedAt' | 'knownAt'> & {
  resolvedAt: number;
  knownAt: number | null;
};

export function resolutionOf(row: ResolutionRow): BriefResolution {
  const { number, outcome, realisedReturn, knownAt, resolvedAt } = row;
  return {
    number,
    outcome,
    realisedReturn,
    knownAt: knownAt === null ? null : new Date(knownAt),
    resolvedAt: new Date(resolvedAt),
  };
}

/** What a resolution `r` says about the outcome, as columns of a {@link ResolvedRow}. */
export const RESOLVED_BY = `r.outcome, r.realised_return, r.start_value, r.end_value,
  r.band_low as resolved_low, r.band_high as resolved_high`;

export type ResolvedRow = {
  outcome: ScenarioName;
  realised_return: number | null;
  start_value: number | null;
  end_value: number | null;
  resolved_low: number | null;
  resolved_high: number | null;
};

export function resolvedBy({
  outcome,
  start_value: start,
  end_value: end,
  ...row
}: ResolvedRow): ResolvedBy {
  return {
    outcome,
    realisedReturn: row.realised_return,
    closes: start === null || end === null ? null : { start, end },
    band: bandOf(row.resolved_low, row.resolved_high),
  };
}
