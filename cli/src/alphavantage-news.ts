import type { EvidenceInput } from '@outlook-ledger/client';
import { UsageError } from './errors.ts';

/** Alpha Vantage's scale of scores (documentation of NEWS_SENTIMENT): −1 is bearish, 1 bullish. */
const SCALE = { min: -1, max: 1 };
const PROVIDER = 'Alpha Vantage';
/** What the service takes, in characters. */
const LONGEST_LINE = 300;
const LONGEST_TEXT = 20_000;

type Fields = Record<string, unknown>;

/**
 * The news of a response of Alpha Vantage's NEWS_SENTIMENT as evidence, in the order of its `feed`.
 * @throws UsageError with all faults, each by its place in the feed
 */
export function readAlphaVantageNews(response: object, name: string): EvidenceInput[] {
  const { feed } = response as { feed?: unknown };
  if (!Array.isArray(feed)) {
    const [member = 'nothing'] = Object.keys(response);
    throw new UsageError(
      `${name} has no "feed", but ${JSON.stringify(member)}: Alpha Vantage may have answered with an error.`,
    );
  }
  const faults: string[] = [];
  const items = feed.flatMap((entry: unknown, index) => {
    const read = itemOf(Object(entry) as Fields);
    if (typeof read !== 'string') return [read];
    faults.push(`feed[${index}]: ${read}`);
    return [];
  });
  if (faults.length === 0) return items;
  throw new UsageError(`${name} has news that can't be read. Nothing was sent.`, faults);
}

/** An item as evidence, or what it lacks. */
function itemOf(entry: Fields): EvidenceInput | string {
  const [title, publisher] = [lineOf(entry['title']), lineOf(entry['source'])];
  const publishedAt = timeOf(entry['time_published']);
  const { url } = entry;
  if (title === '') return 'has no title';
  if (publisher === '') return 'has no source';
  if (typeof url !== 'string' || !/^https?:\/\/\S+$/.test(url)) return 'has no url';
  if (publishedAt === null) return 'has no time_published such as 20261119T133000';
  const summary = typeof entry['summary'] === 'string' ? entry['summary'] : '';
  return {
    headline: title,
    summary: cut(summary.replaceAll('\0', ''), LONGEST_TEXT) || title,
    publisher,
    url,
    publishedAt,
    sentiment: sentimentOf(entry),
    tickers: tickersOf(entry['ticker_sentiment']),
    claims: [],
    corrects: null,
  };
}

/** A text on one line, without control characters. */
function lineOf(value: unknown): string {
  const text = typeof value === 'string' ? value : '';
  return cut(text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' '), LONGEST_LINE);
}

/** The beginning of a text, without half a character: the service refuses one, and with it the whole feed. */
function cut(text: string, length: number): string {
  return text
    .trim()
    .slice(0, length)
    .replaceAll(/\p{Cs}/gu, '')
    .trim();
}

/** A time of the feed, which is in UTC: `20261119T133000`, with or without seconds. */
function timeOf(value: unknown): string | null {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?$/.exec(String(value));
  if (!parts) return null;
  const [, year, month, day, hour, minute, second = '00'] = parts;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
}

function sentimentOf(entry: Fields): Exclude<EvidenceInput['sentiment'], undefined> {
  const score = numberOf(entry['overall_sentiment_score']);
  const label = lineOf(entry['overall_sentiment_label']);
  if (score === null || label === '') return null;
  return { score, label, scale: SCALE, provider: PROVIDER };
}

/** The feed writes the numbers of tickers as text. */
function numberOf(value: unknown): number | null {
  if (typeof value !== 'number' && (typeof value !== 'string' || value.trim() === '')) return null;
  return Number.isFinite(Number(value)) ? Number(value) : null;
}

function tickersOf(value: unknown): NonNullable<EvidenceInput['tickers']> {
  const entries = Array.isArray(value)
    ? (value as unknown[]).map((one) => Object(one) as Fields)
    : [];
  const bySymbol = new Map(entries.map((entry) => [lineOf(entry['ticker']), entry]));
  bySymbol.delete('');
  return [...bySymbol].slice(0, 100).map(([symbol, entry]) => {
    const score = numberOf(entry['ticker_sentiment_score']);
    const label = lineOf(entry['ticker_sentiment_label']);
    return {
      symbol,
      sentiment: score === null || label === '' ? null : { score, label },
      relevance: numberOf(entry['relevance_score']),
    };
  });
}
