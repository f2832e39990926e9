/** The figures of one measurement of one side. */
export type Figures = {
  /** Requests that got a response. */
  requests: number;
  /** Requests a second. */
  rate: number;
  /** Latencies in milliseconds. */
  p50: number;
  p99: number;
  /** Milliseconds of CPU that the measured process used for a request; null if the system doesn't report it. */
  cpu: number | null;
  /** The share of one core that the generator used. */
  generator: number;
};

/** @param latencies milliseconds; sorts them */
export function percentiles(latencies: number[]): { p50: number; p99: number } {
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of each figure over the rounds. */
export function medians(rounds: readonly Figures[]): Figures {
  const of = (name: Exclude<keyof Figures, 'cpu'>) => median(rounds.map((round) => round[name]));
  const cpus = rounds.map(({ cpu }) => cpu).filter((cpu) => cpu !== null);
  return {
    requests: of('requests'),
    rate: of('rate'),
    p50: of('p50'),
    p99: of('p99'),
    cpu: cpus.length === rounds.length ? median(cpus) : null,
    generator: of('generator'),
  };
}
