import {
  type Fractions,
  fractionsOf,
  inBasisPoints,
  type Probabilities,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../../src/domain/probabilities.ts';

/** Numbers in [0, 1) that are the same for each seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The hidden truth of an outlook, and what can be known at its start and halfway. */
export type Case = { outcome: ScenarioName; known: [start: Fractions, halfway: Fractions] };

const scaled = (weights: Fractions): Fractions => {
  const sum = weights.bear + weights.base + weights.bull;
  return { bear: weights.bear / sum, base: weights.base / sum, bull: weights.bull / sum };
};

/**
 * Cases in which the outcome is drawn from what is known at the start, and a signal halfway is right in six cases
 * of ten: what is known then is what Bayes makes of it. Who says what is known is calibrated at both times.
 */
export function simulateCases(count: number, random: () => number): Case[] {
  return Array.from({ length: count }, () => {
    const drawn = () => -Math.log(1 - random());
    const start = scaled({ bear: drawn(), base: drawn(), bull: drawn() });
    const outcome = drawnFrom(start, random());
    const others = SCENARIO_NAMES.filter((name) => name !== outcome);
    const isRight = random() < 0.6;
    const signal = isRight ? outcome : (others[random() < 0.5 ? 0 : 1] ?? outcome);
    const likelihood = (name: ScenarioName) => (name === signal ? 0.6 : 0.2);
    const halfway = scaled({
      bear: start.bear * likelihood('bear'),
      base: start.base * likelihood('base'),
      bull: start.bull * likelihood('bull'),
    });
    return { outcome, known: [start, halfway] };
  });
}

function drawnFrom({ bear, base }: Fractions, at: number): ScenarioName {
  if (at < bear) return 'bear';
  return at < bear + base ? 'base' : 'bull';
}

export const FORECASTERS = ['calibrated', 'overconfident', 'uniform'] as const;
export type Forecaster = (typeof FORECASTERS)[number];

/** The forecast that a synthetic analyst derives from what is known. */
export const SAYS: Record<Forecaster, (known: Fractions) => Probabilities> = {
  calibrated: (known) => inBasisPoints(known),
  overconfident: ({ bear, base, bull }) =>
    inBasisPoints(scaled({ bear: bear ** 2.5, base: base ** 2.5, bull: bull ** 2.5 })),
  uniform: () => inBasisPoints({ bear: 1 / 3, base: 1 / 3, bull: 1 / 3 }),
};

export const saidBy = (forecaster: Forecaster, known: Fractions): Fractions =>
  fractionsOf(SAYS[forecaster](known));
