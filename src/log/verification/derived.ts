import type { Session } from '../../postgres/pool.ts';
import { DESK_RULES } from './desks.ts';
import type { RowFaults } from './faults.ts';
import { SUM_RULES } from './sums.ts';

/** A query for the rows whose derived columns are not what other rows say, with their primary keys as `key`. */
type Rule = { relation: string; fault: string; text: string };

const RULES: readonly Rule[] = [
  {
    relation: 'outlooks',
    fault: 'has a current version that is not its newest one',
    text: `
      select o.id::text as key, o.id as place from outlooks o
        left join (select distinct on (outlook_id) * from outlook_versions order by outlook_id, version desc) v
          on v.outlook_id = o.id
       where (o.latest_version, o.published_at, o.hash, o.framework_id, o.bear_bps, o.base_bps, o.bull_bps) is distinct from
             (v.version, v.recorded_at, v.hash, v.framework_id, v.bear_bps, v.base_bps, v.bull_bps)`,
  },
  {
    relation: 'outlooks',
    fault: 'has a status that contradicts its versions and resolutions',
    text: `
      select o.id::text as key, o.id as place from outlooks o
        left join outlook_versions v on v.outlook_id = o.id and v.version = o.latest_version
        left join (select distinct on (outlook_id) * from resolutions order by outlook_id, number desc) r
          on r.outlook_id = o.id
       where o.status is distinct from case when v.kind = 'withdrawn' then 'withdrawn' when r.reopens is not false then 'open'
               when r.outcome is null then 'void' else 'resolved' end`,
  },
  {
    relation: 'outlooks',
    fault: 'has states of conditions that their changes do not lead to',
    text: `
      select o.id::text as key, o.id as place from outlooks o
        left join (
          select outlook_id, jsonb_object_agg(key, state) filter (where state <> 'untriggered') as states
            from (select distinct on (outlook_id, key) outlook_id, key, state from condition_changes
                   order by outlook_id, key, id desc) as newest
           group by outlook_id) as derived on derived.outlook_id = o.id
       where o.condition_states is distinct from coalesce(derived.states, '{}')`,
  },
  {
    relation: 'outlooks',
    fault: 'has reasons for a review that nothing gives, or lacks some',
    text: `
      select o.id::text as key, o.id as place from outlooks o where o.review_reasons is distinct from review_reasons_of(o)`,
  },
  {
    relation: 'outlooks',
    fault: 'is marked as contradicted by closes, or not, against its resolution',
    text: `
      select o.id::text as key, o.id as place from outlooks o
        left join resolutions r on r.outlook_id = o.id and r.superseded_at is null
        left join (select distinct on (outlook_id, number) * from resolution_contradictions
                    order by outlook_id, number, recorded_at desc) c on c.outlook_id = r.outlook_id and c.number = r.number
       where o.is_contradicted is distinct from (c.outcome is not null)`,
  },
  {
    relation: 'outlooks',
    fault: 'has another end of its horizon than its event says',
    // Horizons that were over when the first release with this event came have none.
    text: `
      select o.id::text as key, o.id as place from outlooks o
        left join events e on e.outlook_id = o.id and e.kind = 'outlook.horizon.ended'
       where o.horizon_ended_at is distinct from e.recorded_at
         and (e.id is not null or o.horizon_ended_at >= (select started_at from log_generations where generation = 1))`,
  },
  {
    relation: 'outlooks',
    fault: 'names another outlook that continues it than its event does',
    text: `
      select o.id::text as key, o.id as place from outlooks o
        left join (select distinct on (outlook_id) outlook_id, data->>'continuedBy' as slug from events
                    where kind = 'outlook.state.changed' and data ? 'continuedBy' order by outlook_id, id desc) e
          on e.outlook_id = o.id
       where o.continued_by is distinct from e.slug`,
  },
  {
    relation: 'events',
    fault: 'does not say what its version does',
    text: `
      select e.id::text as key, e.id as place from events e
        left join outlook_versions v on v.outlook_id = e.outlook_id and v.version = e.version
        left join outlook_versions b on b.outlook_id = v.outlook_id and b.version = v.version - 1
       where e.kind in ('outlook.created', 'outlook.version.published') and (
         e.recorded_at, e.data, e.kind = 'outlook.created') is distinct from (
         v.recorded_at,
         jsonb_build_object('kind', v.kind,
           'probabilities', jsonb_build_object('bear', v.bear_bps / 10000.0, 'base', v.base_bps / 10000.0, 'bull', v.bull_bps / 10000.0),
           'deltas', case when b.version is not null then jsonb_build_object('bear', (v.bear_bps - b.bear_bps) / 10000.0,
             'base', (v.base_bps - b.base_bps) / 10000.0, 'bull', (v.bull_bps - b.bull_bps) / 10000.0) end),
         v.version = 1)`,
  },
  {
    relation: 'observations',
    fault: 'is not superseded when the next one of its date was recorded',
    text: `
      select concat_ws(',', series_id, date, recorded_at) as key, row_number() over (order by series_id, date, recorded_at) as place
        from (select *, lead(recorded_at) over (partition by series_id, date order by recorded_at) as next from observations) o
       where superseded_at is distinct from next`,
  },
  {
    relation: 'resolutions',
    fault: 'is not superseded when the next one was recorded',
    text: `
      select concat_ws(',', outlook_id, number) as key, row_number() over (order by outlook_id, number) as place
        from (select *, lead(recorded_at) over (partition by outlook_id order by number) as next from resolutions) r
       where superseded_at is distinct from next`,
  },
  {
    relation: 'forecasters',
    fault: 'is not whom the versions and views name, or since another time',
    text: `
      select concat_ws(',', outlook_id, source, analyst_id) as key, row_number() over (order by outlook_id, source, analyst_id) as place
        from forecasters f
        full join (
          select outlook_id, 'version' as source, author_id as analyst_id, min(recorded_at) as since
            from (select *, lag(author_id) over (partition by outlook_id order by version) as before from outlook_versions) v
           where kind <> 'withdrawn' and author_id is distinct from before group by outlook_id, author_id
          union all
          select outlook_id, 'view', analyst_id, recorded_at from views where version = 1) d
          using (outlook_id, source, analyst_id)
       where f.since is distinct from d.since`,
  },
  {
    relation: 'version_views',
    fault: 'has another weight than its consensus gives it',
    // Weights by skill depend on all track records of that time.
    text: `
      select concat_ws(',', outlook_id, version, analyst_id) as key,
          row_number() over (order by outlook_id, version, analyst_id) as place
        from (
          select p.*, raw / sum(raw) over (partition by outlook_id, version) as due
            from (
              select w.*, case v.consensus_weights when 'equal' then 1 else power(2::float8, - extract(epoch from
                  max(h.recorded_at) over (partition by w.outlook_id, w.version) - h.recorded_at)::float8 / (30 * 86400)) end as raw
                from version_views w
                join outlook_versions v on v.outlook_id = w.outlook_id and v.version = w.version
                join views h on h.outlook_id = w.outlook_id and h.analyst_id = w.analyst_id and h.version = w.view_version
               where v.consensus_weights <> 'skill') as p) as pooled
       where abs(weight - due) > 1e-9`,
  },
];

/**
 * Derives again what the ledger derives from its rows, and compares.
 *
 * @param onRule is called before each rule
 */
export async function verifyDerived(
  session: Session,
  faults: RowFaults,
  onRule: () => void,
): Promise<void> {
  for (const { relation, fault, text } of [...RULES, ...DESK_RULES, ...SUM_RULES]) {
    onRule();
    const { rows } = await session.query<{ key: string; count: number }>(
      `with found as (${text})
       select key, (select count(*) from found) as count from found order by place limit 1`,
    );
    for (const { key, count } of rows) faults.add(relation, fault, key, null, count);
  }
}
