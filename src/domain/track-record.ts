import {
  type BucketSums,
  type CalibrationBucket,
  calibrationOf,
  type CountedSums,
  type Decomposition,
  decompositionOf,
  effectiveNumber,
} from './calibration.ts';
import { byScenario, type ByScenario, SCENARIO_NAMES } from './probabilities.ts';
import { byScore, figure, finite, type Scored, type ScoreName, skillOf, some } from './scoring.ts';

export const FORECAST_SOURCES = ['version', 'view'] as const;
/** Whether a forecast is a published version or an analyst's view. */
export type ForecastSource = (typeof FORECAST_SOURCES)[number];

export const SUM_SOURCES = [...FORECAST_SOURCES, 'combined'] as const;
/** What is summed up: versions, views or, for skill weights, both as one, with withdrawn forecasts to the end. */
export type SumSource = (typeof SUM_SOURCES)[number];

/**
 * The sums of a score over the outlooks of a cluster: a chain of overlapping horizons on one instrument. Each forecast
 * counts with w, its share of the whole horizon.
 */
export type ClusterSum = {
  /** Σ w. */
  weight: number;
  /** Σ w S. */
  score: number;
  /** The same over the outlooks for which the reference exists, and Σ w S of the reference. */
  comparedWeight: number;
  comparedScore: number;
  reference: number;
};

/** A weighted mean over outlooks, its standard error and its skill. */
export type MeanScore = { mean: Scored; standardError: Scored; skill: Scored; skillError: Scored };

/** The accuracy of forecasts that were current when a given part of the horizon was left. */
export type LeadTime = {
  /** The part that was left: 1 at its start, 0 at its end. */
  lead: number;
  n: number;
  nEffective: number;
  brier: { mean: number; standardError: Scored; skill: Scored };
  /** Of the Brier score, over all three scenarios. */
  decomposition: Decomposition;
};

/** What a track record is computed from. */
export type RecordSums = {
  n: number;
  /** The number of outlooks whose outcome the closes imply. */
  byCloses: number;
  /** The sum of the shares of the horizons before the outcomes were known. */
  attainable: number;
  /** The number of outlooks for which the reference exists. */
  compared: number;
  /** The number of outlooks with a forecast that gave the outcome probability 0. */
  infinite: number;
  clusters: readonly Record<ScoreName, ClusterSum>[];
  /** Σ w (p − o)². */
  errors: ByScenario<number>;
  buckets: Record<keyof ByScenario<number> | 'overall', CountedSums[]>;
  /** Sums over the forecasts that were current at the same tenths of the horizon, 0 at its start and 10 at its end. */
  leads: readonly (Tenths & { n: number } & ClusterSum & { cluster: number })[];
  leadBuckets: readonly (Tenths & BucketSums & { scenario: keyof ByScenario<number> })[];
};
type Tenths = { first: number; last: number };

export type TrackRecord = {
  /** The number of scored outlooks, and the sum of the shares of their horizons that were forecast. */
  n: number;
  nEffective: number;
  /** The number of clusters: chains of overlapping horizons on one instrument, or on several with the same closes. */
  clusters: number;
  /** The mean share of the horizon that was forecast, and the most that was possible; null if n is 0. */
  coverage: number | null;
  attainableCoverage: number | null;
  /** The outlooks that skill compares: those for which the reference exists. */
  compared: { n: number; nEffective: number };
  /** The numbers of outlooks whose outcome the closes imply, and whose outcome an analyst stated without or against them. */
  outcomes: { closes: number; stated: number };
  scores: Record<ScoreName, MeanScore> | null;
  calibration: ByScenario<CalibrationBucket[]> & { overall: CalibrationBucket[] };
  decomposition: (ByScenario<Decomposition> & { overall: Decomposition }) | null;
  leadTimes: LeadTime[];
};

/** The number of equal parts of the horizon for lead times. */
const LEADS = 10;
// Shares are quotients: three that make up a whole horizon may sum to a little less than 1.
const ROUNDING = 1e-9;

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** The track record of outlooks that are summed up. Each forecast weighs as much as its share of its horizon. */
export function trackRecordOf(sums: RecordSums): TrackRecord {
  const { n, byCloses, attainable, compared, infinite, clusters, errors, buckets } = sums;
  const brier = clusters.map((cluster) => cluster.brier);
  const weight = total(brier.map((cluster) => cluster.weight));
  const decompositionBy = (names: readonly (keyof ByScenario<number>)[]) =>
    decompositionOf(
      names.map((name) => buckets[name]),
      total(names.map((name) => errors[name])) / weight,
    );
  return {
    n,
    nEffective: figure(weight),
    clusters: clusters.length,
    coverage: n === 0 ? null : figure(weight / n),
    attainableCoverage: n === 0 ? null : figure(attainable / n),
    compared: {
      n: compared,
      nEffective: figure(total(brier.map((cluster) => cluster.comparedWeight))),
    },
    outcomes: { closes: byCloses, stated: n - byCloses },
    scores:
      n === 0
        ? null
        : byScore((name) =>
            meanScoreOf(
              clusters.map((cluster) => cluster[name]),
              { n, infinite },
            ),
          ),
    calibration: {
      ...byScenario((name) => calibrationOf(buckets[name])),
      overall: calibrationOf(buckets.overall),
    },
    decomposition:
      n === 0
        ? null
        : {
            ...byScenario((name) => decompositionBy([name])),
            overall: decompositionBy(SCENARIO_NAMES),
          },
    leadTimes: leadTimesOf(sums),
  };
}

