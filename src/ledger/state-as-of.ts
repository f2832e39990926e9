import { STATUS_BY } from './resolved-by.ts';

/** The status of an outlook `o` at a given time; `v` is its version at that time. */
export const statusAsOf = (moment: string): string => `
    case when v.kind = 'withdrawn' then 'withdrawn' else coalesce((
      select ${STATUS_BY} from resolutions r
       where r.outlook_id = o.id and r.recorded_at <= ${moment} order by r.number desc limit 1),
      'open') end`;

/**
 * Why a review of an outlook `o` was due at a given time, null if none was; `v` is its version at that time. The function
 * review_reasons_of() in Postgres gives the reasons of now.
 */
export const reasonsAsOf = (moment: string): string => `
    case when (select not n.reopens from resolutions n
        where n.outlook_id = o.id and n.recorded_at <= ${moment} order by n.number desc limit 1) then (
      select array[contradiction_reason(c.outcome, r.number, r.outcome)]
        from (select * from resolutions n where n.outlook_id = o.id and n.recorded_at <= ${moment}
               order by n.number desc limit 1) r
        cross join lateral (
          select n.outcome from resolution_contradictions n
           where n.outlook_id = r.outlook_id and n.number = r.number and n.recorded_at <= ${moment}
           order by n.recorded_at desc limit 1) c
       where c.outcome is not null)
    when o.horizon_ended_at <= ${moment} then array[awaiting_reason(o.horizon_to)]
    when ${statusAsOf(moment)} <> 'open' then null
    else (select array_agg(s.reason order by s.id) from (
       select distinct on (n.key) n.id, n.reason, n.state from condition_changes n
        where n.outlook_id = o.id and n.recorded_at <= ${moment} order by n.key, n.id desc) s
      where s.state = 'triggered' and not exists (
        select from condition_answers a where a.change_id = s.id and a.version <= v.version)) end`;
