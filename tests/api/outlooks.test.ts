import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, outlookBody, send } from '../support/requests.ts';
import { changeState } from '../support/plain-sql.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const get = (url: string) => ledger.call({ url });
const withoutDirections = () => {
  const { bear, base, bull } = outlookBody()['scenarios'] as Record<string, object>;
  const undirected = (scenario?: object) => ({ ...scenario, direction: undefined });
  return { bear: undirected(bear), base: undirected(base), bull: undirected(bull) };
};

test("an analyst's day: an instrument, an outlook on it, and what readers then find", async () => {
  const instrument = { symbol: 'SPX', name: 'S&P 500 Index', kind: 'index' };
  expect((await send(ledger, 'POST', '/v1/instruments', instrument)).statusCode).toBe(201);

  ledger.clock.now = new Date('2026-11-20T16:31:00.123Z');
  const created = await createOutlook(ledger, { slug: 'spx-case', instrument: 'SPX' });
  expect(created.statusCode).toBe(201);
  expect(created.headers.location).toBe('/v1/outlooks/spx-case');
  expect(created.json()).toMatchObject({
    slug: 'spx-case',
    instrument: { symbol: 'SPX', name: 'S&P 500 Index' },
    horizon: { from: '2026-03-31', to: '2027-03-31' },
    status: 'open',
    review: { due: false, reasons: [] },
    version: 1,
    publishedAt: '2026-11-20T16:31:00.123Z',
    author: { name: 'analyst desk' },
    change: { kind: 'created', previousVersion: null, deltas: null },
    previousHash: null,
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
    directions: { lower: 0.3, sideways: 0.45, higher: 0.25 },
  });

  const current = await get(String(created.headers.location));
  expect(current.body).toBe(created.body);
  expect((await get('/v1/outlooks/spx-case/versions/1')).body).toBe(created.body);
  const listed = (await get('/v1/outlooks?instrument=SPX')).json<{ items: object[] }>().items;
  expect(listed).toHaveLength(1);
  expect(current.json()).toMatchObject(listed[0] ?? {});
  expect((await get('/v1/outlooks/spx-case/versions')).json()).toMatchObject({
    items: [{ version: 1, author: { name: 'analyst desk' }, change: { kind: 'created' } }],
    nextCursor: null,
  });
});

test('the response to the sample has everything that was sent, and what follows from it', async () => {
  const { instrument, scenarios, invalidationConditions, ...sent } = outlookBody();
  const sample = (await get(`/v1/outlooks/${SLUG}`)).json<Record<string, unknown>>();
  expect(sample).toMatchObject(sent);
  expect(sample).toMatchObject({ instrument: { symbol: instrument }, scenarios });
  expect(sample['invalidationConditions']).toEqual(
    (invalidationConditions as { rule?: object }[]).map(({ rule, ...condition }) => ({
      ...condition,
      rule: rule ? judgedByPeriod(rule) : null,
      state: 'untriggered',
    })),
  );
});

/** A rule as it was sent, whose comparisons leave open on which day an observation counts. */
function judgedByPeriod({ all, any, ...comparison }: { all?: object[]; any?: object[] }): object {
  const judged = (one: object) => ({ ...one, judgedOn: null });
  if (all) return { all: all.map(judged) };
  return any ? { any: any.map(judged) } : judged(comparison);
}