function leadTimesOf({ leads, leadBuckets }: RecordSums): LeadTime[] {
  return Array.from({ length: LEADS + 1 }, (_, tenth) => tenth).flatMap((tenth) => {
    const isCurrent = ({ first, last }: Tenths) => first <= tenth && tenth <= last;
    const current = leads.filter(isCurrent);
    if (current.length === 0) return [];
    const n = total(current.map((sum) => sum.n));
    const { mean, standardError, skill } = meanScoreOf(mergeClusters(current), { n, infinite: 0 });
    const buckets = leadBuckets.filter(isCurrent);
    const weight = total(current.map((sum) => sum.weight));
    return [
      {
        lead: (LEADS - tenth) / LEADS,
        n,
        nEffective: figure(weight),
        brier: { mean: mean.value ?? NaN, standardError, skill },
        decomposition: decompositionOf(
          SCENARIO_NAMES.map((name) =>
            mergeBuckets(buckets.filter(({ scenario }) => scenario === name)),
          ),
          total(current.map((sum) => sum.score)) / weight,
        ),
      },
    ];
  });
}

function mergeClusters(sums: readonly (ClusterSum & { cluster: number })[]): ClusterSum[] {
  const merged = new Map<number, ClusterSum>();
  for (const { cluster, ...sum } of sums) {
    const before = merged.get(cluster);
    merged.set(
      cluster,
      before
        ? {
            weight: before.weight + sum.weight,
            score: before.score + sum.score,
            comparedWeight: before.comparedWeight + sum.comparedWeight,
            comparedScore: before.comparedScore + sum.comparedScore,
            reference: before.reference + sum.reference,
          }
        : sum,
    );
  }
  return [...merged.values()];
}

function mergeBuckets(sums: readonly BucketSums[]): BucketSums[] {
  const merged = new Map<number, BucketSums>();
  for (const { bucket, weight, predicted, realised } of sums) {
    const before = merged.get(bucket) ?? { weight: 0, predicted: 0, realised: 0 };
    merged.set(bucket, {
      bucket,
      weight: before.weight + weight,
      predicted: before.predicted + predicted,
      realised: before.realised + realised,
    });
  }
  return [...merged.values()];
}

/**
 * The mean Σ w S / Σ w over clusters, and its skill 1 − Σ w S / Σ w S_ref. Both are ratios of sums over clusters, so the
 * delta method gives their errors: with the residuals e of the clusters, √(G/(G − 1) · Σ e²) over the denominator
 * (Cameron and Miller 2015, with their correction for the number G of clusters; Cochran 1977, chapter 6, on ratios).
 * @param counts the outlooks, and how many of them have an infinite score
 */
function meanScoreOf(
  clusters: readonly ClusterSum[],
  { n, infinite }: { n: number; infinite: number },
): MeanScore {
  const sum = (of: (cluster: ClusterSum) => number) => total(clusters.map(of));
  const weight = sum((cluster) => cluster.weight);
  const mean = sum((cluster) => cluster.score) / weight;
  if (!Number.isFinite(mean)) {
    const reason = `${infinite} of ${n} outlooks gave the outcome probability 0, so the mean is infinite`;
    const missing: Scored = { value: null, reason };
    return { mean: missing, standardError: missing, skill: missing, skillError: missing };
  }
  const compared = clusters.filter(({ comparedWeight }) => comparedWeight > 0);
  const reference = sum((cluster) => cluster.reference);
  const comparedScore = sum((cluster) => cluster.comparedScore);
  const skill = skillOfSums(
    comparedScore,
    reference,
    total(compared.map((of) => of.comparedWeight)),
  );
  return {
    mean: rounded(finite(mean)),
    standardError: errorOf(
      clusters.map((cluster) => cluster.score - mean * cluster.weight),
      weight,
    ),
    skill: rounded(skill),
    skillError:
      skill.value === null
        ? skill
        : errorOf(
            compared.map((of) => of.comparedScore - (1 - skill.value) * of.reference),
            reference,
          ),
  };
}

function skillOfSums(score: number, reference: number, weight: number): Scored {
  if (weight === 0) return { value: null, reason: 'no outlook has the reference to compare with' };
  if (weight < 1 - ROUNDING) {
    return {
      value: null,
      reason: 'less than one whole horizon was forecast, too little for skill',
    };
  }
  return skillOf(score / weight, reference / weight);
}

function errorOf(residuals: readonly number[], denominator: number): Scored {
  const { length } = residuals;
  if (length < 2) {
    const reason =
      'all outlooks are in one cluster of overlapping horizons, too few for a standard error';
    return { value: null, reason };
  }
  const squares = total(residuals.map((residual) => residual ** 2));
  return some(figure(Math.sqrt((length / (length - 1)) * squares) / denominator));
}

const rounded = (scored: Scored): Scored =>
  scored.value === null ? scored : some(figure(scored.value));

/** An analyst's skill, at most 1, and the effective number of independent outlooks that it rests on. */
export type Skill = { skill: number; n: number };

/** The mean Brier score of uniform thirds, whatever the outcome. */
const UNIFORM_BRIER = 2 / 3;

/**
 * An analyst's skill for the weights of a consensus; null if less than one whole horizon was forecast. In skill, an outlook
 * weighs as much as the score of its reference, so `n` is the {@link effectiveNumber} by those weights, in outlooks that
 * have uniform thirds as their reference. Outlooks whose outcome history makes certain add nothing to it, and many
 * outlooks on one event count about as one.
 */
export function skillOfAnalyst(clusters: readonly ClusterSum[]): Skill | null {
  const { skill } = meanScoreOf(clusters, { n: clusters.length, infinite: 0 });
  if (skill.value === null) return null;
  const weights = clusters.map(({ reference }) => reference / UNIFORM_BRIER);
  const squared = total(weights.map((weight) => weight ** 2));
  return { skill: skill.value, n: effectiveNumber(total(weights), squared) };
}
