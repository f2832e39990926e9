import { exact, nearestQuotient } from './decimals.ts';
import type { DrawdownLabel } from './drawdown.ts';
import { type Probabilities, SCENARIO_NAMES, type ScenarioName, WHOLE } from './probabilities.ts';
import type { ReturnBand, Scenarios } from './scenarios.ts';
import { type Scored, some } from './scoring.ts';

/** What return bands and probabilities imply together. All returns are over the horizon, as fractions. */
export type ExpectedOutcome = {
  /**
   * The probability-weighted bounds of the bands, Σ p · min and Σ p · max. Null if a scenario with a positive
   * probability is open at that end. A return may lie beyond the outer bounds, so the expected return may, too.
   */
  range: { min: Scored; max: Scored };
  /**
   * The probability that the horizon ends with a return below −minDepth of a drawdown label: at least that of
   * the bands entirely below it, at most that of all bands that reach below it. Returns and drawdowns start from the
   * same close, the last before the horizon, so such an end is a drawdown at least this deep; and the market may
   * fall as far and recover.
   */
  thresholds: { key: string; label: string; minDepth: number; atLeast: number; atMost: number }[];
};

type WeightedBand = { name: ScenarioName; band: ReturnBand; weight: number };

/**
 * What an outlook's bands imply. The open end of a band is not replaced by a number.
 * @returns null if the scenarios have no return bands
 */
export function expectedOutcome(
  probabilities: Probabilities,
  scenarios: Scenarios,
  labels: readonly DrawdownLabel[],
): ExpectedOutcome | null {
  const bands = SCENARIO_NAMES.flatMap((name): WeightedBand[] => {
    const { returnBand } = scenarios[name];
    return returnBand ? [{ name, band: returnBand, weight: probabilities[name] }] : [];
  });
  if (bands.length === 0) return null;
  return {
    range: { min: boundOf(bands, 'min'), max: boundOf(bands, 'max') },
    thresholds: labels.flatMap(({ key, label, minDepth }) =>
      minDepth === null ? [] : [{ key, label, minDepth, ...chancesOf(bands, minDepth) }],
    ),
  };
}

/**
 * The probability-weighted central return, Σ p · centralReturn. A band does not say where in it a return is to be
 * expected, so nothing stands in for a central return that a scenario lacks.
 */
export function expectedCentralReturn(probabilities: Probabilities, scenarios: Scenarios): Scored {
  const without = SCENARIO_NAMES.filter((name) => scenarios[name].centralReturn === null);
  if (without.length > 0) {
    const names = without.length < SCENARIO_NAMES.length ? `${listOf(without)} ` : '';
    const which = without.length === 1 ? 'scenario has' : 'scenarios have';
    return { value: null, reason: `the ${names}${which} no central return` };
  }
  return some(
    weightedMean(
      SCENARIO_NAMES.map((name) => ({
        value: scenarios[name].centralReturn ?? 0,
        weight: probabilities[name],
      })),
    ),
  );
}

function chancesOf(
  bands: readonly WeightedBand[],
  minDepth: number,
): { atLeast: number; atMost: number } {
  const chance = (holds: (of: WeightedBand) => boolean): number =>
    bands.reduce((sum, of) => sum + (holds(of) ? of.weight : 0), 0) / WHOLE;
  return {
    // Stated outer bounds don't count: a return beyond them is bear or bull all the same.
    atLeast: chance(
      ({ name, band: { max } }) => name !== 'bull' && max !== null && max <= -minDepth,
    ),
    atMost: chance(({ name, band: { min } }) => name === 'bear' || min === null || min < -minDepth),
  };
}

function boundOf(bands: readonly WeightedBand[], end: keyof ReturnBand): Scored {
  const open = bands.filter(({ band, weight }) => weight > 0 && band[end] === null);
  if (open.length > 0) {
    const reason = `the ${listOf(open.map(({ name }) => name))} band is open ${end === 'min' ? 'below' : 'above'}`;
    return { value: null, reason };
  }
  return some(weightedMean(bands.map(({ band, weight }) => ({ value: band[end] ?? 0, weight }))));
}

const listOf = (names: readonly ScenarioName[]): string => names.join(' and ');

/** Σ value · weight, where weights are basis points: the double nearest to the exact sum. */
function weightedMean(parts: readonly { value: number; weight: number }[]): number {
  const sum = parts.reduce(
    (total, { value, weight }) => total.plus(exact(value).times(weight)),
    exact(0),
  );
  return nearestQuotient(sum, exact(WHOLE)) + 0; // + 0 turns -0 into 0
}
