import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import type { SeriesPuller } from '../../src/pulls/puller.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { fredJson, Provider } from '../support/provider.ts';
import { FRED_KEY, pullerOf, sourced, sourceOf } from '../support/pulling.ts';

let ledger: TestLedger;
let provider: Provider;
let log: string[] = [];
let pullers: SeriesPuller[] = [];
beforeAll(async () => {
  ledger = await startLedger({ samples: false });
});
afterAll(() => ledger.close());
beforeEach(async () => {
  [log, pullers] = [[], []];
  provider = await new Provider().open();
});
afterEach(async () => {
  for (const puller of pullers) await puller.close();
  await provider.close();
  await ledger.pool.query('delete from series_sources');
});

function fredPuller(env: Record<string, string> = {}, timeout = 60_000): SeriesPuller {
  const puller = pullerOf(ledger, provider, { env, timeout, onLog: (line) => log.push(line) });
  pullers.push(puller);
  return puller;
}

/** Everything that the ledger stores, as text. */
async function everythingStored(): Promise<string> {
  const { rows } = await ledger.pool.query<{ text: string }>(
    `select string_agg(query_to_xml(format('select * from %I', relname), true, true, '')::text, '') as text
       from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  );
  return rows[0]?.text ?? '';
}

const JSON_TYPE = { 'content-type': 'application/json' };
/** What quotes the request, with its key, back at the puller. */
const echo = () => {
  const target = provider.requests.at(-1)?.target ?? '';
  return `${target} ${FRED_KEY} ${encodeURIComponent(target)}`;
};

test.each<[string, () => void]>([
  ['values', () => provider.sends(fredJson({ '2026-11-18': '4.31' }), JSON_TYPE)],
  [
    'its request with an error',
    () => {
      provider.answer = (_, response) => response.writeHead(400, JSON_TYPE).end(echo());
    },
  ],
  [
    'its request as the reason',
    () => {
      provider.answer = (_, response) => response.writeHead(400, echo()).end();
    },
  ],
  [
    'its request as JSON',
    () => {
      provider.answer = (_, response) =>
        response.writeHead(200, JSON_TYPE).end(JSON.stringify({ error: echo() }));
    },
  ],
  [
    'its request as a value',
    () => {
      provider.answer = (_, response) =>
        response.writeHead(200, JSON_TYPE).end(fredJson({ '2026-11-18': FRED_KEY }));
    },
  ],
  [
    'its request as a media type',
    () => {
      provider.answer = (_, response) =>
        response.writeHead(200, { 'content-type': `text/html-${FRED_KEY}` }).end('<p>');
    },
  ],
  [
    'its request as a page',
    () => provider.sends(`<p>${FRED_KEY}`, { 'content-type': 'text/html' }),
  ],
  [
    'a redirect to another server with its request',
    () => {
      provider.answer = ({ url }, response) =>
        response.writeHead(302, { location: `https://evil.example${url}` }).end();
    },
  ],
  [
    'a redirect within itself',
    () => {
      provider.answer = ({ url }, response) => response.writeHead(307, { location: url }).end();
    },
  ],
  [
    'an endless redirect header',
    () => {
      provider.answer = (_, response) =>
        response.writeHead(302, { location: `http://x/${echo()}` }).end();
    },
  ],
  ['its request as Retry-After', () => provider.refuses(429, { 'retry-after': FRED_KEY })],
  [
    'its request as an ETag',
    () => provider.sends(fredJson({ '2026-11-18': '1' }), { ...JSON_TYPE, etag: `"${FRED_KEY}"` }),
  ],
  [
    'nothing',
    () => {
      provider.answer = ({ socket }) => socket.destroy();
    },
  ],
  [
    'half a response',
    () => {
      provider.answer = (_, response) => {
        response.writeHead(200, { ...JSON_TYPE, 'content-length': 500 });
        response.write('{"observations":[', () => response.destroy());
      };
    },
  ],
  [
    'no HTTP',
    () => {
      provider.answer = ({ socket }) => socket.end(`${FRED_KEY}\r\n\r\n`);
    },
  ],
  ['what is no gzip', () => provider.sends(FRED_KEY, { ...JSON_TYPE, 'content-encoding': 'gzip' })],
  ['an unknown coding', () => provider.sends('x', { ...JSON_TYPE, 'content-encoding': FRED_KEY })],
])('the key of FRED stays in the request if FRED sends %s', async (_, prepare) => {
  prepare();
  const key = await sourced(ledger, { kind: 'fred', id: 'DGS30' });
  await fredPuller({}, 2_000).pullDue();
  expect(provider.requests.length).toBe(1);
  expect(provider.requests[0]?.target).toContain(`api_key=${FRED_KEY}`);
  const { lastSuccess, lastFailure } = await sourceOf(ledger, key);
  expect(lastSuccess ?? lastFailure).not.toBeNull();
  expect(JSON.stringify(lastFailure)).not.toContain(FRED_KEY);
  expect(log.length).toBeGreaterThan(0);
  expect(log.join('\n')).not.toContain(FRED_KEY);
  expect(await everythingStored()).not.toContain(FRED_KEY);
});

test.each<[string, Record<string, string>, RegExp]>([
  ['its host has no address', { FRED_URL: 'https://fred.invalid' }, /./],
  [
    'its port is closed',
    { FRED_URL: 'http://127.0.0.1:1', PULL_PRIVATE_ORIGINS: 'http://127.0.0.1:1' },
    /^the connection was refused$/,
  ],
  ['its address is private', { FRED_URL: 'https://10.0.0.1' }, /not public/],
  ['it has no TLS', { FRED_URL: 'http://93.184.216.34' }, /^the URL must be an https URL$/],
])('the key of FRED is in no error if %s', async (_, env, words) => {
  const key = await sourced(ledger, { kind: 'fred', id: 'DGS30' });
  await fredPuller(env, 2_000).pullDue();
  expect((await sourceOf(ledger, key)).lastFailure?.detail).toMatch(words);
  expect(log.join('\n')).not.toContain(FRED_KEY);
  expect(await everythingStored()).not.toContain(FRED_KEY);
});

test('without a key, FRED is not asked', async () => {
  const key = await sourced(ledger, { kind: 'fred', id: 'DGS30' });
  await fredPuller({ FRED_API_KEY: '' }).pullDue();
  expect(provider.requests).toEqual([]);
  expect((await sourceOf(ledger, key)).lastFailure?.detail).toBe(
    'FRED needs a key: the operator of the service has to set FRED_API_KEY',
  );
});

test('a key that is none is refused without being quoted', () => {
  const wrong = 'hush hush, this is no key';
  expect(() => readConfig({ FRED_API_KEY: wrong })).toThrow(/FRED_API_KEY must be a key of FRED/);
  expect(() => readConfig({ FRED_API_KEY: wrong })).not.toThrow(/hush/);
});

test('the metrics count pulls and sources, and do not have the key', async () => {
  const metrics = await ledger.app.inject({ url: '/metrics' });
  expect(metrics.body).toContain('outlook_ledger_pulls_total{outcome="stored"} 0');
  expect(metrics.body).toContain('outlook_ledger_pull_sources 0');
  expect(metrics.body).not.toContain(FRED_KEY);
});
