import { bandOf, type ResolvedBy } from '../domain/outcome.ts';
import type { ScenarioName } from '../domain/probabilities.ts';

/** The status that a resolution `r` gives an outlook, in SQL. */
export const STATUS_BY = `case when r.reopens then 'open' when r.outcome is null then 'void' else 'resolved' end`;

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
