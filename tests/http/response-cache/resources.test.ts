import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freshly } from '../../support/fresh-metrics.ts';
import { SLUG, startLedger, type TestLedger } from '../../support/ledger.ts';
import { openSession } from '../../support/plain-sql.ts';
import { createOutlook } from '../../support/requests.ts';

const URL = `/v1/outlooks/${SLUG}`;
const revision = { probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'Why.' };

let ledger: TestLedger;
let owner: pg.Client;
beforeEach(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
});
afterEach(async () => {
  await owner.end();
  await ledger.close();
});

const get = (url: string, headers: Record<string, string> = {}) => ledger.call({ url, headers });

/** Reads while every table that the reads need is locked: only what is in memory can be answered. */
async function fromMemory(...urls: string[]) {
  await owner.query(
    'begin; lock table outlooks, instruments, outlook_versions, observations, frameworks in access exclusive mode',
  );
  const answers = [];
  for (const url of urls) answers.push(await get(url));
  await owner.query('rollback');
  return answers;
}

async function metric(name: string): Promise<number> {
  const { body } = await freshly(() => get('/metrics'));
  return Number(new RegExp(`^outlook_ledger_${name} (.*)$`, 'm').exec(body)?.[1]);
}
const served = () => metric('kept_replies_served_total');
const entries = () => metric('kept_replies');

describe('two spellings of a read', () => {
  test.each([
    ['/v1/outlooks?limit=5&status=open', ['/v1/outlooks?status=open&limit=5']],
    ['/v1/outlooks', ['/v1/outlooks?', '/v1/outlooks?&&']],
    [
      `${URL}?asOf=2026-11-20T16:00:00Z`,
      [
        `${URL}?asOf=2026-11-20T16:00:00.000Z`,
        `${URL}?asOf=2026-11-20T17:00:00%2B01:00`,
        `${URL}?%61sOf=2026-11-20T16:00:00Z`,
      ],
    ],
    [URL, [URL.replace('russell', '%72ussell'), `${URL}?`]],
    [
      '/v1/outlooks?scenario=bear&minProbability=0.25',
      ['/v1/outlooks?minProbability=0.2500&scenario=bear'],
    ],
    [
      `${URL}/chart.svg?width=400&kind=history`,
      [
        `${URL}/chart.svg?kind=history&utm_source=a&width=400`,
        `${URL}/chart.svg?kind=history&width=400&v=7`,
      ],
    ],
    ['/?status=open', ['/?utm_source=a&status=open', '/?status=open&q=', '/?fbclid=1&status=open']],
  ])('%s is one response, in memory once', async (first, others) => {
    const answer = await get(first);
    expect(answer.statusCode).toBe(200);
    const before = await entries();
    for (const kept of await fromMemory(...others, ...others)) {
      expect([kept.statusCode, kept.headers.etag]).toEqual([200, answer.headers.etag]);
      expect(kept.body).toBe(answer.body);
    }
    expect(await entries()).toBe(before);
  });

  test('are each answered before any limit from the second time on', async () => {
    await get('/v1/outlooks?limit=5&status=open');
    const urls = ['/v1/outlooks?limit=5&status=open', '/v1/outlooks?status=open&limit=5'];
    await get(urls[1] ?? '');
    const before = await served();
    for (const url of urls) await get(url);
    expect(await served()).toBe(before + 2);
  });

  test('are dropped by one change', async () => {
    const urls = [URL, `${URL}?minVersion=1`, `${URL}/versions?limit=20`, `${URL}/versions?`];
    for (const url of [...urls, ...urls]) await get(url);
    const written = await ledger.revise(revision);
    expect((await get(URL)).body).toBe(written.body);
    expect((await get(`${URL}?`)).headers.etag).toBe(written.headers.etag);
    for (const url of urls.slice(2)) {
      const { items } = (await get(url)).json<{ items: { version: number }[] }>();
      expect([url, items.map(({ version }) => version)]).toEqual([url, [2, 1]]);
    }
  });

  test('of different values stay apart', async () => {
    const urls = ['limit=1', 'limit=2', 'status=open', 'status=resolved', 'format=csv'];
    const bodies = new Set<string>();
    for (const query of [...urls, ...urls])
      bodies.add(`${query} ${(await get(`/v1/outlooks?${query}&sort=slug`)).body}`);
    expect(bodies.size).toBe(urls.length);
    // Basis points, as the key has them, are no probability.
    await get('/v1/outlooks?scenario=bear&minProbability=0.25');
    for (const _ of [1, 2])
      expect((await get('/v1/outlooks?scenario=bear&minProbability=2500')).statusCode).toBe(422);
  });
});

test('the API goes on refusing parameters that it does not know, and repeated ones', async () => {
  await get('/v1/outlooks?limit=5');
  for (const more of ['utm_source=a', 'limit=5', 'LIMIT=5'])
    expect((await get(`/v1/outlooks?limit=5&${more}`)).statusCode).toBe(422);
});

test("one reader's parameters do not end up in another's page", async () => {
  for (let number = 0; number < 25; number += 1)
    await createOutlook(ledger, { slug: `o-${number}` });
  const tagged = await get('/?utm_source=mine&status=open');
  expect(tagged.body).toContain('cursor=');
  expect(tagged.body).not.toContain('mine');
  expect((await get('/?status=open')).body).toBe(tagged.body);
  const [, next = ''] = /href="([^"]*cursor=[^"]*)"/.exec(tagged.body) ?? [];
  expect((await get(next.replaceAll('&amp;', '&'))).statusCode).toBe(200);
});

test('a drawdown is stored, and not after a close is recorded here', async () => {
  const url = `${URL}/drawdown?since=2026-01-01`;
  const before = await entries();
  expect((await get(url)).statusCode).toBe(200);
  expect(await entries()).toBe(before + 1);
  await get(`${url}&minDepth=0.1`);
  expect(await entries()).toBe(before + 1);
  const recorded = await ledger.call({
    method: 'POST',
    url: '/v1/series/rut-close/observations',
    as: 'feed',
    payload: { observations: [{ date: '2026-11-19', value: 1 }] },
  });
  expect(recorded.statusCode, recorded.body).toBe(200);
  expect(await entries()).toBe(0);
  expect((await get(url)).json()).toMatchObject({ last: { value: 1 } });
});
