import { type BaseBand, outcomeFor, outcomeOfCloses } from '../../src/domain/outcome.ts';
import { SCENARIO_NAMES, type ScenarioName } from '../../src/domain/probabilities.ts';
import type { Climatology } from './naive-climatology.ts';

/** Probabilities in basis points, in the order of the scenarios. */
export type Odds = readonly [number, number, number];

export type StoredVersion = {
  version: number;
  kind: string;
  author: string;
  odds: Odds;
  band: BaseBand | null;
  at: number;
};
export type StoredView = { analyst: string; version: number; kind: string; odds: Odds; at: number };
export type StoredResolution = {
  outcome: ScenarioName;
  realisedReturn: number | null;
  closes: { start: number; end: number } | null;
  band: BaseBand | null;
  author: string;
  knownAt: number;
  /** The latest time at which it can have become known. */
  latest: number;
};
/** An outlook as it was when the resolution was recorded. Times are in milliseconds since 1970. */
export type StoredOutlook = {
  from: number;
  to: number;
  versions: readonly StoredVersion[];
  views: readonly StoredView[];
  climatology: (band: BaseBand) => Climatology;
};

type Source = 'version' | 'view' | 'combined';
/** The bands of the outlook when a view was recorded. */
function bandOfView({ versions }: StoredOutlook, at: number): BaseBand | null {
  const version = newest(versions, at) ?? versions.find((one) => one.version === 1);
  return version?.band ?? null;
}

type Said = { odds: Odds; band: BaseBand | null; at: number };

/** The sums of one forecaster; scenarios are in their order, and tenths of the horizon run from 0 to 10. */
export type NaiveSums = {
  source: Source;
  analyst: string | null;
  byCloses: boolean;
  attainable: number;
  shares: number[];
  errors: number[];
  logarithmic: number;
  rankedProbability: number;
  climatology: { brier: number; logarithmic: number; rankedProbability: number } | null;
  /** For each tenth of probability, and each scenario: weight, predicted, realised. */
  buckets: Record<number, [number, number, number][]>;
  /** By tenth of the horizon. */
  leads: Record<
    number,
    { odds: Odds; outcome: ScenarioName; brier: number; climatology: number | null }
  >;
};

/** The newest of what was recorded until a time. */
const newest = <Row extends { version: number; at: number }>(rows: readonly Row[], time: number) =>
  rows.filter(({ at }) => at <= time).toSorted((a, b) => b.version - a.version)[0];

