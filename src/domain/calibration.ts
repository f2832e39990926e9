import { SCENARIO_NAMES, type ScenarioName } from './probabilities.ts';

/** How many buckets probabilities are sorted into: [0, 0.1), [0.1, 0.2), … [0.9, 1]. */
export const BUCKETS = 10;

/** Whether what was given a probability around a bucket's came about as often. */
export type CalibrationBucket = {
  /** The bucket [from, to); the last one holds 1. */
  from: number;
  to: number;
  /** How many outlooks had a probability in the bucket for a part of their time. */
  n: number;
  /** What those parts sum to, each outlook's whole time being 1. */
  weight: number;
  /** Weighted means of the probabilities and of what came about. */
  predictedMean: number;
  realisedRate: number;
  /** Where the rate lies with 95 % confidence: Wilson 1927, at Kish's effective sample size. */
  interval: { low: number; high: number };
};

/**
 * Murphy's decomposition (1973) of the mean of (p − o)² over a partition into buckets. It is exact where all
 * forecasts of a bucket are equal; `withinBuckets` is what they differ by (Stephenson, Coelho and Jolliffe
 * 2008): score = reliability − resolution + uncertainty + withinBuckets.
 */
export type Decomposition = {
  reliability: number;
  resolution: number;
  uncertainty: number;
  withinBuckets: number;
};

/** What fell into a bucket: weights, weighted probabilities and outcomes, by outlooks. */
type Sums = {
  weight: number;
  predicted: number;
  realised: number;
  /** Of the weights that each outlook had in it, squared. */
  squared: number;
  n: number;
  /** Of the outlook that is being added. */
  ofOutlook: number;
};
const noSums = (): Sums => ({
  weight: 0,
  predicted: 0,
  realised: 0,
  squared: 0,
  n: 0,
  ofOutlook: 0,
});

// 0.3 · 10 is 3.0000000000000004 or less: what stands on an edge belongs above it.
const bucketOf = (p: number): number => Math.min(BUCKETS - 1, Math.floor(p * BUCKETS + 1e-9));

/** Sums up probabilities of events and what came about, a few of each outlook. */
export class Calibration {
  readonly #buckets = Array.from({ length: BUCKETS }, noSums);
  #error = 0;

  /** @param happened 1 or 0 */
  add(weight: number, p: number, happened: number): void {
    const sums = this.#buckets[bucketOf(p)];
    if (!sums) throw new RangeError(`${p} is no probability`);
    sums.predicted += weight * p;
    sums.realised += weight * happened;
    sums.ofOutlook += weight;
    this.#error += weight * (p - happened) ** 2;
  }

  /** All of an outlook was added. Its parts share one outcome, so they count as one observation. */
  endOutlook(): void {
    for (const sums of this.#buckets) {
      if (sums.ofOutlook === 0) continue;
      sums.weight += sums.ofOutlook;
      sums.squared += sums.ofOutlook ** 2;
      sums.n += 1;
      sums.ofOutlook = 0;
    }
  }

  /** Those that anything fell into, ascending. */
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

  /** Null where nothing was added. */
  decomposition(): Decomposition | null {
    const used = this.#buckets.filter(({ n }) => n > 0);
    const total = used.reduce((sum, { weight }) => sum + weight, 0);
    if (total === 0) return null;
    const mean = (of: (sums: Sums) => number): number =>
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

export type ByScenario<Value> = Record<ScenarioName, Value>;

export function byScenario<Value>(of: (name: ScenarioName) => Value): ByScenario<Value> {
  const [bear, base, bull] = SCENARIO_NAMES.map(of) as [Value, Value, Value];
  return { bear, base, bull };
}
