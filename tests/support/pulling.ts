import { Writable } from 'node:stream';
import { expect } from 'vitest';
import { pino } from 'pino';
import { readConfig } from '../../src/config.ts';
import { ResponseCache } from '../../src/http/response-cache/response-cache.ts';
import { LOG_SERIALIZERS } from '../../src/http/logging.ts';
import { resolveName, type Resolve } from '../../src/outbound/addresses.ts';
import { SeriesPuller } from '../../src/pulls/puller.ts';
import type { TestLedger } from './ledger.ts';
import type { Provider } from './provider.ts';
import { send } from './requests.ts';

export type Source = {
  state: string;
  nextPullAt: string;
  everyMinutes: number;
  lastSuccess: { at: string; added: number; revised: number; unchanged: number } | null;
  lastFailure: { at: string; detail: string; failures: number } | null;
};

/** The key of FRED in tests. */
export const FRED_KEY = 'abcdef0123456789abcdef0123456789';

type Options = {
  env?: Record<string, string>;
  resolve?: Resolve;
  timeout?: number;
  /** Gets each line of the log. */
  onLog?: (line: string) => void;
};

/** A puller that finds all providers at one, and pulls only when a test says so. Instances of a ledger share its work. */
export function pullerOf(
  ledger: TestLedger,
  { origin }: Pick<Provider, 'origin'>,
  { env = {}, resolve = resolveName, timeout = 60_000, onLog = () => {} }: Options = {},
): SeriesPuller {
  const { pulls } = readConfig({
    FRED_API_KEY: FRED_KEY,
    FRED_URL: origin,
    ECB_URL: origin,
    STOOQ_URL: origin,
    PULL_PRIVATE_ORIGINS: origin,
    ...env,
  });
  const output = new Writable({
    write(chunk: Buffer, _, done) {
      onLog(chunk.toString());
      done();
    },
  });
  const { servicePool: pool, feed } = ledger;
  return new SeriesPuller(pino({ level: 'trace', serializers: LOG_SERIALIZERS }, output), {
    pool,
    now: () => ledger.clock.now,
    feed,
    cache: new ResponseCache({ maxBytes: 0, servesStale: false, requireKeyForReads: false, feed }),
    resolve,
    settings: pulls,
    userAgent: 'OutlookLedger/test',
    timeout,
    drainWithin: 200,
  });
}

let count = 0;
/** A new series with a source; `body` is the source. */
export async function sourced(
  ledger: TestLedger,
  body: object,
  series: object = {},
): Promise<string> {
  const key = `pulled-${(count += 1)}`;
  const more = { key, name: key, unit: 'percent', frequency: 'daily', source: 'Test', ...series };
  const created = await send(ledger, 'POST', '/v1/series', more, { as: 'feed' });
  expect(created.statusCode, created.body).toBe(201);
  await setSource(ledger, key, body);
  return key;
}

export async function setSource(ledger: TestLedger, key: string, body: object): Promise<Source> {
  const set = await send(ledger, 'PUT', `/v1/series/${key}/source`, body, { as: 'feed' });
  expect([200, 201], set.body).toContain(set.statusCode);
  return set.json<Source>();
}

export async function sourceOf(ledger: TestLedger, key: string): Promise<Source> {
  const read = await ledger.call({ url: `/v1/series/${key}/source`, as: 'feed' });
  expect(read.statusCode, read.body).toBe(200);
  return read.json<Source>();
}

/** The newest values of a series, as `day value`. */
export async function valuesOf(ledger: TestLedger, key: string): Promise<string[]> {
  const read = await ledger.call({ url: `/v1/series/${key}/observations` });
  return read
    .json<{ items: { date: string; value: number }[] }>()
    .items.map(({ date, value }) => `${date} ${value}`);
}
