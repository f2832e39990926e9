import { skillWeights } from '../../src/domain/consensus.ts';
import {
  type Fractions,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../../src/domain/probabilities.ts';
import { skillOfAnalyst } from '../../src/domain/track-record.ts';
import { clustersOf, type ForecastStep, type ScoredOutlook, scoreSums } from './forecast-sums.ts';
import { randomNumbers } from './simulation.ts';

const HISTORY = 30 * 252;
const DAYS = 60;
const DAILY = 0.01;
const INSTRUMENTS = 20;
const EACH = 10;
/** Half the width of the base band: history has about 45 % of the returns in it. */
const BAND = 0.6 * DAILY * Math.sqrt(DAYS);
/** So wide that no past return was outside. */
const WIDE = 12 * DAILY * Math.sqrt(DAYS);
/** What an analyst sees is right with this probability, else drawn at random. */
const INSIGHT = 0.25;

/** Closes as logarithms: a random walk, with 30 years before the first horizon. */
type Market = { symbol: string; closes: number[] };

function walk(symbol: string, random: () => number): Market {
  const closes = [0];
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  for (let day = 1; day < HISTORY + (EACH + 1) * DAYS; day += 1) {
    closes.push((closes[day - 1] ?? 0) + DAILY * normal());
  }
  return { symbol, closes };
}

const scenarioOf = (value: number, band: number): ScenarioName => {
  if (value < -band) return 'bear';
  return value < band ? 'base' : 'bull';
};
const returnOver = ({ closes }: Market, from: number, days: number): number =>
  (closes[from + days] ?? NaN) - (closes[from] ?? NaN);

/** The share of past spans in each band, as skill weights take it. */
function historyOf(market: Market, from: number, band: number): Fractions {
  const counts = { bear: 0, base: 0, bull: 0 };
  for (let start = 0; start + DAYS <= from; start += 1) {
    counts[scenarioOf(returnOver(market, start, DAYS), band)] += 1;
  }
  const spans = counts.bear + counts.base + counts.bull;
  return { bear: counts.bear / spans, base: counts.base / spans, bull: counts.bull / spans };
}

/** What Bayes makes of history and a signal that is right with the probability of INSIGHT, else random. */
function informed(history: Fractions, signal: ScenarioName, insight: number): Fractions {
  const likelihood = (name: ScenarioName) => (1 - insight) / 3 + (name === signal ? insight : 0);
  const weights = SCENARIO_NAMES.map((name) => history[name] * likelihood(name));
  const sum = weights.reduce((a, b) => a + b, 0);
  const [bear = 0, base = 0, bull = 0] = weights.map((weight) => weight / sum);
  return { bear, base, bull };
}

/** An outlook of the simulation: with the path that a trickster sees. */
type Drawn = {
  market: Market;
  from: number;
  outcome: ScenarioName;
  history: Fractions;
  forecast: Fractions;
};

function draw(market: Market, from: number, random: () => number, insight = INSIGHT): Drawn {
  const outcome = scenarioOf(returnOver(market, from, DAYS), BAND);
  const history = historyOf(market, from, BAND);
  const guess = SCENARIO_NAMES[Math.floor(3 * random())] ?? 'base';
  const forecast = informed(history, random() < insight ? outcome : guess, insight);
  return { market, from, outcome, history, forecast };
}

const scored = (
  { market, from, outcome, history }: Drawn,
  steps: readonly Omit<ForecastStep, 'outcome'>[],
): ScoredOutlook => ({
  instrument: market.symbol,
  from,
  to: from + DAYS,
  steps: steps.filter(({ start, end }) => end > start).map((step) => ({ ...step, outcome })),
  reference: history,
  attainable: 1,
  byCloses: true,
});
const whole = (drawn: Drawn): ScoredOutlook =>
  scored(drawn, [{ start: 0, end: 1, forecast: drawn.forecast }]);
const certain = (outcome: ScenarioName): Fractions => ({ bear: 0, base: 0, bull: 0, [outcome]: 1 });

/** A second, as a share of a horizon. */
const SECOND = 1 / (DAYS * 86_400);

type Play = (honest: readonly Drawn[], random: () => number) => ScoredOutlook[];
/** What the ledger scores for skill weights: the honest outlooks, and what a trick adds or changes. */
const PLAYS = {
  // By a colleague, or it would not count at all; 126 ms of a year each.
  'self-resolved': (honest) => [
    ...honest.map(whole),
    ...Array.from({ length: 50 }, (_, index) => ({
      ...whole(firstOf(honest)),
      instrument: `self-${index}`,
      steps: [
        {
          start: 0,
          end: 4e-9,
          forecast: { bear: 0.98, base: 0.01, bull: 0.01 },
          outcome: 'bear' as const,
        },
      ],
    })),
  ],
  'last second': (honest) => [
    ...honest.map(whole),
    ...honest.map((drawn, index) => ({
      ...scored(drawn, [{ start: 1 - SECOND, end: 1, forecast: certain(drawn.outcome) }]),
      instrument: `other-${index}`,
    })),
  ],
  // Nothing after the outcome was known is scored: of the view, no time is left.
  'after the fact': (honest) =>
    [
      ...honest.map(whole),
      ...honest.map((drawn) =>
        scored(drawn, [{ start: 1, end: 1, forecast: certain(drawn.outcome) }]),
      ),
    ].filter(({ steps }) => steps.length > 0),
  // The newest counts: the view, which dares more, from the middle of the horizon.
  'version and view': (honest) =>
    honest.map((drawn) =>
      scored(drawn, [
        { start: 0, end: 0.5, forecast: drawn.forecast },
        { start: 0.5, end: 1, forecast: bolder(drawn.forecast) },
      ]),
    ),
  'flood of tiny outlooks': (honest) => [
    ...honest.map(whole),
    ...Array.from({ length: 300 }, () => whole(firstOf(honest))),
  ],
  // Although withdrawn, they count to the end.
  'losers withdrawn': (honest) => honest.map(whole),
  'certain outlooks by wide bands': (honest, random) => [
    ...honest.map(whole),
    ...honest.map((drawn) => ({
      ...whole({
        ...drawn,
        outcome: scenarioOf(returnOver(drawn.market, drawn.from, DAYS), WIDE),
        history: historyOf(drawn.market, drawn.from, WIDE),
        forecast: certain('base'),
      }),
      instrument: `wide-${drawn.market.symbol}-${random()}`,
    })),
  ],
} satisfies Record<string, Play>;
export type Trick = keyof typeof PLAYS;
export const TRICKS = Object.keys(PLAYS) as Trick[];

function firstOf(honest: readonly Drawn[]): Drawn {
  const [first] = honest;
  if (!first) throw new RangeError('a trick needs honest outlooks');
  return first;
}

function bolder({ bear, base, bull }: Fractions): Fractions {
  const sum = bear ** 2 + base ** 2 + bull ** 2;
  return { bear: bear ** 2 / sum, base: base ** 2 / sum, bull: bull ** 2 / sum };
}

/** Skill against climatology, weight in a consensus, and rank by weight among nine colleagues, 1 the best. */
export type Standing = { skill: number; weight: number; rank: number };

function standingOf(outlooks: readonly ScoredOutlook[], colleagues: readonly number[]): Standing {
  const clusters = clustersOf(outlooks).map((members) => scoreSums(members, 'brier'));
  const skill = skillOfAnalyst(clusters);
  const [weight = 0] = skillWeights([skill]);
  const rank = 1 + colleagues.filter((other) => other > weight).length;
  return { skill: skill?.skill ?? 0, weight, rank };
}

/** An honest analyst with 200 outlooks, and the same with each trick. */
export function simulateTricks(seed: number): Record<Trick | 'honest', Standing> {
  const random = randomNumbers(seed);
  const markets = Array.from({ length: INSTRUMENTS }, (_, index) => walk(`I${index}`, random));
  const drawAll = (insight: number) =>
    markets.flatMap((market) =>
      Array.from({ length: EACH }, (_, turn) =>
        draw(market, HISTORY + turn * DAYS, random, insight),
      ),
    );
  const colleagues = Array.from({ length: 9 }, (_, index) =>
    standingOf(drawAll(0.05 * (index + 1)).map(whole), []),
  ).map(({ weight }) => weight);
  const honest = drawAll(INSIGHT);
  const results = Object.fromEntries(
    TRICKS.map((trick) => [trick, standingOf(PLAYS[trick](honest, random), colleagues)]),
  ) as Record<Trick, Standing>;
  return { honest: standingOf(honest.map(whole), colleagues), ...results };
}
