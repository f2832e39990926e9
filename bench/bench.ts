import { type Figures, median, medians } from './figures.ts';
import type { Report } from './ledger.ts';
import type { Ledgers } from './ledgers.ts';
import { deal, type FullSpeed, type Generator, type Shot } from './load.ts';
import type { Options } from './options.ts';

/** The tools that every case gets. */
export type Bench = {
  options: Options;
  ledgers: Ledgers;
  generator: Generator;
  report: Report;
};

export type Goal = { atLeast: number } | { atMost: number; unit?: 'MB' | 'ms' | 'B' };

export type Case = {
  name: string;
  title: string;
  goal: Goal;
  measure: (bench: Bench) => Promise<Outcome>;
};

/** The outcome of a case, in the texts that the table shows. */
export type Outcome = {
  /** The figure that the goal applies to. */
  result: number;
  reference: string;
  service: string;
  /** Milliseconds, of the service: p50 and p99. */
  latency: string;
  /** CPU per request: service ÷ reference. */
  cpu: number | null;
  /** The share of a core that the generator used: for the reference, for the service. */
  generator: string;
  rounds: unknown[];
};

export type Pair = { reference: Figures; service: Figures };

/** Measures both sides alternately. */
export async function takeTurns(
  { options, report }: Bench,
  reference: (round: number) => Promise<Figures>,
  service: (round: number) => Promise<Figures>,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    const pair = { reference: await reference(round), service: await service(round) };
    pairs.push(pair);
    const told = [pair.reference, pair.service].map(({ rate }) => perSecond(rate));
    report(`  round ${round + 1} of ${options.rounds}: ${told.join(', ')}`);
  }
  return pairs;
}

/** Compares rates: medians, and the median of the rounds' ratios. */
export function comparedRates(pairs: readonly Pair[]): Outcome {
  const reference = medians(pairs.map((pair) => pair.reference));
  const service = medians(pairs.map((pair) => pair.service));
  return {
    result: median(pairs.map((pair) => pair.service.rate / pair.reference.rate)),
    reference: perSecond(reference.rate),
    service: perSecond(service.rate),
    ...costs(pairs),
    rounds: [...pairs],
  };
}

export function costs(pairs: readonly Pair[]): Pick<Outcome, 'latency' | 'cpu' | 'generator'> {
  const reference = medians(pairs.map((pair) => pair.reference));
  const service = medians(pairs.map((pair) => pair.service));
  const ratios = pairs.flatMap((pair) =>
    pair.reference.cpu !== null && pair.service.cpu !== null
      ? [pair.service.cpu / pair.reference.cpu]
      : [],
  );
  const share = ({ generator }: Figures) => `${Math.round(generator * 100)} %`;
  return {
    latency: `${service.p50.toFixed(1)} / ${service.p99.toFixed(1)}`,
    cpu: ratios.length === pairs.length ? median(ratios) : null,
    generator: `${share(reference)} / ${share(service)}`,
  };
}

export function perSecond(rate: number): string {
  return `${Math.round(rate).toLocaleString('en')}/s`;
}

export type Target = { origin: string; pid: number };

/** Requests to a target at full speed for one measurement, after a fifth of its length to warm up. */
export function fullSpeed(
  { options }: Bench,
  target: Target,
  shots: readonly Shot[],
  status = 200,
): FullSpeed {
  const { origin, pid } = target;
  const dealt = deal(shots, options.connections);
  const { seconds } = options;
  const warmUp = { origin, dealt, seconds: seconds / 5 };
  return { kind: 'full-speed', origin, pid, dealt, seconds, status, warmUp };
}

export function outlookPath(slug: string): string {
  return `/v1/outlooks/${slug}`;
}
