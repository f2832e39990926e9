import { Calibration, type CalibrationBucket, type Decomposition, summed } from './calibration.ts';
import {
  byScenario,
  type ByScenario,
  type Fractions,
  SCENARIO_NAMES,
  type ScenarioName,
} from './probabilities.ts';
import {
  byScore,
  finite,
  SCORE_NAMES,
  type Scored,
  type Scores,
  scoresOf,
  type ScoreName,
  skillOf,
  some,
} from './scoring.ts';
import { errorOf, type ForecastSums, scoresOfSums, TimeWeightedScores } from './time-weighting.ts';

export const FORECAST_SOURCES = ['version', 'view'] as const;
/** Whether a forecast is a published version or an analyst's view. */
export type ForecastSource = (typeof FORECAST_SOURCES)[number];

/** The sums of one forecaster's forecasts for an outlook over its horizon. */
export type SummedForecast = ForecastSums & {
  /** Per scenario and tenth: the share of time in which the probability was there, and Σ w p of it. */
  buckets: readonly { scenario: ScenarioName; bucket: number; weight: number; predicted: number }[];
  /** The forecast that was current at each tenth of the horizon, from start to end; null if there was none. */
  leads: readonly (Fractions | null)[];
};

/** A mean over outlooks, its standard error and its skill. */
export type MeanScore = { mean: Scored; standardError: Scored; skill: Scored; skillError: Scored };

/** The accuracy of forecasts that were current when a given part of the horizon was left. */
export type LeadTime = {
  /** The part that was left: 1 at its start, 0 at its end. */
  lead: number;
  n: number;
  brier: { mean: number; standardError: Scored; skill: Scored };
  /** Of the Brier score, over all three scenarios. */
  decomposition: Decomposition;
};

export type TrackRecord = {
  /** The number of scored outlooks. */
  n: number;
  /** The mean share of the horizon during which a forecast was current; null if n is 0. */
  coverage: number | null;
  scores: Record<ScoreName, MeanScore> | null;
  calibration: ByScenario<CalibrationBucket[]> & { overall: CalibrationBucket[] };
  decomposition: (ByScenario<Decomposition> & { overall: Decomposition }) | null;
  leadTimes: LeadTime[];
};

/** The number of equal parts of the horizon for lead times. */
const LEADS = 10;

/**
 * Sums up scored forecasts into a track record. Each outlook counts once: with its mean score over the time
 * during which the forecaster had a forecast, however short.
 * @param reference what skill is measured against, fractions that sum to 1
 */
