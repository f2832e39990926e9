import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';

// Clients keep cursors over an upgrade, so each list must accept the cursors of earlier releases.

const BASE = `/v1/outlooks/${SLUG}`;
const CONDITION = `${BASE}/conditions/earnings-revisions`;
const OBSERVATIONS = '/v1/series/us-30y-yield/observations';
const AT = Date.parse('2026-11-20T16:00:00Z');
let ledger: TestLedger;
let webhook = '';
let analyst = '';

beforeAll(async () => {
  ledger = await startLedger();
  await createOutlook(ledger, { slug: 'another' });
  await send(ledger, 'POST', '/v1/instruments', { symbol: 'AAA', name: 'A', kind: 'index' });
  const item = { summary: 'S', publisher: 'P', publishedAt: '2026-11-17T12:00:00Z' };
  for (const headline of ['A', 'B'])
    await send(ledger, 'POST', `${BASE}/evidence`, { headline, ...item });
  await ledger.revise({ probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'R' });
  const probabilities = { bear: 0.3, base: 0.45, bull: 0.25 };
  for (const rationale of ['A', 'B']) {
    await send(ledger, 'PUT', `${BASE}/views/me`, { probabilities, rationale });
  }
  const others = { probabilities, rationale: 'A' };
  await send(ledger, 'PUT', `${BASE}/views/me`, others, { as: 'admin' });
  for (const state of ['triggered', 'untriggered']) {
    await send(ledger, 'POST', `${CONDITION}/assessments`, { state, rationale: 'R' });
  }
  const observations = ['2026-11-17', '2026-11-18'].map((date) => ({ date, value: 4 }));
  await send(ledger, 'POST', OBSERVATIONS, { observations }, { as: 'feed' });
  for (const path of ['a', 'b']) {
    const body = { url: `https://example.com/${path}` };
    const created = await send(ledger, 'POST', '/v1/webhooks', body, { as: 'admin' });
    webhook = created.json<{ id: string }>().id;
  }
  const { rows } = await ledger.pool.query<{ id: string }>(
    `select id from analysts where name = 'analyst desk'`,
  );
  analyst = rows[0]?.id ?? '';
});
afterAll(() => ledger.close());

type Item = Record<string, unknown> & { analyst: { id: string } };
const idOf = ({ id }: Item): unknown => id;
const createdAt = ({ createdAt: at, id }: Item): unknown => [Date.parse(at as string), id];

const LISTS: [url: string, scope: () => unknown, position: (last: Item) => unknown][] = [
  [`${BASE}/versions`, () => ({ versionsOf: SLUG }), ({ version }) => version],
  [`${BASE}/evidence`, () => ['evidence', SLUG], () => expect.any(Number)],
  [`${BASE}/views`, () => ['views', SLUG], ({ analyst: { id } }) => id],
  [`${BASE}/views/:analyst`, () => ['view', SLUG, analyst], ({ version }) => version],
  [CONDITION, () => ['condition', SLUG, 'earnings-revisions'], () => expect.any(Number)],
  ['/v1/instruments', () => 'instruments', ({ symbol }) => symbol],
  ['/v1/series', () => 'series', ({ key }) => key],
  [
    OBSERVATIONS,
    () => ['observations', 'us-30y-yield', null, 'newest', '0001-01-01', 'infinity'],
    ({ date }) => [date, AT],
  ],
  [
    `${OBSERVATIONS}?asOf=2026-11-20T16:00:00Z&vintages=newest&from=2026-01-01`,
    () => [
      'observations',
      'us-30y-yield',
      '2026-11-20T16:00:00.000Z',
      'newest',
      '2026-01-01',
      'infinity',
    ],
    ({ date }) => [date, AT],
  ],
  ['/v1/keys', () => 'keys', createdAt],
  ['/v1/webhooks', () => 'webhooks', createdAt],
  ['/v1/audit?kind=write', () => ['audit', 'write', null], idOf],
  [
    '/v1/outlooks?sort=slug',
    () => expect.objectContaining({ instrument: null, sort: 'slug', asOf: null }),
    ({ slug }) => [AT, [slug], expect.any(String)],
  ],
  [
    '/v1/outlooks',
    () => expect.objectContaining({ instrument: null, sort: '-publishedAt', asOf: null }),
    () => [AT, [AT, expect.any(Number)], expect.any(String)],
  ],
];

test.for(LISTS)(
  'the cursors of %s hold a scope and a position',
  async ([path, scope, position]) => {
    const url = path.replace(':analyst', analyst);
    const list = (query: string) =>
      ledger.call({ url: `${url}${url.includes('?') ? '&' : '?'}${query}`, as: 'admin' });
    const first = await list('limit=1');
    expect(first.statusCode, first.body).toBe(200);
    const page = first.json<{ items?: Item[]; changes?: Item[]; nextCursor: string }>();
    const [last] = page.items ?? page.changes ?? [];
    const content = JSON.parse(Buffer.from(page.nextCursor, 'base64url').toString()) as unknown;
    expect(content).toEqual([scope(), position(last as Item)]);
    const second = await list(`limit=1&cursor=${page.nextCursor}`);
    expect(second.statusCode, second.body).toBe(200);
    expect(second.json()).not.toEqual(first.json());
  },
);

test('a cursor of deliveries holds the place of an event in the log, not its position as before', async () => {
  const statusOf = async (...scope: string[]) => {
    const content = JSON.stringify([['deliveries', webhook, ...scope], 5]);
    const cursor = Buffer.from(content).toString('base64url');
    const url = `/v1/webhooks/${webhook}/deliveries?cursor=${cursor}`;
    return (await ledger.call({ url, as: 'admin' })).statusCode;
  };
  expect(await statusOf('by place in the log')).toBe(200);
  expect(await statusOf()).toBe(422);
});
