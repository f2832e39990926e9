import type { SourceKind } from '../domain/pulls.ts';
import type { Frequency } from '../domain/series.ts';
import { FetchFault } from '../outbound/fetch-file.ts';
import type { Pull } from './runs.ts';

/** The addresses of the providers, and the key for FRED. */
export type ProviderSettings = {
  fredUrl: string;
  ecbUrl: string;
  stooqUrl: string;
  /** A secret: it is in the URL of requests to FRED, and must get nowhere else. Null if there is none. */
  fredApiKey: string | null;
};

/** A source can't be pulled, or its file can't be read. The message tells the person who set the source why. */
export class SourceFault extends Error {}

export type PullRequest = {
  url: URL;
  accept: string;
  /** Whether the URL has a credential. */
  isSecret: boolean;
};

type Provider = {
  name: string;
  /** @throws SourceFault if the provider can't serve this request */
  urlOf: (id: string, frequency: Frequency, settings: ProviderSettings) => URL;
  accept: string;
  isSecret: boolean;
  /** What a status means, besides what it means anywhere. */
  statuses: Readonly<Record<number, string>>;
};

const CSV = 'text/csv, application/csv;q=0.9, text/plain;q=0.8, */*;q=0.1';

/** Stooq's letters for the intervals of its files. */
const INTERVALS: Partial<Record<Frequency, string>> = {
  daily: 'd',
  weekly: 'w',
  monthly: 'm',
  quarterly: 'q',
  annual: 'y',
};

const PROVIDERS: Readonly<Record<Exclude<SourceKind, 'url'>, Provider>> = {
  // https://fred.stlouisfed.org/docs/api/fred/series_observations.html
  fred: {
    name: 'FRED',
    urlOf: (id, _, { fredUrl, fredApiKey }) => {
      if (fredApiKey === null) {
        throw new SourceFault(
          'FRED needs a key: the operator of the service has to set FRED_API_KEY',
        );
      }
      const query = new URLSearchParams({ series_id: id, file_type: 'json', api_key: fredApiKey });
      return new URL(`${fredUrl}/fred/series/observations?${query}`);
    },
    accept: 'application/json',
    isSecret: true,
    statuses: { 400: 'FRED has no such series, or does not accept FRED_API_KEY' },
  },
  // https://data.ecb.europa.eu/help/api/data
  ecb: {
    name: 'ECB',
    urlOf: (id, _, { ecbUrl }) =>
      new URL(`${ecbUrl}/service/data/${id}?format=csvdata&detail=dataonly`),
    accept: CSV,
    isSecret: false,
    statuses: { 404: "the ECB's data portal has no such series" },
  },
  stooq: {
    name: 'Stooq',
    urlOf: (id, frequency, { stooqUrl }) => {
      const interval = INTERVALS[frequency];
      if (interval === undefined) throw new SourceFault(`Stooq has no ${frequency} files`);
      const query = new URLSearchParams({ s: id.toLowerCase(), i: interval });
      return new URL(`${stooqUrl}/q/d/l/?${query}`);
    },
    accept: CSV,
    isSecret: false,
    statuses: {},
  },
};

/**
 * The request for a pull.
 * @throws SourceFault if FRED's key is missing, or Stooq has no files of the frequency
 */
export function requestFor(pull: Pull, settings: ProviderSettings): PullRequest {
  if (pull.kind === 'url') return { url: new URL(pull.url), accept: CSV, isSecret: false };
  const { urlOf, accept, isSecret } = PROVIDERS[pull.kind];
  return { url: urlOf(pull.providerId, pull.frequency, settings), accept, isSecret };
}

/** What went wrong with a pull, and what the provider means by the status of its response. */
export function describeFault({ kind }: Pull, fault: Error): string {
  const status = fault instanceof FetchFault ? fault.status : null;
  const meaning = kind === 'url' || status === null ? null : PROVIDERS[kind].statuses[status];
  return meaning ? `${fault.message}: ${meaning}` : fault.message;
}

/** The source of an observation, as its note names it. */
export function noteFor(pull: Pull): string {
  return pull.kind === 'url'
    ? new URL(pull.url).host
    : `${PROVIDERS[pull.kind].name}, ${pull.providerId}`;
}
