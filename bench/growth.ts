import {
  type Bench,
  type Case,
  comparedRates,
  fullSpeed,
  type Outcome,
  outlookPath,
  takeTurns,
} from './bench.ts';
import type { Ledger } from './ledger.ts';
import { COMPARED, SHORT_VERSIONS, SMALL_OUTLOOKS, slugs } from './ledgers.ts';
import { fire, type Shot } from './load.ts';
import type { Service, Settings } from './service.ts';

/** A service without a cache, so that every read asks PostgreSQL. */
const UNCACHED: Settings = { CACHE_MAX_BYTES: '0' };
/** The most URLs that cold reads are spread over. */
const SPREAD = 1_000;

type Side = { service: Service; shots: Shot[] };
type Sides = { small: Side; large: Side };

const goal = { atLeast: 0.9 };

/** Large ÷ small by the number of versions of the outlook, in one ledger. */
export const versionGrowthCases: Case[] = (
  [
    ['warm', {}],
    ['cold', UNCACHED],
  ] as const
).flatMap(([heat, settings]) => {
  const growth = (name: string, title: string, pathsOf: PathsOf) => ({
    name: `growth-versions-${name}-${heat}`,
    title: `${title}, many versions ÷ ${SHORT_VERSIONS}, ${heat}`,
    goal,
    measure: (bench: Bench) => measureVersions(bench, settings, heat === 'warm', pathsOf),
  });
  return [
    growth('current', 'Current view', currentPaths),
    growth('numbered', 'Numbered version', numberedPaths),
    growth('as-of', 'As of a time', asOfPaths),
  ];
});

/** Large ÷ small by the number of outlooks in the ledger. */
export const outlookGrowthCases: Case[] = (
  [
    ['warm', {}],
    ['cold', UNCACHED],
  ] as const
).flatMap(([heat, settings]) => {
  const growth = (name: string, title: string, pathsOf: (slugs: string[]) => string[]) => ({
    name: `growth-outlooks-${name}-${heat}`,
    title: `${title}, many outlooks ÷ ${SMALL_OUTLOOKS}, ${heat}`,
    goal,
    measure: (bench: Bench) => measureOutlooks(bench, settings, heat === 'warm', pathsOf),
  });
  return [
    growth('current', 'Current view', (slugs) => sample(slugs, SPREAD).map(outlookPath)),
    growth('list', 'List of 20', () => ['/v1/outlooks']),
  ];
});

/** The URLs to read, by outlook. */
type PathsOf = (ledger: Ledger, slugs: string[]) => Promise<string[]>;

async function currentPaths(_: Ledger, slugs: string[]): Promise<string[]> {
  return slugs.map(outlookPath);
}

async function numberedPaths(ledger: Ledger, slugs: string[]): Promise<string[]> {
  const spans = await spansOf(ledger, slugs);
  return spans.flatMap(({ slug, versions }) =>
    evenly(SHORT_VERSIONS, 1, versions).map((at) => `${outlookPath(slug)}/versions/${at}`),
  );
}

async function asOfPaths(ledger: Ledger, slugs: string[]): Promise<string[]> {
  const spans = await spansOf(ledger, slugs);
  return spans.flatMap(({ slug, from, to }) =>
    evenly(Math.floor(SPREAD / slugs.length), from, to).map(
      (at) => `${outlookPath(slug)}?asOf=${new Date(at).toISOString()}`,
    ),
  );
}

/** When an outlook's first and its newest version were recorded, in milliseconds. */
type Span = { slug: string; versions: number; from: number; to: number };

async function spansOf(ledger: Ledger, slugs: string[]): Promise<Span[]> {
  const milliseconds = (moment: string) => `(extract(epoch from ${moment}) * 1000)::float8`;
  return ledger.query(async (client) => {
    const { rows } = await client.query<Span>(
      `select o.slug, o.latest_version as versions,
          ${milliseconds('first.recorded_at')} as from, ${milliseconds('o.published_at')} as to
         from outlooks o
         join outlook_versions first on first.outlook_id = o.id and first.version = 1
        where o.slug = any($1) order by o.id`,
      [slugs],
    );
    return rows;
  });
}

async function measureVersions(
  bench: Bench,
  settings: Settings,
  isWarm: boolean,
  pathsOf: PathsOf,
): Promise<Outcome> {
  const ledger = await bench.ledgers.standard();
  const service = await ledger.serve(settings);
  const side = async (prefix: string): Promise<Side> => {
    const paths = await pathsOf(ledger, slugs({ prefix, count: COMPARED }));
    return { service, shots: shotsAt(paths, isWarm) };
  };
  return measureSides(bench, { small: await side('short'), large: await side('long') });
}

async function measureOutlooks(
  bench: Bench,
  settings: Settings,
  isWarm: boolean,
  pathsOf: (slugs: string[]) => string[],
): Promise<Outcome> {
  const side = async (size: 'small' | 'large'): Promise<Side> => {
    const ledger = await bench.ledgers[size]();
    const paths = pathsOf(bench.ledgers.ordinaryOf(size));
    return { service: await ledger.serve(settings), shots: shotsAt(paths, isWarm) };
  };
  return measureSides(bench, { small: await side('small'), large: await side('large') });
}

/** One URL when warm, all of them when cold. */
function shotsAt(paths: string[], isWarm: boolean): Shot[] {
  const shots = paths.map((path) => ({ path }));
  return isWarm ? shots.slice(shots.length >> 1).slice(0, 1) : shots;
}

async function measureSides(bench: Bench, { small, large }: Sides): Promise<Outcome> {
  const fireAt = ({ service, shots }: Side) => {
    service.clearLog();
    return fire(bench.generator, fullSpeed(bench, service, shots));
  };
  const pairs = await takeTurns(
    bench,
    () => fireAt(small),
    () => fireAt(large),
  );
  return comparedRates(pairs);
}

/** Evenly spaced whole numbers from `from` to `to`. */
function evenly(count: number, from: number, to: number): number[] {
  const step = (to - from) / Math.max(1, count - 1);
  return Array.from({ length: count }, (_, index) => Math.round(from + step * index));
}

/** At most `most` items, spread over the list and shuffled. */
function sample<Item>(items: readonly Item[], most: number): Item[] {
  const placed = items.map((item) => ({ item, place: Math.random() }));
  return placed
    .sort((a, b) => a.place - b.place)
    .slice(0, most)
    .map(({ item }) => item);
}
