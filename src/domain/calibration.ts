import { figure } from './scoring.ts';

/** The number of buckets for probabilities: [0, 0.1), [0.1, 0.2), … [0.9, 1]. */
export const BUCKETS = 10;

/** How often events forecast with the probabilities of a bucket occurred. */
export type CalibrationBucket = {
  /** The bucket [from, to); the last one holds 1. */
  from: number;
  to: number;
  /** The number of outlooks with a probability in the bucket for a part of their horizon. */
  n: number;
  /** The sum of those parts, where a whole horizon is 1. */
  weight: number;
  /** The number of independent outlooks that the interval counts on: see {@link effectiveNumber}. */
  nEffective: number;
  /** Weighted means of the probabilities and of the outcomes. */
  predictedMean: number;
  realisedRate: number;
  /** The approximate 95 % confidence interval of the rate: Wilson 1927, at `nEffective`. */
  interval: { low: number; high: number };
};

/**
 * Murphy's decomposition (1973) of the weighted mean of (p − o)² over a partition into buckets: score =
 * reliability − resolution + uncertainty + withinBuckets. `withinBuckets` is what differences between the forecasts of a
 * bucket add: their variance less twice their covariance with the outcomes (Stephenson, Coelho and Jolliffe 2008). It is
 * 0 if all forecasts of each bucket are equal, and negative where differences within buckets follow the outcomes.
 */
export type Decomposition = {
  reliability: number;
  resolution: number;
  uncertainty: number;
  withinBuckets: number;
};

/** The sums of a bucket, each part of a horizon with its share: Σ w, Σ w p and Σ w o. */
export type BucketSums = { bucket: number; weight: number; predicted: number; realised: number };

/**
 * With what the interval needs: the number of outlooks, and the sum over clusters of their squared weights.
 * @see effectiveNumber
 */
export type CountedSums = BucketSums & { n: number; squared: number };

/**
 * How many independent outlooks a weighted sum is worth: Kish's (Σ W)² / Σ W² (1965) over clusters of outlooks that share
 * their fate, and at most the sum of weights, so that a forecast for a tenth of its horizon counts as a tenth.
 */
export const effectiveNumber = (weight: number, squared: number): number =>
  Math.min(weight, weight ** 2 / squared);

/** The buckets that are not empty, in the order of the sums. */
export function calibrationOf(sums: readonly CountedSums[]): CalibrationBucket[] {
  return sums.flatMap(({ bucket, n, weight, squared, predicted, realised }) => {
    if (n === 0) return [];
    const rate = Math.min(1, realised / weight);
    const nEffective = effectiveNumber(weight, squared);
    const { low, high } = wilson(rate, nEffective);
    return [
      {
        from: bucket / BUCKETS,
        to: (bucket + 1) / BUCKETS,
        n,
        weight: figure(weight),
        nEffective: figure(nEffective),
        predictedMean: figure(predicted / weight),
        realisedRate: figure(rate),
        interval: { low: figure(low), high: figure(high) },
      },
    ];
  });
}

/**
 * Decomposes a score that is a sum over scenarios, such as the Brier score over three.
 * @param scenarios the buckets of each scenario; none may be without weight
 * @param score the weighted mean of Σ (p − o)² over the scenarios
 */
export function decompositionOf(
  scenarios: readonly (readonly BucketSums[])[],
  score: number,
): Decomposition {
  const parts = scenarios.map(murphyParts);
  const sum = (of: keyof (typeof parts)[number]) =>
    parts.reduce((total, part) => total + part[of], 0);
  const [reliability, resolution, uncertainty] = [
    sum('reliability'),
    sum('resolution'),
    sum('uncertainty'),
  ];
  return {
    reliability: figure(reliability),
    resolution: figure(resolution),
    uncertainty: figure(uncertainty),
    withinBuckets: figure(score - (reliability - resolution + uncertainty)),
  };
}

function murphyParts(buckets: readonly BucketSums[]): Omit<Decomposition, 'withinBuckets'> {
  const used = buckets.filter(({ weight }) => weight > 0);
  const total = used.reduce((sum, { weight }) => sum + weight, 0);
  const mean = (of: (bucket: BucketSums) => number): number =>
    used.reduce((sum, bucket) => sum + of(bucket), 0) / total;
  const rate = mean(({ realised }) => realised);
  return {
    reliability: mean((of) => (of.predicted - of.realised) ** 2 / of.weight),
    resolution: mean((of) => (of.realised - rate * of.weight) ** 2 / of.weight),
    uncertainty: rate * (1 - rate),
  };
}

const Z = 1.959963984540054; // of the normal distribution, 95 % two-sided

function wilson(rate: number, n: number): { low: number; high: number } {
  const scale = 1 + Z ** 2 / n;
  const centre = (rate + Z ** 2 / (2 * n)) / scale;
  const half = (Z / scale) * Math.sqrt((rate * (1 - rate)) / n + Z ** 2 / (4 * n ** 2));
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}
