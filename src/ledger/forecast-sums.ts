import type { CountedSums } from '../domain/calibration.ts';
import { type Audience, PUBLIC_AUDIENCE } from '../domain/desks.ts';
import {
  byScenario,
  type Fractions,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../domain/probabilities.ts';
import { byScore, SCORE_NAMES, type ScoreName, scoresOf } from '../domain/scoring.ts';
import {
  type ClusterSum,
  type ForecastSource,
  type RecordSums,
  type Skill,
  skillOfAnalyst,
} from '../domain/track-record.ts';
import type { Session } from '../postgres/pool.ts';
import { countsFor } from './visibility.ts';

/** Whose forecasts of which outlooks; the horizon ends in [from, to). A filter that is null lets all pass. */
export type RecordScope = {
  /** Null for whole outlooks, whoever wrote their versions. */
  analystId: string | null;
  source: ForecastSource;
  /** The symbol of an instrument. */
  instrument: string | null;
  from: string | null;
  to: string | null;
  /** The least share of the horizon that was forecast; it leaves outlooks out of the scores, not of the counts. */
  minCoverage: number | null;
  /** Leaves out what was recorded later; null leaves out nothing. */
  asOf: Date | null;
  /** For whom the record is; see {@link countsFor}. */
  audience: Audience;
};

/** The forecast that skill is measured against: the same for all outlooks, or the climatology of each. */
export type RecordReference = Readonly<Fractions> | 'climatology';

/** Adds a parameter to a query, and returns its placeholder. */
type Sent = (value: unknown) => string;

/**
 * The sums behind a track record. One statement reads them, so that they belong together.
 * @param reference the forecast that skill is measured against
 */
export async function readForecastSums(
  session: Session,
  scope: RecordScope,
  reference: RecordReference,
): Promise<RecordSums> {
  const values: unknown[] = [];
  const sent = (value: unknown): string => `$${values.push(value)}`;
  const { ofSums, ofLead } = referenceSql(reference, sent);
  const text = `
    with scored as materialized (${clustered(`
      select f.id, f.analyst_id, ${TRADED} as traded, f.horizon_from, f.horizon_to, f.by_closes, f.attainable,
        ${SHARE} as share, f.bear_error, f.base_error, f.bull_error, ${BRIER} as brier, f.logarithmic,
        f.ranked_probability, ${ofSums('brier')} as reference_brier,
        ${ofSums('logarithmic')} as reference_logarithmic,
        ${ofSums('rankedProbability')} as reference_ranked_probability
      from forecast_sums f join resolutions r on r.outlook_id = f.outlook_id and r.number = f.number
        join instruments i on i.id = f.instrument_id
      where ${filtersOf(scope, sent)}`)})
    select
      (select json_build_object('n', count(*), 'byCloses', count(*) filter (where by_closes),
          'attainable', coalesce(sum(attainable), 0), 'compared', count(reference_brier),
          'infinite', count(*) filter (where logarithmic = 'Infinity'),
          'errors', json_build_object('bear', sum(bear_error), 'base', sum(base_error), 'bull', sum(bull_error)))
        from scored) as totals,
      (select coalesce(json_agg(sums), '[]') from (
        select json_build_object(${SCORE_NAMES.map((name) => `'${name}', json_build_object(${clusterSum('share', COLUMN[name], `reference_${COLUMN[name]}`)})`).join(', ')}) as sums
          from scored group by cluster) as by_cluster) as clusters,
      (select coalesce(json_agg(sums), '[]') from (${BUCKETS}) as by_bucket) as buckets,
      (select coalesce(json_agg(sums), '[]') from (
        select json_build_object('first', l.first_tenth, 'last', l.last_tenth, 'cluster', s.cluster, 'n', count(*),
            ${clusterSum('s.share', 's.share * l.brier', `s.share * (${ofLead})`)}) as sums
          from scored s join forecast_leads l on l.sums_id = s.id
         group by l.first_tenth, l.last_tenth, s.cluster) as by_lead) as leads,
      (select coalesce(json_agg(sums), '[]') from (${LEAD_BUCKETS}) as by_lead_bucket) as "leadBuckets"`;
  const { rows } = await session.query<SumsRow>(text, values);
  const [row] = rows;
  if (!row) throw new Error('an aggregate returns one row');
  const { totals, clusters, buckets, leads, leadBuckets } = row;
  return {
    ...totals,
    clusters: clusters.map((cluster) => byScore((name) => numbersOf(cluster[name]))),
    buckets: {
      ...byScenario((name) => buckets.map((sums) => ({ bucket: sums.bucket, ...sums[name] }))),
      overall: buckets.map((sums) => ({ bucket: sums.bucket, ...sums.overall })),
    },
    leads,
    leadBuckets,
  };
}

type SumsRow = Omit<RecordSums, 'clusters' | 'buckets'> & {
  totals: Omit<RecordSums, 'clusters' | 'buckets' | 'leads' | 'leadBuckets'>;
  clusters: Record<ScoreName, Record<keyof ClusterSum, number | 'Infinity'>>[];
  buckets: ({ bucket: number } & Record<ScenarioName | 'overall', Omit<CountedSums, 'bucket'>>)[];
};

/** JSON has no infinity: Postgres writes it as a string. */
const numbersOf = (sum: Record<keyof ClusterSum, number | 'Infinity'>): ClusterSum => ({
  weight: Number(sum.weight),
  score: Number(sum.score),
  comparedWeight: Number(sum.comparedWeight),
  comparedScore: Number(sum.comparedScore),
  reference: Number(sum.reference),
});

const SHARE = '(f.bear_share + f.base_share + f.bull_share)';
const BRIER = '(f.bear_error + f.base_error + f.bull_error)';
const COLUMN: Record<ScoreName, string> = {
  brier: 'brier',
  logarithmic: 'logarithmic',
  rankedProbability: 'ranked_probability',
};

/** A filter that is not set is left out of the text, so that Postgres picks the index for those that are. */
function filtersOf(
  { analystId, source, instrument, from, to, minCoverage, asOf, audience }: RecordScope,
  sent: Sent,
): string {
  const filters = [
    `f.source = ${sent(source)}`,
    analystId === null ? 'f.analyst_id is null' : `f.analyst_id = ${sent(analystId)}`,
    instrument !== null &&
      `f.instrument_id = (select id from instruments where symbol = ${sent(instrument)})`,
    from !== null && `f.horizon_to >= ${sent(from)}`,
    to !== null && `f.horizon_to < ${sent(to)}`,
    // Shares that make up a whole horizon may sum to a little less.
    minCoverage !== null && `${SHARE} >= ${sent(minCoverage)}::float8 - 1e-9`,
    isCurrent(asOf, sent),
    countsFor(audience, 'f.outlook_id', sent) ?? false,
  ];
  return filters.filter((filter) => filter !== false).join(' and ');
}

/** Whether a resolution r is the current one, or was at a given time. */
function isCurrent(asOf: Date | null, sent: Sent): string {
  if (asOf === null) return 'r.superseded_at is null';
  const moment = sent(asOf.toISOString());
  return `r.recorded_at <= ${moment} and (r.superseded_at is null or r.superseded_at > ${moment})`;
}

// Instruments with the same closes share their fate.
const TRADED = 'coalesce(i.closes_id, -i.id)';

/** Adds `cluster` to rows: each chain of an analyst's overlapping horizons on one instrument, or on others with the same closes, has a number. */
const clustered = (rows: string): string => `
  select *, count(*) filter (where opens) over (order by analyst_id, traded, horizon_from, horizon_to, id)
      as cluster
    from (select *, (horizon_from < max(horizon_to) over (partition by analyst_id, traded
        order by horizon_from, horizon_to, id rows between unbounded preceding and 1 preceding)) is not true as opens
      from (${rows}) as unclustered) as chained`;

/** Σ w S of the reference, as SQL for a row of forecast_sums f, and its Brier score for a row of forecast_leads l. */
type ReferenceSql = { ofSums: (name: ScoreName) => string; ofLead: string };

function referenceSql(reference: RecordReference, sent: Sent): ReferenceSql {
  if (reference === 'climatology') {
    return { ofSums: (name) => `f.climatology_${COLUMN[name]}`, ofLead: 'l.climatology_brier' };
  }
  const scores = byScenario((outcome) => {
    const exact = scoresOf(reference, outcome);
    return byScore((name) => `${sent(exact[name])}::float8`);
  });
  // Left out where it is 0: 0 times an infinite score is no number.
  const part = (outcome: ScenarioName, name: ScoreName) =>
    `case f.${outcome}_share when 0 then 0 else f.${outcome}_share * ${scores[outcome][name]} end`;
  return {
    ofSums: (name) => SCENARIO_NAMES.map((outcome) => part(outcome, name)).join(' + '),
    ofLead: `case l.outcome when 'bear' then ${scores.bear.brier} when 'base' then ${scores.base.brier}
      else ${scores.bull.brier} end`,
  };
}

/** The members of a {@link ClusterSum}. */
const clusterSum = (weight: string, score: string, reference: string): string => `
  'weight', sum(${weight}), 'score', sum(${score}),
  'comparedWeight', coalesce(sum(${weight}) filter (where ${reference} is not null), 0),
  'comparedScore', coalesce(sum(${score}) filter (where ${reference} is not null), 0),
  'reference', coalesce(sum(${reference}), 0)`;

const ALL = [...SCENARIO_NAMES, 'overall'] as const;
const MEMBERS = ['weight', 'predicted', 'realised'] as const;

// The sums of a cluster first: its outlooks share their fate, so its squared weight counts.
const BUCKETS = `
  select json_build_object('bucket', bucket, ${ALL.map(
    (name) => `'${name}', json_build_object('n', sum(${name}_n), 'weight', sum(${name}_weight),
      'squared', sum(${name}_weight ^ 2), 'predicted', sum(${name}_predicted), 'realised', sum(${name}_realised))`,
  ).join(', ')}) as sums
    from (
      select *, ${MEMBERS.map((member) => `${SCENARIO_NAMES.map((name) => `${name}_${member}`).join(' + ')} as overall_${member}`).join(', ')}
        from (
          select b.bucket, count(*) as overall_n, ${SCENARIO_NAMES.map(
            (name) =>
              `count(nullif(b.${name}_weight, 0)) as ${name}_n, ${MEMBERS.map(
                (member) => `sum(b.${name}_${member}) as ${name}_${member}`,
              ).join(', ')}`,
          ).join(', ')}
            from scored s join forecast_buckets b on b.sums_id = s.id group by b.bucket, s.cluster) as by_scenario
      ) as by_cluster
   group by bucket order by bucket`;

const LEAD_BUCKETS = `
  select json_build_object('first', l.first_tenth, 'last', l.last_tenth, 'scenario', p.scenario,
      'bucket', least(9, p.bps / 1000), 'weight', sum(s.share), 'predicted', sum(s.share * p.bps) / 10000,
      'realised', coalesce(sum(s.share) filter (where l.outcome = p.scenario), 0)) as sums
    from scored s join forecast_leads l on l.sums_id = s.id
   cross join lateral (values ('bear', l.bear_bps), ('base', l.base_bps), ('bull', l.bull_bps)) as p (scenario, bps)
   group by l.first_tenth, l.last_tenth, p.scenario, least(9, p.bps / 1000)`;

/**
 * The skill of analysts by id, by the Brier score against climatology or, where there is none, uniform thirds. Versions and
 * views of an outlook count once. An outcome that an analyst stated without closes, or against them, does not count for
 * that analyst, unless the closes of the whole horizon imply it by now: so nobody leaves out losers by stating them early. Analysts with less than one whole horizon are left out.
 * Only outlooks that were public from the start count, whoever asks, so that the weights of a published consensus say nothing of others.
 * @param asOf leaves out what was recorded later; null leaves out nothing
 */
export async function readSkills(
  session: Session,
  analystIds: readonly string[],
  asOf: Date | null,
): Promise<Map<string, Skill>> {
  const values: unknown[] = [analystIds, asOf?.toISOString() ?? 'infinity'];
  const sent: Sent = (value) => `$${values.push(value)}`;
  const isScored = `${isCurrent(asOf, sent)} and ${countsFor(PUBLIC_AUDIENCE, 'f.outlook_id', sent)}`;
  const { rows } = await session.query<{ analystId: string; clusters: ClusterSum[] }>(
    `select analyst_id as "analystId", json_agg(sums) as clusters
       from (
         select analyst_id, json_build_object(${clusterSum('share', 'brier', 'reference')}) as sums
           from (${clustered(`
             select f.id, f.analyst_id, ${TRADED} as traded, f.horizon_from, f.horizon_to, ${SHARE} as share,
               ${BRIER} as brier, coalesce(f.climatology_brier, ${SHARE} * 2 / 3) as reference
             from forecast_sums f join resolutions r on r.outlook_id = f.outlook_id and r.number = f.number
               join instruments i on i.id = f.instrument_id
             where f.analyst_id = any($1) and f.source = 'combined' and ${isScored}
               and (f.by_closes or r.author_id <> f.analyst_id
                 or outcome_by_closes(f.outlook_id, r.band_low, r.band_high, $2) = r.outcome)`)}) as scored
          group by analyst_id, cluster) as by_cluster
      group by analyst_id`,
    values,
  );
  return new Map(
    rows.flatMap(({ analystId, clusters }) => {
      const skill = skillOfAnalyst(clusters);
      return skill ? [[analystId, skill]] : [];
    }),
  );
}
