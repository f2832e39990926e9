import { OUTLOOK_STATUSES, type OutlookStatus } from '../domain/outlook.ts';
import { type TrackRecord, trackRecordOf } from '../domain/track-record.ts';
import type { Session } from '../postgres/pool.ts';
import { readForecastSums, type RecordReference, type RecordScope } from './forecast-sums.ts';
import { STATUS_BY } from './resolved-by.ts';
import { countsFor } from './visibility.ts';

export type RecordOfForecaster = TrackRecord & { counts: Record<OutlookStatus, number> };

/**
 * The track record of the forecasts in a scope.
 * @param reference the forecast that skill is measured against
 */
export async function readTrackRecord(
  session: Session,
  scope: RecordScope,
  reference: RecordReference,
): Promise<RecordOfForecaster> {
  // At the same time, because each reads every outlook in the scope.
  const [sums, counts] = await Promise.all([
    readForecastSums(session, scope, reference),
    countOutlooks(session, scope),
  ]);
  return { counts, ...trackRecordOf(sums) };
}

async function countOutlooks(
  session: Session,
  { analystId, source, instrument, from, to, asOf, audience }: RecordScope,
): Promise<Record<OutlookStatus, number>> {
  const values: unknown[] = [];
  const sent = (value: unknown): string => `$${values.push(value)}`;
  const moment = asOf && sent(asOf.toISOString());
  const status =
    moment === null
      ? 'o.status'
      : `case when o.status = 'withdrawn' and o.published_at <= ${moment} then 'withdrawn' else coalesce((
           select ${STATUS_BY} from resolutions r
            where r.outlook_id = o.id and r.recorded_at <= ${moment}
            order by r.number desc limit 1), 'open') end`;
  const filters = [
    analystId !== null && `f.analyst_id = ${sent(analystId)} and f.source = ${sent(source)}`,
    analystId !== null && moment !== null && `f.since <= ${moment}`,
    analystId === null &&
      moment !== null &&
      `exists (select from outlook_versions v
        where v.outlook_id = o.id and v.version = 1 and v.recorded_at <= ${moment})`,
    instrument !== null &&
      `o.instrument_id = (select id from instruments where symbol = ${sent(instrument)})`,
    from !== null && `o.horizon_to >= ${sent(from)}`,
    to !== null && `o.horizon_to < ${sent(to)}`,
    countsFor(audience, 'o.id', sent) ?? false,
  ].filter((filter) => filter !== false);
  const where = filters.length > 0 ? `where ${filters.join(' and ')}` : '';
  const { rows } = await session.query<{ status: OutlookStatus; count: number }>(
    `select ${status} as status, count(*) as count from outlooks o
      ${analystId === null ? '' : 'join forecasters f on f.outlook_id = o.id'} ${where} group by 1`,
    values,
  );
  const counts = new Map(rows.map((row) => [row.status, row.count]));
  const count = (name: OutlookStatus) => counts.get(name) ?? 0;
  return Object.fromEntries(OUTLOOK_STATUSES.map((name) => [name, count(name)])) as Record<
    OutlookStatus,
    number
  >;
}
