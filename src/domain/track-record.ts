import {
  byScenario,
  type ByScenario,
  Calibration,
  type CalibrationBucket,
  type Decomposition,
  summed,
} from './calibration.ts';
import { type Fractions, SCENARIO_NAMES, type ScenarioName } from './probabilities.ts';
import {
  byScore,
  finite,
  type Scored,
  scoresOf,
  type ScoreName,
  skillOf,
  some,
} from './scoring.ts';
import { standingScores } from './standing.ts';

/**
 * What a forecaster said of an outlook for a part of its horizon, whose moments are fractions of it, and what
 * came about.
 */
export type ForecastStep = {
  start: number;
  end: number;
  forecast: Fractions;
  outcome: ScenarioName;
};

/** A mean over outlooks, its standard error, and the skill it shows. */
export type MeanScore = { mean: Scored; standardError: Scored; skill: Scored; skillError: Scored };

/** How forecasts did that stood when a part of the horizon was left. */
export type LeadTime = {
  /** The part that was left: 1 at its start, 0 at its end. */
  lead: number;
  n: number;
  brier: { mean: number; standardError: Scored; skill: Scored };
  /** Of the Brier score, over all three scenarios. */
  decomposition: Decomposition;
};

export type TrackRecord = {
  /** How many outlooks are scored. */
  n: number;
  /** The mean part of the horizons that forecasts stood; null where n is 0. */
  coverage: number | null;
  scores: Record<ScoreName, MeanScore> | null;
  calibration: ByScenario<CalibrationBucket[]> & { overall: CalibrationBucket[] };
  decomposition: (ByScenario<Decomposition> & { overall: Decomposition }) | null;
  leadTimes: LeadTime[];
};

const LEADS = Array.from({ length: 11 }, (_, index) => index / 10);

/**
 * Sums up scored forecasts into a track record. Each outlook counts once: by its scores' mean over the time
 * that the forecaster's forecasts stood, whatever part of the horizon that was.
 * @param reference what skill is measured against, fractions that sum to 1
 */
export class TrackRecorder {
  readonly #reference: Fractions;
  readonly #scores = byScore(() => new Paired());
  readonly #scenarios = byScenario(() => new Calibration());
  readonly #overall = new Calibration();
  readonly #leads = LEADS.map((at) => ({
    at,
    brier: new Paired(),
    scenarios: byScenario(() => new Calibration()),
  }));
  #coverage = 0;
  #n = 0;

  constructor(reference: Fractions) {
    this.#reference = reference;
  }

  /** @param steps of one outlook by one forecaster, in the order of their times, at least one */
  add(steps: readonly ForecastStep[]): void {
    const scored = steps.map(({ start, end, forecast, outcome }) => ({
      share: end - start,
      scores: scoresOf(forecast, outcome),
      reference: { share: end - start, scores: scoresOf(this.#reference, outcome) },
    }));
    const { coverage, mean } = standingScores(scored);
    const reference = standingScores(scored.map((one) => one.reference)).mean;
    for (const [name, paired] of Object.entries(this.#scores) as [ScoreName, Paired][]) {
      paired.add(mean[name], reference[name]);
    }
    for (const { start, end, forecast, outcome } of steps) {
      const weight = (end - start) / coverage;
      for (const name of SCENARIO_NAMES) {
        const happened = outcome === name ? 1 : 0;
        this.#scenarios[name].add(weight, forecast[name], happened);
        this.#overall.add(weight, forecast[name], happened);
      }
    }
    for (const name of SCENARIO_NAMES) this.#scenarios[name].endOutlook();
    this.#overall.endOutlook();
    this.#addLeads(steps);
    this.#coverage += coverage;
    this.#n += 1;
  }

  #addLeads(steps: readonly ForecastStep[]): void {
    for (const lead of this.#leads) {
      const step = steps.find((one) => standsAt(one, lead.at));
      if (!step) continue;
      const { forecast, outcome } = step;
      lead.brier.add(scoresOf(forecast, outcome).brier, scoresOf(this.#reference, outcome).brier);
      for (const name of SCENARIO_NAMES) {
        lead.scenarios[name].add(1, forecast[name], outcome === name ? 1 : 0);
        lead.scenarios[name].endOutlook();
      }
    }
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
      leadTimes: this.#leads.flatMap(({ at, brier, scenarios }) => {
        const decomposition = summed(SCENARIO_NAMES.map((name) => scenarios[name].decomposition()));
        if (!decomposition) return [];
        const { mean, standardError, skill } = brier.result();
        const lead = Number((1 - at).toFixed(1));
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

/** What stands up to the very end of the horizon stands at it. */
const standsAt = ({ start, end }: ForecastStep, at: number): boolean =>
  start <= at && (at < end || (at === 1 && end > 1 - 1e-12));

/** Sums up scores beside those of a reference. */
class Paired {
  n = 0;
  #infinite = 0;
  // Around the first value, so that nothing is lost where all are about the same.
  #origin = { score: 0, reference: 0 };
  #sums = { x: 0, r: 0, xx: 0, rr: 0, xr: 0 };

  add(score: number, reference: number): void {
    this.n += 1;
    if (!Number.isFinite(score) || !Number.isFinite(reference)) {
      this.#infinite += 1;
      return;
    }
    if (this.n === 1) this.#origin = { score, reference };
    const x = score - this.#origin.score;
    const r = reference - this.#origin.reference;
    const { xx, rr, xr, ...sums } = this.#sums;
    this.#sums = { x: sums.x + x, r: sums.r + r, xx: xx + x * x, rr: rr + r * r, xr: xr + x * r };
  }

  result(): MeanScore {
    const { n } = this;
    if (this.#infinite > 0) {
      const reason = `${this.#infinite} of ${n} outlooks gave their outcome probability 0, so the mean is infinite`;
      const missing: Scored = { value: null, reason };
      return { mean: missing, standardError: missing, skill: missing, skillError: missing };
    }
    const { x, r, xx, rr, xr } = this.#sums;
    const mean = this.#origin.score + x / n;
    const reference = this.#origin.reference + r / n;
    const skill = skillOf(mean, reference);
    if (n < 2) {
      const few: Scored = { value: null, reason: 'one outlook tells no standard error' };
      return { mean: finite(mean), standardError: few, skill, skillError: few };
    }
    const variance = (sum: number, a: number, b: number) =>
      Math.max(0, (sum - (a * b) / n) / (n - 1));
    const standardError = some(Math.sqrt(variance(xx, x, x) / n));
    if (skill.value === null)
      return { mean: finite(mean), standardError, skill, skillError: skill };
    // The delta method: a quotient of means varies as x − q r does, over the mean of r.
    const q = mean / reference;
    const spread = xx - 2 * q * xr + q * q * rr - (x - q * r) ** 2 / n;
    const skillError = some(Math.sqrt(Math.max(0, spread) / (n - 1) / n) / reference);
    return { mean: finite(mean), standardError, skill, skillError };
  }
}
