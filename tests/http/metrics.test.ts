import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROBLEMS } from '../../src/http/problem-catalogue.ts';
import { connect } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

/** The samples of a scrape, by their names with labels. */
async function scrape(): Promise<Map<string, number>> {
  const { body } = await ledger.call({ url: '/metrics' });
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
  const told = [...rules.matchAll(/problem=~?"([^"]+)"/g)].flatMap(([, codes = '']) =>
    codes.split('|'),
  );
  expect(Object.keys(PROBLEMS)).toEqual(expect.arrayContaining(told));
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
  expect(open.get('outlook_ledger_last_event')).toBeGreaterThanOrEqual(1);
  expect(open.get('outlook_ledger_database_connections{state="open"}')).toBeGreaterThan(0);
  expect(open.get('outlook_ledger_database_connections{state="waiting"}')).toBe(0);
  await client.leave();
  await expect.poll(async () => (await scrape()).get('outlook_ledger_event_streams')).toBe(0);
});

test("never contains a key or a client's text", async () => {
  await ledger.call({ url: `/v1/outlooks/${ledger.keys.admin}`, as: 'admin' });
  await ledger.call({ url: `/${ledger.keys.admin}?${ledger.keys.admin}` });
  const { body } = await ledger.call({ url: '/metrics' });
  expect(body).not.toContain('olk_');
});
