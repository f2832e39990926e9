import type { DrawdownLabel } from './drawdown.ts';
import { type Probabilities, SCENARIO_NAMES, type ScenarioName, WHOLE } from './probabilities.ts';
import type { ReturnBand, Scenarios } from './scenarios.ts';
import { type Scored, some } from './scoring.ts';

/** What return bands and probabilities imply together. All returns are over the horizon, as fractions. */
export type ExpectedOutcome = {
  /**
   * The bounds of the probability-weighted return: Σ p · min and Σ p · max of the bands. Null if a scenario
   * with a positive probability is open at that end.
   */
  range: { min: Scored; max: Scored };
  /**
   * The probability that the horizon ends with a return below −minDepth of a drawdown label: at least that of
   * the bands entirely below it, at most that of all bands that reach below it. A drawdown this deep is at least
   * as likely as `atLeast`, because the market may fall that far and recover.
   */
  thresholds: { key: string; label: string; minDepth: number; atLeast: number; atMost: number }[];
};

/**
 * What an outlook's bands imply. The open end of a band is not replaced by a number.
 * @returns null if the scenarios have no return bands
 */
export function expectedOutcome(
  probabilities: Probabilities,
  scenarios: Scenarios,
  labels: readonly DrawdownLabel[],
): ExpectedOutcome | null {
  const bands = SCENARIO_NAMES.flatMap((name) => {
    const { returnBand } = scenarios[name];
    return returnBand ? [{ name, band: returnBand, weight: probabilities[name] }] : [];
  });
  if (bands.length === 0) return null;
  const chance = (holds: (band: ReturnBand) => boolean): number =>
    bands.reduce((sum, { band, weight }) => sum + (holds(band) ? weight : 0), 0) / WHOLE;
  return {
    range: { min: boundOf(bands, 'min'), max: boundOf(bands, 'max') },
    thresholds: labels.flatMap(({ key, label, minDepth }) => {
      if (minDepth === null) return [];
      return [
        {
          key,
          label,
          minDepth,
          atLeast: chance(({ max }) => max !== null && max <= -minDepth),
          atMost: chance(({ min }) => min === null || min < -minDepth),
        },
      ];
    }),
  };
}

function boundOf(
  bands: readonly { name: ScenarioName; band: ReturnBand; weight: number }[],
  end: keyof ReturnBand,
): Scored {
  const open = bands.filter(({ band, weight }) => weight > 0 && band[end] === null);
  if (open.length > 0) {
    const names = open.map(({ name }) => name).join(' and ');
    const reason = `the ${names} band is open ${end === 'min' ? 'below' : 'above'}`;
    return { value: null, reason };
  }
  const sum = bands.reduce((total, { band, weight }) => total + weight * (band[end] ?? 0), 0);
  return some(sum / WHOLE);
}
