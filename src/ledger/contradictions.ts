import {
  type BaseBand,
  type Closes,
  type HorizonReturn,
  outcomeOfCloses,
  outcomeOfHorizonReturn,
  returnOverHorizon,
} from '../domain/outcome.ts';
import { lastDayOf } from '../domain/horizon.ts';
import type { ScenarioName } from '../domain/probabilities.ts';
import type { Frequency, Observation } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';

/**
 * The closed outlooks whose first or last close new, changed or withdrawn closes may move, as a subquery for their ids.
 * Those are the ones with an end of the horizon between the close before the days `$2` and the close after them. The
 * indexes outlooks_resolved_to and _from find them. `$1` is the id of the series.
 */
export const OUTLOOKS_BETWEEN_CLOSES = `
  select o.id from instruments i
    join series s on s.id = i.closes_id
    cross join lateral (
      select coalesce((select max(c.date) from observations c
               where c.series_id = $1 and c.superseded_at is null and c.value is not null
                 and c.date < (select min(day) from unnest($2::date[]) as day)), '-infinity') as after,
             coalesce((select period_end(min(c.date), s.frequency, s.dated) from observations c
               where c.series_id = $1 and c.superseded_at is null and c.value is not null
                 and c.date > (select max(day) from unnest($2::date[]) as day)),
               (select period_end(max(day), s.frequency, s.dated) + 1 from unnest($2::date[]) as day)) as until) span
    join outlooks o on o.instrument_id = i.id and o.status <> 'open'
     and (o.horizon_to > span.after and o.horizon_to <= span.until
       or o.horizon_from > span.after and o.horizon_from <= span.until)
   where i.closes_id = $1`;

/** A resolution with a band, and the closes of its horizon as they are known now. */
type Compared = {
  id: number;
  slug: string;
  horizon_from: string;
  horizon_to: string;
  frequency: Frequency;
  number: number;
  outcome: ScenarioName;
  reason: string | null;
  low: number;
  high: number;
  start_value: number | null;
  end_value: number | null;
  start: Observation | null;
  end: Observation | null;
  newest_on: string | null;
  /** What closes were last noted to imply against it; null if nothing. */
  noted: ScenarioName | null;
};

const closeBefore = (day: string) => `
    select json_build_object('date', period_end(c.date, s.frequency, s.dated), 'value', c.value) as close,
        period_end(c.date, s.frequency, s.dated) as date
      from observations c
     where c.series_id = s.id and c.superseded_at is null and c.value is not null
       and c.date < ${day} and period_end(c.date, s.frequency, s.dated) < ${day}
     order by c.date desc limit 1`;

const READ_COMPARED = {
  name: 'read-compared-resolutions',
  text: `
    select o.id, o.slug, o.horizon_from, o.horizon_to, s.frequency, r.number, r.outcome, r.reason,
      r.band_low as low, r.band_high as high, r.start_value, r.end_value,
      first.close as start, last.close as "end", newest.date as newest_on,
      (select n.outcome from resolution_contradictions n
        where n.outlook_id = r.outlook_id and n.number = r.number
        order by n.recorded_at desc limit 1) as noted
    from outlooks o
    join instruments i on i.id = o.instrument_id
    join series s on s.id = i.closes_id
    join resolutions r on r.outlook_id = o.id and r.superseded_at is null
    left join lateral (${closeBefore('o.horizon_from')}) first on true
    left join lateral (${closeBefore('o.horizon_to')}) last on true
    left join lateral (${closeBefore(`'infinity'`)}) newest on true
   where o.id = any($1) and s.id = $2 and r.outcome is not null and r.band_low is not null
   order by o.id`,
};

/**
 * Compares the resolutions of locked outlooks with the closes just stored, and notes those that the closes contradict and
 * those that they no longer do. Call it in the transaction that stores the closes, so that none is missed.
 * @returns the slugs of the outlooks with a change
 */
export async function noteContradictions(
  session: Session,
  outlookIds: readonly number[],
  { series, recordedAt }: { series: { id: number }; recordedAt: Date },
): Promise<string[]> {
  if (outlookIds.length === 0) return [];
  const values = [outlookIds, series.id];
  const { rows } = await session.query<Compared>({ ...READ_COMPARED, values });
  const changed = rows.flatMap((row) => {
    const found = contradictionOf(row);
    return (found?.outcome ?? null) === row.noted ? [] : [{ row, found }];
  });
  if (changed.length === 0) return [];
  const noted = changed.map(({ row, found }) => ({
    outlook_id: row.id,
    number: row.number,
    outcome: found?.outcome,
    start_date: found?.closes.start.date,
    start_value: found?.closes.start.value,
    end_date: found?.closes.end.date,
    end_value: found?.closes.end.value,
  }));
  await session.query(
    `insert into resolution_contradictions (outlook_id, number, recorded_at, outcome, start_date, start_value,
       end_date, end_value)
     select outlook_id, number, $2, outcome, start_date, start_value, end_date, end_value
       from json_to_recordset($1) as noted (outlook_id bigint, number int, outcome text,
         start_date date, start_value float8, end_date date, end_value float8)
      order by outlook_id`,
    [JSON.stringify(noted), recordedAt.toISOString()],
  );
  return changed.map(({ row }) => row.slug);
}

/**
 * What the closes imply against a resolution; null if they agree or don't decide yet. A resolution with a reason already
 * holds against the closes that it names.
 */
function contradictionOf(row: Compared): { outcome: ScenarioName; closes: HorizonReturn } | null {
  const { start, end, newest_on: newestOn } = row;
  const horizon = { from: row.horizon_from, to: row.horizon_to };
  const closes = returnOverHorizon(horizon, row.frequency, { start, end });
  if ('missing' in closes || newestOn === null || newestOn < lastDayOf(horizon)) return null;
  const band: BaseBand = { low: row.low, high: row.high };
  const outcome = outcomeOfHorizonReturn(band, closes);
  const known = closesOfResolution(row);
  const isExplained =
    row.reason !== null && known !== null && outcomeOfCloses(band, known) === outcome;
  return outcome === row.outcome || isExplained ? null : { outcome, closes };
}

function closesOfResolution({ start_value: start, end_value: end }: Compared): Closes | null {
  return start === null || end === null ? null : { start, end };
}
