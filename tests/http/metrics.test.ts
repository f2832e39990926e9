import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { PROBLEMS } from '../../src/http/problem-catalogue.ts';
import { readConfig } from '../../src/config.ts';
import { connect } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  ledger = await startLedger();
});
afterAll(async () => {
  vi.useRealTimers();
  await ledger.close();
});

/** Metrics of a later second, because a rendering is shared for one. */
async function freshMetrics(): Promise<string> {
  vi.setSystemTime(Date.now() + 1_000);
  return (await ledger.call({ url: '/metrics' })).body;
}

/** The samples of a scrape, by their names with labels. */
async function scrape(): Promise<Map<string, number>> {
  const body = await freshMetrics();
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}
const requests = (route: string, status: number, method = 'GET') =>
  `http_requests_total{method="${method}",route="${route}",status="${status}"}`;

test('is what Prometheus reads: each metric explained, each value a number', async () => {
  const answer = await ledger.call({
    url: '/metrics',
    headers: {
      accept: 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5',
    },
  });
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(answer.headers['cache-control']).toBe('no-store');
  const names = [...answer.body.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  const explained = [...answer.body.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(explained).toEqual(names);
  expect(names).toContain('process_resident_memory_bytes');
  const own = [...(await scrape())].filter(([name]) => /^(http|outlook_ledger)_/.test(name));
  expect(own.length).toBeGreaterThan(8);
  for (const [, value] of own) expect(value).not.toBeNaN();
});

test('the alerting rules and the runbooks name existing metrics', async () => {
  const docs = new URL('../../docs/operate/', import.meta.url);
  const rules = readFileSync(new URL('alerts.yml', docs), 'utf8');
  const runbooks = readFileSync(new URL('runbooks/README.md', docs), 'utf8');
  const { body } = await ledger.call({ url: '/metrics' });
  const metrics = [...rules.matchAll(/\b(?:outlook_ledger|http)_\w+/g)].map(([name]) => name);
  expect(metrics.length).toBeGreaterThan(8);
  for (const name of metrics) expect(body).toContain(`# TYPE ${name.replace(/_bucket$/, '')} `);
  const named = [...rules.matchAll(/problem=~?"([^"]+)"/g)].flatMap(([, codes = '']) =>
    codes.split('|'),
  );
  expect(Object.keys(PROBLEMS)).toEqual(expect.arrayContaining(named));
  const unavailable = Object.entries(PROBLEMS).filter(([, { status }]) => status === 503);
  for (const [code] of unavailable) expect(runbooks).toContain(`/problems/${code}`);
  const pages = [...`${rules}${runbooks}`.matchAll(/([a-z-]+\.md)/g)].map(([, page = '']) => page);
  for (const page of pages) expect(existsSync(new URL(`runbooks/${page}`, docs))).toBe(true);
});

test('counts requests by route and status, whatever the URL was', async () => {
  const before = await scrape();
  for (const url of [
    `/v1/outlooks/${SLUG}/evidence`,
    '/v1/outlooks/nowhere/evidence',
    '/v1/outlooks/nowhere-else/evidence',
    '/nowhere',
  ]) {
    await ledger.call({ url });
  }
  await ledger.revise({ probabilities: { bear: 1, base: 1, bull: 1 }, rationale: 'R' });
  const after = await scrape();
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(grown(requests('/v1/outlooks/:slug/evidence', 200))).toBe(1);
  expect(grown(requests('/v1/outlooks/:slug/evidence', 404))).toBe(2);
  expect(grown(requests('none', 404))).toBe(1);
  expect(grown(requests('/v1/outlooks/:slug/revisions', 422, 'POST'))).toBe(1);
  expect(
    grown('http_request_duration_seconds_count{method="GET",route="/v1/outlooks/:slug/evidence"}'),
  ).toBe(3);
});

test('counts responses from the cache, and does not time them', async () => {
  const url = `/v1/outlooks/${SLUG}`;
  await ledger.call({ url });
  const before = await scrape();
  for (let turn = 0; turn < 5; turn += 1) await ledger.call({ url });
  const after = await scrape();
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(grown('outlook_ledger_kept_replies_served_total')).toBe(5);
  expect(grown(requests('/v1/outlooks/:slug', 200))).toBe(5);
  const timed = 'http_request_duration_seconds_count{method="GET",route="/v1/outlooks/:slug"}';
  expect(grown(timed)).toBe(0);
  expect(after.get('outlook_ledger_kept_replies')).toBeGreaterThan(0);
  expect(after.get('outlook_ledger_kept_replies_bytes')).toBeGreaterThan(1000);
});

test('reports streams, the change feed and connections', async () => {
  const origin = await ledger.app.listen({ port: 0, host: '127.0.0.1' });
  const client = await connect(`${origin}/v1/events`);
  const open = await scrape();
  expect(open.get('outlook_ledger_event_streams')).toBe(1);
  expect(open.get('outlook_ledger_change_feed_current')).toBe(1);
  expect(open.get('outlook_ledger_resets')).toBe(0);
  expect(open.get('outlook_ledger_last_event')).toBeGreaterThanOrEqual(1);
  expect(open.get('outlook_ledger_database_connections{state="open"}')).toBeGreaterThan(0);
  expect(open.get('outlook_ledger_database_connections{state="waiting"}')).toBe(0);
  await client.leave();
  await expect.poll(async () => (await scrape()).get('outlook_ledger_event_streams')).toBe(0);
});

test("never contains a key or a client's text", async () => {
  await ledger.call({ url: `/v1/outlooks/${ledger.keys.admin}`, as: 'admin' });
  await ledger.call({ url: `/${ledger.keys.admin}?${ledger.keys.admin}` });
  expect(await freshMetrics()).not.toContain('olk_');
});

test('are rendered once a second, however many ask', async () => {
  const first = await freshMetrics();
  await ledger.call({ url: '/nowhere' });
  const shared = await Promise.all(
    Array.from({ length: 20 }, () => ledger.call({ url: '/metrics' })),
  );
  expect(new Set(shared.map(({ body }) => body))).toEqual(new Set([first]));
  expect(await freshMetrics()).not.toBe(first);
});

describe('are for addresses', () => {
  const read = async (
    { app }: TestLedger,
    remoteAddress: string,
    headers: Record<string, string> = {},
  ) => (await app.inject({ url: '/metrics', remoteAddress, headers })).statusCode;

  test.for([
    '127.0.0.1',
    '127.8.9.1',
    '::1',
    '::ffff:127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '::ffff:192.168.1.1',
    '169.254.1.1',
    'fe80::1',
    'fd00::1',
  ])('near by: %s', async (address) => {
    expect(await read(ledger, address)).toBe(200);
  });

  test.for([
    '203.0.113.1',
    '172.32.0.1',
    '100.64.0.1',
    '0.0.0.0',
    '::',
    '::ffff:203.0.113.1',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    'not an address',
  ])('not elsewhere: %s', async (address) => {
    expect(await read(ledger, address)).toBe(404);
  });

  test('a refusal says why, for an operator', async () => {
    const answer = await ledger.app.inject({ url: '/metrics', remoteAddress: '203.0.113.1' });
    expect(answer.json()).toMatchObject({
      type: '/problems/not-found',
      detail:
        'Only the addresses in METRICS_ADDRESSES may read the metrics; behind a proxy, only if TRUSTED_PROXIES names it.',
    });
  });

  test.for([
    ['x-forwarded-for', '127.0.0.1'],
    ['X-Forwarded-For', ''],
    ['x-forwarded-proto', 'https'],
    ['x-forwarded-host', 'ledger.example'],
    ['x-real-ip', '127.0.0.1'],
    ['forwarded', 'for=127.0.0.1'],
    ['via', '1.1 proxy'],
    ['cf-connecting-ip', '127.0.0.1'],
    ['true-client-ip', '127.0.0.1'],
    ['x-client-ip', '127.0.0.1'],
  ] as const)('not through a proxy that is not configured: %s: %s', async ([name, value]) => {
    for (const peer of ['127.0.0.1', '10.0.0.1', '::1']) {
      expect(await read(ledger, peer, { [name]: value })).toBe(404);
    }
  });

  test('through trusted proxies, by the address of the client', async () => {
    const behind = await startLedger({ trustedProxies: ['10.0.0.1', '10.0.0.2'] });
    const through = (forwarded: string, more: Record<string, string> = {}) =>
      read(behind, '10.0.0.1', { 'x-forwarded-for': forwarded, via: '1.1 proxy', ...more });
    expect(await through('192.168.1.1')).toBe(200);
    expect(await through('192.168.1.1, 10.0.0.2')).toBe(200);
    expect(await through('203.0.113.1')).toBe(404);
    expect(await through('127.0.0.1, 203.0.113.1')).toBe(404);
    // 10.0.0.9 is a proxy, too, but nobody vouches for it.
    expect(await through('203.0.113.1, 10.0.0.9')).toBe(404);
    expect(await through('203.0.113.1, 10.0.0.9, 10.0.0.2')).toBe(404);
    // It names no client.
    expect(await read(behind, '10.0.0.1', { 'x-real-ip': '203.0.113.1' })).toBe(404);
    expect(await read(behind, '10.0.0.1')).toBe(200);
    expect(await read(behind, '10.0.0.3', { 'x-forwarded-for': '127.0.0.1' })).toBe(404);
    await behind.close();
  });

  test('that METRICS_ADDRESSES names', async () => {
    const { metricsAddresses } = readConfig({ METRICS_ADDRESSES: '203.0.113.0/24, 2001:db8::/32' });
    const named = await startLedger({ metricsAddresses });
    expect(await read(named, '203.0.113.7')).toBe(200);
    expect(await read(named, '::ffff:203.0.113.7')).toBe(200);
    expect(await read(named, '2001:db8:1::1')).toBe(200);
    expect(await read(named, '127.0.0.1')).toBe(404);
    await named.close();
    const all = readConfig({ METRICS_ADDRESSES: '0.0.0.0/0,::/0' });
    const open = await startLedger({ metricsAddresses: all.metricsAddresses });
    for (const address of ['203.0.113.7', '127.0.0.1', '2001:db8::1', '::ffff:203.0.113.7']) {
      expect(await read(open, address)).toBe(200);
    }
    expect(await read(open, 'not an address')).toBe(404);
    await open.close();
    const none = readConfig({ METRICS_ADDRESSES: 'none' });
    const closed = await startLedger({ metricsAddresses: none.metricsAddresses });
    expect(await read(closed, '127.0.0.1')).toBe(404);
    await closed.close();
    expect(() => readConfig({ METRICS_ADDRESSES: 'none,loopback' })).toThrow('METRICS_ADDRESSES');
    expect(() => readConfig({ METRICS_ADDRESSES: '10.0.0.0/33' })).toThrow('METRICS_ADDRESSES');
  });
});
