import { readFileSync } from 'node:fs';
import { INSTRUMENTS, LONG, SERIES } from './whole-ledger.ts';

const OPENAPI = new URL('../openapi/openapi.json', import.meta.url);

/** What the paths of a ledger name. */
export type Named = {
  /** An outlook in the middle of the ledger, and one that is resolved. */
  outlook: string;
  resolved: string;
  analyst: string;
  author: string;
  evidence: string;
  apiKey: string;
  webhook: string;
  /** A time before most outlooks were revised, and one at which half of the long outlook's versions were there. */
  early: string;
  middle: string;
  versions: number;
};

/** The GET requests of every path in the API document, with each filter and order, and of the pages. */
export function readsOf(named: Named): string[] {
  const { outlook, resolved, analyst, author, evidence, apiKey, webhook } = named;
  const { early, middle, versions } = named;
  const [symbol, series] = [`INST${INSTRUMENTS >> 1}`, `series-${SERIES >> 1}`];
  const half = Math.max(2, versions >> 1);
  const of = (slug: string, ...paths: string[]) =>
    paths.map((path) => `/v1/outlooks/${slug}${path}`);
  return [
    ...[
      '',
      '?limit=100',
      '?sort=publishedAt',
      '?sort=slug',
      `?instrument=${symbol}`,
      `?instrument=${symbol}&sort=slug`,
      '?status=open',
      '?status=resolved',
      '?status=withdrawn',
      '?status=open&sort=slug',
      '?reviewDue=true',
      '?reviewDue=false',
      '?awaitingResolution=true',
      '?awaitingResolution=false',
      '?contradicted=true',
      '?contradicted=false',
      '?scenario=bear&minProbability=0.9',
      '?scenario=bear&minProbability=0.3',
      '?scenario=bear&minProbability=0.3&sort=slug',
      '?scenario=base&maxProbability=0.1',
      '?scenario=bull&minProbability=0.2&maxProbability=0.3',
      `?updatedSince=${early}`,
      `?updatedSince=${early}&sort=slug`,
      `?instrument=${symbol}&status=resolved`,
      '?status=resolved&reviewDue=true',
      '?q=russell',
      '?q=russell&limit=100',
      '?q=twentieth7',
      '?q=russell&sort=-publishedAt',
      '?q=russell&sort=publishedAt',
      '?q=russell&sort=slug',
      `?q=twentieth7&instrument=${symbol}`,
      '?q=twentieth7&status=resolved',
      '?q=rare77',
      '?q=rare77&sort=-publishedAt',
      '?q=rare77&sort=slug',
      '?q=rare77%20russell',
      '?q=absentword',
      '?q=-absentword',
      '?q=twentieth7%20-absentword&sort=-publishedAt',
      `?q=russell&asOf=${middle}`,
      '?q=a',
      '?q=ru%20in',
      '?q=outlook-1',
      `?q=${symbol}`,
      `?author=${named.author}`,
      `?author=${named.analyst}`,
      `?author=${named.author}&sort=slug`,
      `?author=${named.author}&asOf=${middle}`,
      '?horizonEndsBefore=2100-01-01',
      '?horizonEndsAfter=2100-01-01',
      '?horizonEndsBefore=2100-01-01&sort=slug',
      '?outcome=bear',
      '?outcome=void',
      '?outcome=bull&sort=slug',
      `?asOf=${middle}`,
      `?asOf=${early}`,
      `?asOf=${middle}&sort=slug`,
      `?asOf=${middle}&instrument=${symbol}`,
      `?asOf=${middle}&scenario=bear&minProbability=0.9`,
    ].map((query) => `/v1/outlooks${query}`),
    ...[outlook, LONG].flatMap((slug) =>
      of(
        slug,
        '',
        `?asOf=${middle}`,
        '?minVersion=1',
        '?format=markdown',
        '/versions',
        '/versions?limit=100',
        `/versions/${half}`,
        `/versions/${half}/diff`,
        `/versions/${half}/diff?against=1`,
        '/probabilities',
        `/probabilities?from=${middle}`,
        `/probabilities?to=${middle}`,
        '/probabilities?format=csv',
        '/chart.svg',
        '/chart.svg?kind=history',
        `/chart.svg?kind=history&version=${half}`,
        `/chart.svg?kind=history&asOf=${middle}`,
        '/chart.svg?kind=drawdown',
        '/evidence',
        '/evidence?limit=100',
        '/views',
        '/views/me',
        `/views/${analyst}`,
        '/consensus',
        '/consensus?weights=recency&method=logarithmic',
        '/consensus?weights=skill',
        '/consensus?maxAge=30',
        `/consensus?asOf=${new Date(Date.now() - 60_000).toISOString()}`,
        '/conditions',
        '/conditions?format=markdown',
        '/conditions/rate-relief',
        '/drawdown',
        '/drawdown?since=1990-01-01',
        `/drawdown?asOf=${middle}`,
        '/climatology',
        '/resolution',
        '/expected-outcome',
        '/scores',
        '/scores?reference=previous',
        '/scores?reference=climatology',
        `/scores?asOf=${middle}`,
        '/feed.atom',
        '/feed.json',
      ),
    ),
    ...of(resolved, '', '/resolution', '/scores', '/scores?reference=climatology', '/climatology'),
    `/v1/outlooks/${outlook}/evidence/${evidence}`,
    `/v1/batch/outlooks?slugs=${outlook},${resolved},${LONG}`,
    '/v1/track-record',
    `/v1/track-record?instrument=${symbol}`,
    `/v1/track-record?asOf=${middle}`,
    '/v1/track-record?from=2026-01-01&to=2027-01-01',
    '/v1/track-record?reference=climatology&minCoverage=0.1',
    `/v1/instruments/${symbol}/track-record`,
    `/v1/analysts/${author}/track-record`,
    `/v1/analysts/${author}/track-record?asOf=${middle}`,
    `/v1/analysts/${analyst}/track-record?source=view`,
    '/v1/feed.atom',
    '/v1/feed.json',
    '/v1/instruments',
    '/v1/instruments?limit=100',
    `/v1/instruments/${symbol}`,
    '/v1/series',
    `/v1/series/${series}`,
    `/v1/series/${series}/observations`,
    `/v1/series/${series}/observations?limit=100&vintages=all`,
    `/v1/series/${series}/observations?from=2020-01-01&to=2021-01-01`,
    `/v1/series/${series}/observations?asOf=${middle}`,
    '/v1/keys',
    `/v1/keys/${apiKey}`,
    '/v1/webhooks',
    `/v1/webhooks/${webhook}`,
    `/v1/webhooks/${webhook}/deliveries`,
    `/v1/webhooks/${webhook}/deliveries?limit=100`,
    '/v1/audit',
    '/v1/audit?kind=refusal',
    '/v1/audit?kind=write',
    `/v1/audit?analyst=${analyst}`,
    `/v1/audit?analyst=${author}`,
    `/v1/audit?analyst=${analyst}&kind=refusal`,
    `/v1/audit?subject=/v1/outlooks/${outlook}/versions/2`,
    `/v1/audit?subject=/v1/outlooks/${outlook}/versions/2&analyst=${author}`,
    '/v1/events?lastEventId=1',
    `/v1/outlooks/${outlook}/events?lastEventId=1`,
    `/v1/outlooks/${LONG}/events?lastEventId=1`,
    '/',
    '/?q=russell',
    `/outlooks/${outlook}`,
    `/outlooks/${LONG}`,
    `/outlooks/${LONG}?version=${half}`,
    '/problems',
    '/problems/not-found',
    '/healthz',
    '/readyz',
  ];
}

/** The GET paths of the API document that no request reads. */
export function unread(paths: readonly string[]): string[] {
  const document = JSON.parse(readFileSync(OPENAPI, 'utf8')) as {
    paths: Record<string, Record<string, unknown>>;
  };
  return Object.entries(document.paths)
    .filter(([, methods]) => 'get' in methods)
    .map(([path]) => path)
    .filter((path) => {
      const pattern = new RegExp(`^${path.replaceAll(/\{[^}]+\}/g, '[^/?]+')}(\\?|$)`);
      return !paths.some((one) => pattern.test(one));
    });
}