export class TrackRecorder {
  /** The scores of the reference for each outcome. */
  readonly #referred: ByScenario<Scores>;
  readonly #scores = byScore(() => new Paired());
  readonly #scenarios = byScenario(() => new Calibration());
  readonly #overall = new Calibration();
  readonly #leads = Array.from({ length: LEADS + 1 }, () => ({
    brier: new Paired(),
    scenarios: byScenario(() => new Calibration()),
  }));
  #coverage = 0;
  #n = 0;
  // For the outlook being added.
  #standing = new TimeWeightedScores();
  #reference = new TimeWeightedScores();

  constructor(reference: Fractions) {
    this.#referred = byScenario((outcome) => scoresOf(reference, outcome));
  }

  /** Adds one forecaster's forecasts for one outlook. Call {@link endOutlook} after its last forecasts. */
  add(forecast: SummedForecast, outcome: ScenarioName): void {
    const { share, weighted, squared, buckets, leads } = forecast;
    this.#standing.addSum(share, scoresOfSums(forecast, outcome));
    this.#reference.add(share, this.#referred[outcome]);
    for (const { scenario, bucket, weight, predicted } of buckets) {
      this.#scenarios[scenario].add(bucket, weight, predicted, outcome === scenario ? 1 : 0);
    }
    for (const name of SCENARIO_NAMES) {
      const error = errorOf(squared[name], weighted[name], share, outcome === name);
      this.#scenarios[name].addError(error);
    }
    for (const [at, standing] of leads.entries()) {
      if (standing) this.#addLead(at, standing, outcome);
    }
  }

  #addLead(at: number, standing: Fractions, outcome: ScenarioName): void {
    const lead = this.#leads[at];
    if (!lead) throw new RangeError(`there is no lead time ${at}`);
    lead.brier.add(scoresOf(standing, outcome).brier, this.#referred[outcome].brier);
    for (const name of SCENARIO_NAMES) {
      lead.scenarios[name].addEvent(standing[name], outcome === name ? 1 : 0);
    }
  }

  endOutlook(): void {
    const { coverage } = this.#standing;
    for (const name of SCORE_NAMES) {
      this.#scores[name].add(this.#standing.mean(name), this.#reference.mean(name));
    }
    for (const name of SCENARIO_NAMES) {
      this.#overall.include(this.#scenarios[name]);
      this.#scenarios[name].endOutlook(coverage);
    }
    this.#overall.endOutlook(coverage);
    this.#coverage += coverage;
    this.#n += 1;
    this.#standing = new TimeWeightedScores();
    this.#reference = new TimeWeightedScores();
  }

  result(): TrackRecord {
    const parts = byScenario((name) => this.#scenarios[name].decomposition());
    const { bear, base, bull } = parts;
    const overall = summed([bear, base, bull]);
    return {
      n: this.#n,
      coverage: this.#n === 0 ? null : this.#coverage / this.#n,
      scores: this.#n === 0 ? null : byScore((name) => this.#scores[name].result()),
      calibration: {
        ...byScenario((name) => this.#scenarios[name].buckets()),
        overall: this.#overall.buckets(),
      },
      decomposition: bear && base && bull && overall && { bear, base, bull, overall },
      leadTimes: this.#leads.flatMap(({ brier, scenarios }, at) => {
        const decomposition = summed(SCENARIO_NAMES.map((name) => scenarios[name].decomposition()));
        if (!decomposition) return [];
        const { mean, standardError, skill } = brier.result();
        const lead = (LEADS - at) / LEADS;
        return [
          {
            lead,
            n: brier.n,
            brier: { mean: mean.value ?? NaN, standardError, skill },
            decomposition,
          },
        ];
      }),
    };
  }
}

/** Sums up scores together with those of a reference. */
class Paired {
  n = 0;
  #infinite = 0;
  #hasInfiniteReference = false;
  // Sums are relative to the first value, so that nearly equal values lose no precision.
  #origin: { score: number; reference: number } | null = null;
  readonly #sums = { x: 0, r: 0, xx: 0, rr: 0, xr: 0 };

  add(score: number, reference: number): void {
    this.n += 1;
    if (!Number.isFinite(reference)) this.#hasInfiniteReference = true;
    if (!Number.isFinite(score)) {
      this.#infinite += 1;
      return;
    }
    this.#origin ??= { score, reference };
    const x = score - this.#origin.score;
    const r = reference - this.#origin.reference;
    this.#sums.x += x;
    this.#sums.r += r;
    this.#sums.xx += x * x;
    this.#sums.rr += r * r;
    this.#sums.xr += x * r;
  }

  result(): MeanScore {
    const { n } = this;
    if (this.#infinite > 0 || this.#origin === null) {
      const reason = `${this.#infinite} of ${n} outlooks gave the outcome probability 0, so the mean is infinite`;
      const missing: Scored = { value: null, reason };
      return { mean: missing, standardError: missing, skill: missing, skillError: missing };
    }
    const { x, r, xx, rr, xr } = this.#sums;
    const mean = this.#origin.score + x / n;
    const reference = this.#hasInfiniteReference ? Infinity : this.#origin.reference + r / n;
    const skill = skillOf(mean, reference);
    if (n < 2) {
      const few: Scored = { value: null, reason: 'one outlook is too few for a standard error' };
      return { mean: finite(mean), standardError: few, skill, skillError: few };
    }
    const standardError = some(Math.sqrt(Math.max(0, xx - (x * x) / n) / (n - 1) / n));
    if (skill.value === null) {
      return { mean: finite(mean), standardError, skill, skillError: skill };
    }
    // The delta method: a quotient of means varies as x − q r does, over the mean of r.
    const q = mean / reference;
    const spread = xx - 2 * q * xr + q * q * rr - (x - q * r) ** 2 / n;
    const skillError = some(Math.sqrt(Math.max(0, spread) / (n - 1) / n) / reference);
    return { mean: finite(mean), standardError, skill, skillError };
  }
}
