import { parseArgs } from 'node:util';

export type Options = {
  outlooks: number;
  /** Versions of the outlook that has many. */
  versions: number;
  largeOutlooks: number;
  largeVersions: number;
  rounds: number;
  /** How long one measurement takes. */
  seconds: number;
  connections: number;
  /** Names of cases, or what they begin with; empty for all. */
  only: string[];
};

const DEFAULTS = {
  outlooks: 10_000,
  versions: 1_000,
  'large-outlooks': 100_000,
  'large-versions': 10_000,
  rounds: 5,
  seconds: 4,
  connections: 32,
};
type Name = keyof typeof DEFAULTS;

/** The least that leaves something to measure. */
const LEAST: Record<Name, number> = {
  outlooks: 200,
  versions: 100,
  'large-outlooks': 400,
  'large-versions': 100,
  rounds: 1,
  seconds: 1,
  connections: 1,
};

export const USAGE = `Usage: npm run bench -- [options]

${Object.entries(DEFAULTS)
  .map(([name, value]) => `  --${name.padEnd(16)} ${value} unless given`)
  .join('\n')}
  --only             names of cases, or what they begin with, separated by commas`;

export class UsageError extends Error {}

/** @throws UsageError for options that are unknown or make no sense */
export function readOptions(args: string[]): Options {
  const given = valuesOf(args);
  const number = (name: Name) => wholeNumber(name, given[name]);
  const options = {
    outlooks: number('outlooks'),
    versions: number('versions'),
    largeOutlooks: number('large-outlooks'),
    largeVersions: number('large-versions'),
    rounds: number('rounds'),
    seconds: number('seconds'),
    connections: number('connections'),
    only: given.only?.split(',') ?? [],
  };
  if (options.largeOutlooks < options.outlooks) {
    throw new UsageError('--large-outlooks must be at least --outlooks.');
  }
  if (options.versions < options.connections) {
    throw new UsageError('--versions must be at least --connections.');
  }
  return options;
}

function valuesOf(args: string[]) {
  const text = { type: 'string' } as const;
  const names = {
    outlooks: text,
    versions: text,
    'large-outlooks': text,
    'large-versions': text,
    rounds: text,
    seconds: text,
    connections: text,
    only: text,
  };
  try {
    return parseArgs({ args, options: names }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function wholeNumber(name: Name, text: string | undefined): number {
  if (text === undefined) return DEFAULTS[name];
  const value = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (value >= LEAST[name]) return value;
  throw new UsageError(`--${name} must be a whole number from ${LEAST[name]}.`);
}

/** Whether a run measures all, and at no smaller sizes than the goals are about. */
export function isWhole(options: Options): boolean {
  return (
    options.only.length === 0 &&
    options.outlooks >= DEFAULTS.outlooks &&
    options.versions >= DEFAULTS.versions &&
    options.largeOutlooks >= DEFAULTS['large-outlooks'] &&
    options.largeVersions >= DEFAULTS['large-versions'] &&
    options.rounds >= DEFAULTS.rounds &&
    options.seconds >= DEFAULTS.seconds
  );
}