/** What a forecaster says at a time, by the definitions in docs/guides/scoring.md; null if nothing counts. */
function saidAt(
  outlook: StoredOutlook,
  band: BaseBand | null,
  source: Source,
  analyst: string | null,
  time: number,
): Said | null {
  const current = newest(outlook.versions, time);
  const view = newest(
    outlook.views.filter((one) => one.analyst === analyst),
    time,
  );
  const isWithdrawn = current?.kind === 'withdrawn';
  if (source === 'version') {
    if (!current || isWithdrawn || (analyst !== null && current.author !== analyst)) return null;
    return { ...current, band: current.band ?? band };
  }
  if (source === 'view') {
    return view && view.kind === 'held' && !isWithdrawn
      ? { ...view, band: bandOfView(outlook, view.at) ?? band }
      : null;
  }
  // A withdrawal does not end what counts for skill weights: the last odds do, since when they were said.
  const last = newest(
    outlook.versions.filter(({ kind }) => kind !== 'withdrawn'),
    time,
  );
  const held = newest(
    outlook.views.filter((one) => one.analyst === analyst && one.kind === 'held'),
    time,
  );
  const own = last && last.author === analyst ? { ...last, band: last.band ?? band } : null;
  if (own && (!held || own.at >= held.at)) return own;
  return held ? { ...held, band: bandOfView(outlook, held.at) ?? band } : null;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const scores = (p: readonly number[], o: readonly number[]) => {
  const off = p.map((value, index) => (value - (o[index] ?? 0)) ** 2);
  return {
    brier: sum(off),
    logarithmic: -Math.log(sum(p.map((value, index) => value * (o[index] ?? 0)))),
    rankedProbability: (off[0] ?? 0) + (off[2] ?? 0),
  };
};

/** What history says, smoothed, and for skill weights the Brier score as it was counted. */
function reference(history: Climatology | null, isCounted: boolean, o: readonly number[]) {
  if (!history || history.bear === null) return null;
  const smoothed = [history.bear, history.base ?? 0, history.bull ?? 0];
  const n = history.independent;
  const counted = smoothed.map((share) => (share * (n + 3) - 1) / n);
  return { ...scores(smoothed, o), brier: scores(isCounted ? counted : smoothed, o).brier };
}

/** The sums of all forecasters of an outlook, cut into the shortest intervals in which nothing changes. */
export function naiveSums(outlook: StoredOutlook, resolution: StoredResolution): NaiveSums[] {
  const { from, to, versions, views } = outlook;
  const known = Math.min(to, resolution.knownAt);
  // Whoever says that an outcome was known early shortens the forecasts of others only.
  const latest = Math.min(to, Math.max(resolution.knownAt, resolution.latest));
  const analysts = new Set([...versions.map((v) => v.author), ...views.map((v) => v.analyst)]);
  const forecasters: [Source, string | null][] = [['version', null]];
  for (const analyst of analysts) {
    for (const source of ['version', 'view', 'combined'] as const)
      forecasters.push([source, analyst]);
  }
  const times = [
    from,
    known,
    latest,
    ...versions.map(({ at }) => at),
    ...views.map(({ at }) => at),
  ];
  const cuts = [...new Set(times)]
    .filter((time) => time >= from && time <= latest)
    .toSorted((a, b) => a - b);
  const histories = new Map<string, Climatology>();
  const judge = (band: BaseBand | null, isCounted: boolean) => {
    const outcome = outcomeFor(resolution, band);
    const o = SCENARIO_NAMES.map((name) => (name === outcome ? 1 : 0));
    const key = JSON.stringify(band);
    const history = band && (histories.get(key) ?? outlook.climatology(band));
    if (history) histories.set(key, history);
    return { outcome, o, reference: reference(history, isCounted, o) };
  };
  return forecasters.flatMap(([source, analyst]): NaiveSums[] => {
    const until = source === 'combined' && analyst === resolution.author ? latest : known;
    const parts = cuts.slice(0, -1).flatMap((start, index) => {
      if (start >= until) return [];
      const said = saidAt(outlook, resolution.band, source, analyst, start);
      if (!said) return [];
      const end = cuts[index + 1] ?? start;
      const p = said.odds.map((points) => points / 10_000);
      const judged = judge(said.band, source === 'combined');
      return [{ start, end, w: (end - start) / (to - from), p, odds: said.odds, ...judged }];
    });
    if (parts.length === 0) return [];
    const total = (value: (part: (typeof parts)[number]) => number) =>
      sum(parts.map((part) => part.w * value(part)));
    const own = ({ p, o }: (typeof parts)[number]) => scores(p, o);
    const buckets: NaiveSums['buckets'] = {};
    const leads: NaiveSums['leads'] = {};
    for (const part of source === 'combined' ? [] : parts) {
      for (const [index, points] of part.odds.entries()) {
        const bucket = (buckets[Math.min(9, Math.floor(points / 1_000))] ??= SCENARIO_NAMES.map(
          () => [0, 0, 0],
        ));
        const cell = bucket[index] ?? [0, 0, 0];
        cell[0] += part.w;
        cell[1] += part.w * (part.p[index] ?? 0);
        cell[2] += part.w * (part.o[index] ?? 0);
      }
      for (let tenth = 0; tenth <= 10; tenth += 1) {
        const at = from + ((to - from) * tenth) / 10;
        if (!(part.start <= at && at < part.end) && !(tenth === 10 && part.end === to)) continue;
        leads[tenth] = {
          odds: part.odds,
          outcome: part.outcome,
          brier: own(part).brier,
          climatology: part.reference?.brier ?? null,
        };
      }
    }
    const isCompared = parts.every((part) => part.reference !== null);
    const compared = (name: 'brier' | 'logarithmic' | 'rankedProbability') =>
      total((part) => part.reference?.[name] ?? NaN);
    return [
      {
        source,
        analyst,
        byCloses:
          resolution.closes !== null &&
          resolution.band !== null &&
          outcomeOfCloses(resolution.band, resolution.closes) === resolution.outcome,
        attainable: (until - from) / (to - from),
        shares: SCENARIO_NAMES.map((name) => total(({ outcome }) => (outcome === name ? 1 : 0))),
        errors: SCENARIO_NAMES.map((_, index) =>
          total(({ p, o }) => ((p[index] ?? 0) - (o[index] ?? 0)) ** 2),
        ),
        logarithmic: total((part) => own(part).logarithmic),
        rankedProbability: total((part) => own(part).rankedProbability),
        climatology: isCompared
          ? {
              brier: compared('brier'),
              logarithmic: compared('logarithmic'),
              rankedProbability: compared('rankedProbability'),
            }
          : null,
        buckets,
        leads,
      },
    ];
  });
}
