// Sums of doubles depend a little on the order of their terms.
const differ = (one: string, other: string) =>
  `(${one} is distinct from ${other} and (abs(${one} - ${other}) < 1e-9) is not true)`;

const anyDiffers = (columns: readonly string[]) =>
  columns.map((column) => differ(`s.${column}`, `d.${column}`)).join(' or ');

const NOBODY = `'00000000-0000-0000-0000-000000000000'::uuid`;

/** What each resolution with an outcome scores. */
const SCORED = `
  scored as materialized (
    select r.outlook_id, r.number, coalesce(f.analyst_id, ${NOBODY}) as analyst, f.*, decided_by_closes(r) as by_closes,
        (o.horizon_to - o.horizon_from) * 86400000::bigint as whole
      from resolutions r join outlooks o on o.id = r.outlook_id cross join lateral forecasts_of(o, r) as f
     where r.outcome is not null)`;

/** The rows of forecast_sums, to be joined with what was derived. */
const STORED = `
  stored as materialized (select s.*, coalesce(s.analyst_id, ${NOBODY}) as analyst from forecast_sums s)`;
const SAME = 'using (outlook_id, number, source, analyst)';

const SUMS = [
  'attainable',
  'bear_share',
  'base_share',
  'bull_share',
  'bear_error',
  'base_error',
  'bull_error',
];
const SCORES = ['logarithmic', 'ranked_probability'];
const CLIMATOLOGIES = ['brier', 'logarithmic', 'ranked_probability'].map(
  (name) => `climatology_${name}`,
);

const shareOf = (name: string) =>
  `coalesce(sum(w) filter (where outcome = '${name}'), 0) as ${name}_share,
   sum(w * (${name}_off * ${name}_off / 1e8::float8)) as ${name}_error`;

const FAULTY_SUMS = `
  with ${SCORED}, ${STORED}, derived as (
    select outlook_id, number, source, analyst, bool_or(by_closes) as by_closes, min(attainable) as attainable,
        ${['bear', 'base', 'bull'].map(shareOf).join(', ')},
        sum(w * case outcome_bps when 0 then 'Infinity' else -ln(outcome_bps / 10000::float8) end) as logarithmic,
        sum(w * ((bear_off * bear_off + bull_off * bull_off) / 1e8::float8)) as ranked_probability,
        ${CLIMATOLOGIES.map((name) => `case when count(climatology_brier) = count(*) then sum(w * ${name}) end as ${name}`).join(', ')}
      from scored group by outlook_id, number, source, analyst)
  select coalesce(s.id::text, format('of outlook %s, resolution %s, %s', outlook_id, number, source)) as key, s.id as place
    from stored s full join derived d ${SAME}
    left join outlooks o on o.id = outlook_id
   where s.id is null or d.attainable is null or s.by_closes is distinct from coalesce(d.by_closes, false)
      or (s.instrument_id, s.horizon_from, s.horizon_to) is distinct from (o.instrument_id, o.horizon_from, o.horizon_to)
      or ${anyDiffers([...SUMS, ...SCORES, ...CLIMATOLOGIES])}`;

const BUCKETS = ['bear', 'base', 'bull'].flatMap((name) =>
  ['weight', 'predicted', 'realised'].map((member) => `${name}_${member}`),
);
const bucketSums = (name: string) => `
  sum(w * ${name}) as ${name}_weight, sum(w * ${name} * bps / 10000) as ${name}_predicted,
  sum(w * ${name} * (outcome = '${name}')::int) as ${name}_realised`;

const FAULTY_BUCKETS = `
  with ${SCORED}, ${STORED}, derived as (
    select s.id as sums_id, least(9, p.bps / 1000) as bucket, ${['bear', 'base', 'bull'].map(bucketSums).join(', ')}
      from scored f join stored s ${SAME}
     cross join lateral (values (f.bear_bps, 1, 0, 0), (f.base_bps, 0, 1, 0), (f.bull_bps, 0, 0, 1)) as p (bps, bear, base, bull)
     where source <> 'combined' group by 1, 2)
  select concat_ws(',', sums_id, bucket) as key, row_number() over (order by sums_id, bucket) as place
    from forecast_buckets s full join derived d using (sums_id, bucket)
   where ${anyDiffers(BUCKETS)}`;

const FAULTY_LEADS = `
  with ${SCORED}, ${STORED}, derived as (
    select s.id as sums_id, at.first as first_tenth, at.last as last_tenth, f.bear_bps, f.base_bps, f.bull_bps, f.outcome,
        (bear_off * bear_off + base_off * base_off + bull_off * bull_off) / 1e8::float8 as brier, f.climatology_brier
      from scored f join stored s ${SAME}
     cross join lateral (
       select (from_ms * 10 + whole - 1) / whole as first,
           case to_ms when whole then 10 else (to_ms * 10 + whole - 1) / whole - 1 end as last) as at
     where source <> 'combined' and at.first <= at.last)
  select concat_ws(',', sums_id, first_tenth) as key, row_number() over (order by sums_id, first_tenth) as place
    from forecast_leads s full join derived d using (sums_id, first_tenth)
   where (s.last_tenth, s.bear_bps, s.base_bps, s.bull_bps, s.outcome)
       is distinct from (d.last_tenth::smallint, d.bear_bps, d.base_bps, d.bull_bps, d.outcome)
      or ${anyDiffers(['brier', 'climatology_brier'])}`;

/** The rules of what the ledger sums up when an outlook is resolved. */
export const SUM_RULES = [
  { relation: 'forecast_sums', fault: 'is not what the forecasts sum up to', text: FAULTY_SUMS },
  {
    relation: 'forecast_buckets',
    fault: 'is not what the forecasts sum up to',
    text: FAULTY_BUCKETS,
  },
  { relation: 'forecast_leads', fault: 'is not what the forecasts sum up to', text: FAULTY_LEADS },
];
