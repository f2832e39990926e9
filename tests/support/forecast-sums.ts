import type { CountedSums } from '../../src/domain/calibration.ts';
import {
  byScenario,
  type Fractions,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../../src/domain/probabilities.ts';
import { byScore, scoresOf, type ScoreName } from '../../src/domain/scoring.ts';
import type { ClusterSum, RecordSums } from '../../src/domain/track-record.ts';

/** A forecast for a part of a horizon, with times as fractions of it, and the outcome. */
export type ForecastStep = {
  start: number;
  end: number;
  forecast: Fractions;
  outcome: ScenarioName;
};

/** A scored outlook; its horizon [from, to) is in days. */
export type ScoredOutlook = {
  instrument: string;
  from: number;
  to: number;
  steps: readonly ForecastStep[];
  /** What skill compares with; null if there is nothing. */
  reference: Fractions | null;
  attainable: number;
  byCloses: boolean;
};

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const lengthOf = ({ start, end }: ForecastStep): number => end - start;
export const coverageOf = ({ steps }: ScoredOutlook): number => sum(steps.map(lengthOf));

/** Whether a step is current at a tenth of the horizon, from 0 at its start to 10 at its end. */
export const isCurrent = ({ start, end }: ForecastStep, tenth: number): boolean => {
  const at = tenth / 10;
  return start <= at + 1e-12 && (at + 1e-12 < end || (tenth === 10 && end > 1 - 1e-12));
};

/** The outlooks of each chain of overlapping horizons on one instrument: whatever overlaps is joined until nothing does. */
export function clustersOf<Outlook extends Pick<ScoredOutlook, 'instrument' | 'from' | 'to'>>(
  outlooks: readonly Outlook[],
): Outlook[][] {
  let clusters: Outlook[][] = [];
  for (const outlook of outlooks) {
    const overlaps = (cluster: Outlook[]) =>
      cluster.some(
        ({ instrument, from, to }) =>
          instrument === outlook.instrument && from < outlook.to && outlook.from < to,
      );
    const joined = [outlook, ...clusters.filter(overlaps).flat()];
    clusters = [...clusters.filter((cluster) => !overlaps(cluster)), joined];
  }
  return clusters;
}

/** Σ w S over steps, and that of a reference. */
export function scoreSums(outlooks: readonly ScoredOutlook[], name: ScoreName): ClusterSum {
  const total = (
    of: readonly ScoredOutlook[],
    score: (step: ForecastStep, outlook: ScoredOutlook) => number,
  ) =>
    sum(
      of.flatMap((outlook) => outlook.steps.map((step) => lengthOf(step) * score(step, outlook))),
    );
  const compared = outlooks.filter(({ reference }) => reference !== null);
  const own = (step: ForecastStep) => scoresOf(step.forecast, step.outcome)[name];
  return {
    weight: total(outlooks, () => 1),
    score: total(outlooks, own),
    comparedWeight: total(compared, () => 1),
    comparedScore: total(compared, own),
    reference: total(compared, ({ outcome }, { reference }) =>
      reference ? scoresOf(reference, outcome)[name] : 0,
    ),
  };
}

const bucketOf = (p: number): number => Math.min(9, Math.floor(p * 10 + 1e-9));

function bucketSums(
  clusters: readonly (readonly ScoredOutlook[])[],
  names: readonly ScenarioName[],
): CountedSums[] {
  return Array.from({ length: 10 }, (_, bucket) => {
    const partsOf = (outlooks: readonly ScoredOutlook[]) =>
      outlooks.flatMap(({ steps }) =>
        steps.flatMap((step) =>
          names
            .filter((name) => bucketOf(step.forecast[name]) === bucket)
            .map((name) => ({
              w: lengthOf(step),
              p: step.forecast[name],
              o: step.outcome === name ? 1 : 0,
            })),
        ),
      );
    const parts = partsOf(clusters.flat());
    return {
      bucket,
      n: clusters.flat().filter((outlook) => partsOf([outlook]).length > 0).length,
      weight: sum(parts.map(({ w }) => w)),
      squared: sum(clusters.map((cluster) => sum(partsOf(cluster).map(({ w }) => w)) ** 2)),
      predicted: sum(parts.map(({ w, p }) => w * p)),
      realised: sum(parts.map(({ w, o }) => w * o)),
    };
  }).filter(({ n }) => n > 0);
}

/** What outlooks sum up to, by the definitions. */
export function sumsOf(outlooks: readonly ScoredOutlook[]): RecordSums {
  const clusters = clustersOf(outlooks);
  const tenths = Array.from({ length: 11 }, (_, tenth) => tenth);
  const standing = clusters.flatMap((members, cluster) =>
    members.flatMap((outlook) =>
      tenths.flatMap((tenth) =>
        outlook.steps
          .filter((step) => isCurrent(step, tenth))
          .map((step) => ({ cluster, tenth, step, outlook, weight: coverageOf(outlook) })),
      ),
    ),
  );
  return {
    n: outlooks.length,
    byCloses: outlooks.filter(({ byCloses }) => byCloses).length,
    attainable: sum(outlooks.map(({ attainable }) => attainable)),
    compared: outlooks.filter(({ reference }) => reference !== null).length,
    infinite: outlooks.filter(({ steps }) =>
      steps.some(({ forecast, outcome }) => forecast[outcome] === 0),
    ).length,
    clusters: clusters.map((members) => byScore((name) => scoreSums(members, name))),
    errors: byScenario((name) =>
      sum(
        outlooks.flatMap(({ steps }) =>
          steps.map(
            (step) => lengthOf(step) * (step.forecast[name] - (step.outcome === name ? 1 : 0)) ** 2,
          ),
        ),
      ),
    ),
    buckets: {
      ...byScenario((name) => bucketSums(clusters, [name])),
      overall: bucketSums(clusters, SCENARIO_NAMES),
    },
    leads: standing.map(({ cluster, tenth, step, outlook, weight }) => {
      const { brier } = scoresOf(step.forecast, step.outcome);
      const { reference } = outlook;
      return {
        first: tenth,
        last: tenth,
        cluster,
        n: 1,
        weight,
        score: weight * brier,
        comparedWeight: reference ? weight : 0,
        comparedScore: reference ? weight * brier : 0,
        reference: reference ? weight * scoresOf(reference, step.outcome).brier : 0,
      };
    }),
    leadBuckets: standing.flatMap(({ tenth, step, weight }) =>
      SCENARIO_NAMES.map((scenario) => ({
        first: tenth,
        last: tenth,
        scenario,
        bucket: bucketOf(step.forecast[scenario]),
        weight,
        predicted: weight * step.forecast[scenario],
        realised: step.outcome === scenario ? weight : 0,
      })),
    ),
  };
}
