/** The number of buckets for probabilities: [0, 0.1), [0.1, 0.2), … [0.9, 1]. */
export const BUCKETS = 10;

/** How often events forecast with the probabilities of a bucket occurred. */
export type CalibrationBucket = {
  /** The bucket [from, to); the last one holds 1. */
  from: number;
  to: number;
  /** The number of outlooks with a probability in the bucket for a part of their time. */
  n: number;
  /** The sum of those parts, where the whole time of an outlook is 1. */
  weight: number;
  /** Weighted means of the probabilities and of the outcomes. */
  predictedMean: number;
  realisedRate: number;
  /** The 95 % confidence interval of the rate: Wilson 1927, at Kish's effective sample size. */
  interval: { low: number; high: number };
};

/**
 * Murphy's decomposition (1973) of the mean of (p − o)² over a partition into buckets. It is exact if all
 * forecasts of a bucket are equal; `withinBuckets` is their variation (Stephenson, Coelho and Jolliffe
 * 2008): score = reliability − resolution + uncertainty + withinBuckets.
 */
export type Decomposition = {
  reliability: number;
  resolution: number;
  uncertainty: number;
  withinBuckets: number;
};

/** The sums of a bucket: weights, weighted probabilities and outcomes. */
type Sums = { weight: number; predicted: number; realised: number };
/** Over all outlooks, and over the one being added. */
type Bucket = Sums & {
  /** The sum of the squared weights of outlooks. */
  squared: number;
  n: number;
  added: Sums;
};
const noSums = (): Sums => ({ weight: 0, predicted: 0, realised: 0 });
const empty = (): Bucket => ({ ...noSums(), squared: 0, n: 0, added: noSums() });

// 0.3 · 10 is 3.0000000000000004 or less; a value on an edge belongs to the bucket above it.
const bucketOf = (p: number): number => Math.min(BUCKETS - 1, Math.floor(p * BUCKETS + 1e-9));

/** Sums up probabilities of events and their outcomes, a few per outlook. */
export class Calibration {
  readonly #buckets = Array.from({ length: BUCKETS }, empty);
  #error = 0;
  #addedError = 0;

  /**
   * Adds to a bucket: a weight, and the weighted sum of its probabilities.
   * @param happened 1 or 0
   */
  add(bucket: number, weight: number, predicted: number, happened: number): void {
    const added = this.#buckets[bucket]?.added;
    if (!added) throw new RangeError(`there is no bucket ${bucket}`);
    added.weight += weight;
    added.predicted += predicted;
    added.realised += weight * happened;
  }

  /** Adds the weighted sum of (p − o)² of everything added. */
  addError(error: number): void {
    this.#addedError += error;
  }

  /** Adds an outlook with a single event. */
  addEvent(p: number, happened: number): void {
    const bucket = this.#buckets[bucketOf(p)];
    if (!bucket) throw new RangeError(`${p} is not a probability`);
    bucket.weight += 1;
    bucket.predicted += p;
    bucket.realised += happened;
    bucket.squared += 1;
    bucket.n += 1;
    this.#error += (p - happened) * (p - happened);
  }

  /** Adds the sums that another instance has for the outlook being added. */
  include(other: Calibration): void {
    for (const [index, { added }] of this.#buckets.entries()) {
      const included = other.#buckets[index]?.added ?? noSums();
      added.weight += included.weight;
      added.predicted += included.predicted;
      added.realised += included.realised;
    }
    this.#addedError += other.#addedError;
  }

  /**
   * Ends an outlook. It counts as one, because its parts share one outcome.
   * @param whole the weight that counts as 1
   */
  endOutlook(whole: number): void {
    for (const bucket of this.#buckets) {
      const { added } = bucket;
      if (added.weight === 0) continue;
      const weight = added.weight / whole;
      bucket.weight += weight;
      bucket.predicted += added.predicted / whole;
      bucket.realised += added.realised / whole;
      bucket.squared += weight * weight;
      bucket.n += 1;
      added.weight = added.predicted = added.realised = 0;
    }
    this.#error += this.#addedError / whole;
    this.#addedError = 0;
  }

  /** The buckets that are not empty, ascending. */
  buckets(): CalibrationBucket[] {
    return this.#buckets.flatMap(({ weight, predicted, realised, squared, n }, bucket) => {
      if (n === 0) return [];
      const realisedRate = Math.min(1, realised / weight);
      return [
        {
          from: bucket / BUCKETS,
          to: (bucket + 1) / BUCKETS,
          n,
          weight,
          predictedMean: predicted / weight,
          realisedRate,
          interval: wilson(realisedRate, weight ** 2 / squared),
        },
      ];
    });
  }

  /** Null if nothing was added. */
  decomposition(): Decomposition | null {
    const used = this.#buckets.filter(({ n }) => n > 0);
    const total = used.reduce((sum, { weight }) => sum + weight, 0);
    if (total === 0) return null;
    const mean = (of: (bucket: Bucket) => number): number =>
      used.reduce((sum, bucket) => sum + of(bucket), 0) / total;
    const rate = mean(({ realised }) => realised);
    const reliability = mean((of) => (of.predicted - of.realised) ** 2 / of.weight);
    const resolution = mean((of) => (of.realised - rate * of.weight) ** 2 / of.weight);
    const uncertainty = rate * (1 - rate);
    const withinBuckets = this.#error / total - (reliability - resolution + uncertainty);
    return { reliability, resolution, uncertainty, withinBuckets };
  }
}

/** The decomposition of the multi-category Brier score: the sum of those of its scenarios. */
export function summed(parts: readonly (Decomposition | null)[]): Decomposition | null {
  const all = parts.filter((part) => part !== null);
  if (all.length === 0) return null;
  const sum = (of: keyof Decomposition) => all.reduce((total, part) => total + part[of], 0);
  return {
    reliability: sum('reliability'),
    resolution: sum('resolution'),
    uncertainty: sum('uncertainty'),
    withinBuckets: sum('withinBuckets'),
  };
}

const Z = 1.959963984540054; // of the normal distribution, 95 % two-sided

function wilson(rate: number, n: number): { low: number; high: number } {
  const scale = 1 + Z ** 2 / n;
  const centre = (rate + Z ** 2 / (2 * n)) / scale;
  const half = (Z / scale) * Math.sqrt((rate * (1 - rate)) / n + Z ** 2 / (4 * n ** 2));
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}