describe('the response to a creation has the bytes and the ETag of the next reads', () => {
  const headwind = (rank: number) => ({ key: `k-${rank}`, rank, title: 'T', description: 'D' });
  const reversedMembers = (members: object) =>
    Object.fromEntries(Object.entries(members).toReversed());
  test.for<[string, Record<string, unknown>]>([
    ['the sample', {}],
    ['directions left to their defaults', { scenarios: withoutDirections() }],
    ['headwinds sent in any order', { headwinds: [headwind(3), headwind(1), headwind(2)] }],
    [
      'optional members left out',
      { methodology: undefined, disclaimer: undefined, faqs: undefined },
    ],
    ['optional members null', { methodology: null, disclaimer: null }],
    [
      'members sent in another order',
      { metrics: (outlookBody()['metrics'] as object[]).map(reversedMembers) },
    ],
    [
      'return bands',
      {
        scenarios: {
          bear: { title: 'T', outcome: 'O', conditions: 'C', returnBand: { max: -0.1 } },
          base: { title: 'T', outcome: 'O', conditions: 'C', returnBand: { max: 0.1, min: -0.1 } },
          bull: { title: 'T', outcome: 'O', conditions: 'C', returnBand: { min: 0.1, max: null } },
        },
      },
    ],
    [
      'numbers at the edge',
      {
        metrics: [2 ** 53 - 1, 1 - 2 ** 53, -0, 5e-324, 2 ** 52 - 0.5, 0.1 + 0.2].map((value) => ({
          name: 'N',
          value,
          provenance: 'editorial',
        })),
      },
    ],
    ['text of every plane', { summary: 'é\u{1F4C8}\u200d\ufeff\u0001\u007f\uffff "\\/ \u2028' }],
  ])('%s', async ([name, change]) => {
    const slug = name.replaceAll(/[^a-z]+/g, '-');
    const created = await createOutlook(ledger, { ...change, slug });
    expect(created.statusCode).toBe(201);
    for (const url of [`/v1/outlooks/${slug}`, `/v1/outlooks/${slug}/versions/1`]) {
      const read = await get(url);
      expect(read.body).toBe(created.body);
      expect(read.headers.etag).toBe(created.headers.etag);
    }
  });
});

test.for([
  ['Small caps: what next?', 'small-caps-what-next'],
  ['Übergröße & Öl — 2027', 'uebergroesse-and-oel-2027'],
  ['DAX40 vs. MDAX', 'dax40-vs-mdax'],
  [`${'long words '.repeat(20)}end`, `${'long-words-'.repeat(9)}l`],
] as const)('the title %j makes the slug %s', async ([title, slug]) => {
  const created = await createOutlook(ledger, { title, slug: undefined });
  expect([created.statusCode, created.headers.location]).toEqual([201, `/v1/outlooks/${slug}`]);
  expect((await get(`/v1/outlooks/${slug}`)).json()).toMatchObject({ slug, title });
});

test('directions that the desk states are returned and counted', async () => {
  const scenarios = withoutDirections();
  const bull = { ...scenarios.bull, direction: 'sideways' };
  const created = await createOutlook(ledger, {
    slug: 'two-sideways',
    scenarios: { ...scenarios, bull },
    probabilities: { bear: 0.1, base: 0.2, bull: 0.7 },
  });
  expect(created.json()).toMatchObject({
    directions: { lower: 0.1, sideways: 0.9, higher: 0 },
    scenarios: {
      bear: { direction: 'lower', probability: 0.1 },
      base: { direction: 'sideways', probability: 0.2 },
      bull: { direction: 'sideways', probability: 0.7 },
    },
  });
});

test('an admin publishes too, under its own name', async () => {
  const body = outlookBody({ slug: 'by-admin' });
  const created = await send(ledger, 'POST', '/v1/outlooks', body, { as: 'admin' });
  expect(created.json()).toMatchObject({ author: { name: 'admin desk' } });
});

test('a closed outlook has its status, and its versions as they were published', async () => {
  await createOutlook(ledger, { slug: 'closed-case' });
  await changeState(ledger.pool, `status = 'resolved'`, `slug = 'closed-case'`);
  const status = async () =>
    (await get('/v1/outlooks/closed-case')).json<{ status: string }>().status;
  await expect.poll(status).toBe('resolved');
  expect((await get('/v1/outlooks/closed-case/versions/1')).json()).toMatchObject({
    status: 'open',
  });
});

test.for([
  ['an outlook', '/v1/outlooks/nowhere', 'There is no outlook "nowhere".'],
  ["an outlook's versions", '/v1/outlooks/nowhere/versions', 'There is no outlook "nowhere".'],
  ['a version of it', '/v1/outlooks/nowhere/versions/1', 'There is no outlook "nowhere".'],
  [
    'a version to come',
    `/v1/outlooks/${SLUG}/versions/2`,
    `"${SLUG}" has no version 2; its newest is 1.`,
  ],
] as const)('%s that does not exist is not found', async ([, url, detail]) => {
  const answer = await get(url);
  expect(answer.statusCode).toBe(404);
  expect(answer.json()).toMatchObject({ type: '/problems/not-found', detail, instance: url });
});
