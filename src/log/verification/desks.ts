/** The state that a row's visibility follows from: how it started, and whether it was disclosed. */
const visibilityOf = (relation: 'outlooks' | 'series', column: string) => `
  select t.id::text as key, t.id as place from ${relation} t left join disclosures d on d.${column} = t.id
   where t.internal_to is distinct from case when t.is_internal and d.id is null then t.desk_id end`;

/** What each proposal published: a version, or a resolution. */
const WRITTEN = `
  written as (
    select proposal_id, outlook_id, version as number, author_id, false as is_resolution
      from outlook_versions where proposal_id is not null
    union all
    select proposal_id, outlook_id, number, author_id, true from resolutions where proposal_id is not null)`;

/** The policies `p` of an outlook `o` within a minute of a row `v`: it may have been written at the same time, by another clock. */
const POLICIES = `
  (select q.* from desk_policies q where q.desk_id = coalesce(o.desk_id, 1)
      and q.recorded_at > v.recorded_at - interval '1 minute' and q.recorded_at <= v.recorded_at + interval '1 minute'
    union all
    select before.* from (select) as one left join lateral (
      select * from desk_policies q where q.desk_id = coalesce(o.desk_id, 1) and q.recorded_at <= v.recorded_at - interval '1 minute'
       order by q.version desc limit 1) as before on true) as p`;

const LACKS = 'was published without the approval that the policy of its desk asked for';

/** Rows `v` of a table with fewer approvals than the policy asked for. Without a policy, no row is read. */
const unapproved = (relation: string, number: string, needed: string) => `
  select key, place from (
    select concat_ws(',', v.outlook_id, v.${number}) as key, row_number() over (order by v.outlook_id, v.${number}) as place,
        v.proposal_id, (select min(coalesce(${needed}, 0)) from ${POLICIES}) as needed
      from ${relation} v join outlooks o on o.id = v.outlook_id
      left join outlook_versions b on b.outlook_id = v.outlook_id and b.version = v.${number} - 1
     where exists (select from desk_policies)) as published
   where case when needed > 0 then cardinality(approvers_of(proposal_id)) < needed end`;

/** What follows from desks, disclosures, proposals and policies. */
export const DESK_RULES = [
  {
    relation: 'outlooks',
    fault: 'is shown to others than its desk and disclosures say',
    text: visibilityOf('outlooks', 'outlook_id'),
  },
  {
    relation: 'series',
    fault: 'is shown to others than its desk and disclosures say',
    text: visibilityOf('series', 'series_id'),
  },
  {
    relation: 'proposals',
    fault: 'has a state, a draft or a time that its drafts and steps do not lead to',
    // Whether approvals were enough depends on the policy of that time.
    text: `
      select p.id::text as key, row_number() over (order by p.id) as place from proposals p
        left join (select distinct on (proposal_id) * from proposal_drafts order by proposal_id, number desc) d on d.proposal_id = p.id
        left join (select proposal_id, max(number) as number from proposal_steps group by 1) n on n.proposal_id = p.id
        left join (select distinct on (proposal_id) * from proposal_steps where kind <> 'commented'
                    order by proposal_id, number desc) s on s.proposal_id = p.id and s.draft = d.number
       where (p.draft, p.step, p.publish_at) is distinct from (d.number, coalesce(n.number, 0), d.publish_at)
          or case when s.kind = 'approved' then p.state not in ('submitted', 'approved') else p.state <> coalesce(s.kind, 'draft') end`,
  },
  {
    relation: 'proposals',
    fault: 'is not what published the version or resolution that names it, or names none',
    text: `
      with ${WRITTEN}
      select p.id::text as key, row_number() over (order by p.created_at, p.id) as place from proposals p
        left join proposal_steps s on s.proposal_id = p.id and s.kind = 'published'
        left join written w on w.proposal_id = p.id
       where s.version is distinct from w.number or p.author_id <> w.author_id or p.outlook_id <> w.outlook_id
          or (p.kind = 'resolution') <> w.is_resolution`,
  },
  {
    relation: 'outlook_versions',
    fault: LACKS,
    text: unapproved(
      'outlook_versions',
      'version',
      `case when v.kind = 'created' then p.outlook when v.kind = 'withdrawn' then p.withdrawal
         when v.consensus_method is not null then p.consensus when v.kind <> 'framework' then p.revision
         when (b.bear_bps, b.base_bps, b.bull_bps) <> (v.bear_bps, v.base_bps, v.bull_bps)
           or exists (select from condition_answers a where a.outlook_id = v.outlook_id and a.version = v.version)
           then greatest(p.framework, p.revision)
         else p.framework end`,
    ),
  },
  {
    relation: 'resolutions',
    fault: LACKS,
    text: unapproved('resolutions', 'number', 'p.resolution'),
  },
];
