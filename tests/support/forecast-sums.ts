import {
  byScenario,
  type Fractions,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../../src/domain/probabilities.ts';
import type { SummedForecast } from '../../src/domain/track-record.ts';

/** A forecast for a part of a horizon, with times as fractions of it, and the outcome. */
export type ForecastStep = {
  start: number;
  end: number;
  forecast: Fractions;
  outcome: ScenarioName;
};

/** What steps sum up to, by the definitions. */
export function sumsOf(steps: readonly ForecastStep[]): SummedForecast {
  const sum = (of: (step: ForecastStep) => number) =>
    steps.reduce((total, step) => total + (step.end - step.start) * of(step), 0);
  return {
    share: sum(() => 1),
    weighted: byScenario((name) => sum(({ forecast }) => forecast[name])),
    squared: byScenario((name) => sum(({ forecast }) => forecast[name] ** 2)),
    surprise: byScenario((name) => sum(({ forecast }) => -Math.log(forecast[name]))),
    buckets: steps.flatMap(({ start, end, forecast }) =>
      SCENARIO_NAMES.map((scenario) => ({
        scenario,
        bucket: Math.min(9, Math.floor(forecast[scenario] * 10 + 1e-9)),
        weight: end - start,
        predicted: (end - start) * forecast[scenario],
      })),
    ),
    leads: Array.from({ length: 11 }, (_, tenth) => {
      const at = tenth / 10;
      const standing = steps.find(
        ({ start, end }) => start <= at && (at < end || (tenth === 10 && end === 1)),
      );
      return standing?.forecast ?? null;
    }),
  };
}
