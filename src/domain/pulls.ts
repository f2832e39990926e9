import type { Dating, Frequency } from './series.ts';

export const SOURCE_KINDS = ['fred', 'ecb', 'stooq', 'url'] as const;
/** Where a series is pulled from: a provider that the service knows, or a file at a URL. */
export type SourceKind = (typeof SOURCE_KINDS)[number];

/** The ids that a provider gives its series, and the detail of the error for any other text. */
export const PROVIDER_IDS: Readonly<
  Record<Exclude<SourceKind, 'url'>, { pattern: RegExp; detail: string }>
> = {
  fred: {
    pattern: /^[A-Za-z0-9_]{1,100}$/,
    detail: 'must be the id of a series at FRED, such as DGS10',
  },
  ecb: {
    pattern: /^[A-Za-z0-9_]{1,50}\/[A-Za-z0-9_.-]{1,200}$/,
    detail:
      "must be a dataflow and the key of one series in the ECB's data portal, such as EXR/D.USD.EUR.SP00.A",
  },
  stooq: {
    pattern: /^[\^A-Za-z0-9._=-]{1,30}$/,
    detail: 'must be a symbol at Stooq, such as ^spx or aapl.us',
  },
};

/**
 * Why the dates of a provider don't fit a series; follows the key of the series. Null if they do. FRED dates a month or a longer period
 * by its first day, Stooq any period by its last. The ECB names periods, so each gets the day that the series needs.
 */
export function datingFault(
  kind: SourceKind,
  { frequency, dated }: { frequency: Frequency; dated: Dating },
): string | null {
  const isLong = ['monthly', 'quarterly', 'semiannual', 'annual'].includes(frequency);
  if (kind === 'fred' && isLong && dated === 'end') {
    return 'is dated by the last day of its period, but FRED dates by the first: add a series with "dated": "start" for it';
  }
  if (kind === 'stooq' && frequency !== 'daily' && dated === 'start') {
    return 'is dated by the first day of its period, but Stooq dates by the last: add a series with "dated": "end" for it';
  }
  return null;
}

/** Minutes between two pulls: the minimum, the default and the maximum. */
export const EVERY_MINUTES = { min: 15, default: 1_440, max: 44_640 } as const;

/** The most series that may have a source. */
export const MOST_SOURCES = 1_000;

const [MINUTE, HOUR] = [60_000, 3_600_000];
/** The waits after failures in a row; the last one repeats. */
const WAITS = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR] as const;
/** The longest wait that a server may ask for. */
const LONGEST_WAIT = 24 * HOUR;
/** The random extra wait, as a fraction: pulls that failed together do not all come back together. */
const JITTER = 0.1;

/**
 * How long to wait after a failed pull, in milliseconds: never less than the server asked for, up to a day.
 * @param failures the number of failures in a row, from 1
 * @param asked what the server asked for, in milliseconds; 0 if nothing
 * @param chance a random number in 0–1
 */
export function retryPullAfter(failures: number, asked: number, chance: number): number {
  const wait = WAITS[Math.min(failures, WAITS.length) - 1] ?? WAITS[0];
  return Math.round(Math.max(wait, Math.min(asked, LONGEST_WAIT)) * (1 + JITTER * chance));
}

/**
 * Parses a `Retry-After` header, seconds or a date (RFC 9110, 10.2.3). Returns the wait in milliseconds; 0 without a header,
 * or for one that is not valid.
 */
export function parseRetryAfter(retryAfter: string | null, now: Date): number {
  if (retryAfter === null) return 0;
  const text = retryAfter.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? 0 : Math.max(0, at - now.getTime());
}

// Parts of the names of query parameters that carry a credential.
const CREDENTIAL = /key|token|secret|pass|pwd|auth(?!or)|sig$|signature|credential|session/i;

/**
 * The name of a query parameter that looks like a credential; null if there is none. Other keys can read a source, so its
 * URL may have none.
 */
export function credentialIn(url: URL): string | null {
  return [...url.searchParams.keys()].find((name) => CREDENTIAL.test(name)) ?? null;
}
