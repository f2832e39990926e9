import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';

const EVIDENCE = `/v1/outlooks/${SLUG}/evidence`;
const LISTS = [
  '/v1/outlooks',
  `/v1/outlooks/${SLUG}/versions`,
  EVIDENCE,
  '/v1/instruments',
  '/v1/keys',
];
let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  await send(ledger, 'POST', '/v1/instruments', { symbol: 'SPX', name: 'S', kind: 'index' });
  await createOutlook(ledger, { slug: 'another' });
  const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
  await ledger.revise({ probabilities, rationale: 'R' });
  const item = { summary: 'S', publisher: 'P', publishedAt: '2026-11-17T12:00:00Z' };
  for (const headline of ['A', 'B']) await send(ledger, 'POST', EVIDENCE, { headline, ...item });
});
afterAll(() => ledger.close());

const list = (url: string) => ledger.call({ url, as: 'admin' });
const cursorOf = async (url: string): Promise<string> =>
  (await list(`${url}${url.includes('?') ? '&' : '?'}limit=1`)).json<{ nextCursor: string }>()
    .nextCursor;
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decoded = (cursor: string) =>
  JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [unknown, unknown[]];

const answerTo = async (url: string, cursor: string) => ({
  cursor,
  answer: (await list(`${url}?cursor=${encodeURIComponent(cursor)}`)).json<object>(),
});
const refused = (cursor: string) => ({
  cursor,
  answer: {
    type: '/problems/invalid-request',
    status: 422,
    errors: [{ pointer: '/cursor', in: 'query' }],
  },
});

describe.each(LISTS)('%s', (url) => {
  test('continues by a cursor of its own', async () => {
    const answer = await list(`${url}?limit=1&cursor=${await cursorOf(url)}`);
    expect(answer.json<{ items: unknown[] }>().items).toHaveLength(1);
  });

  test.for(LISTS.filter((other) => other !== url))('refuses a cursor of %s', async (other) => {
    const cursor = await cursorOf(other);
    expect(await answerTo(url, cursor)).toMatchObject(refused(cursor));
  });

  test('refuses a text that never was a cursor', async () => {
    const own = await cursorOf(url);
    const [query] = decoded(own);
    const never = ['', ' ', '0', 'null', 'next', '%00', '\ud83d\ude00', 'a'.repeat(12_000)];
    const json = [
      null,
      0,
      '',
      [],
      {},
      [query],
      [query, null],
      [query, 2 ** 31],
      [query, []],
      [query, {}],
      [query, [[]]],
    ];
    const mangled = [own.slice(1), `${own}=`, `${own}!`, ` ${own}`, `${own}.${own}`];
    for (const cursor of [...never, ...json.map(encoded), ...mangled]) {
      expect(await answerTo(url, cursor)).toMatchObject(refused(cursor));
    }
  });

  test('refuses a cursor that is sent twice, and one that is too long', async () => {
    const own = await cursorOf(url);
    const twice = await list(`${url}?cursor=${own}&cursor=${own}`);
    expect(twice.json()).toMatchObject({
      status: 422,
      errors: [{ pointer: '/cursor', detail: 'must be given once', in: 'query' }],
    });
    const long = 'a'.repeat(12_001);
    expect(await answerTo(url, long)).toMatchObject(refused(long));
  });

  test('answers any other cursor with a page or a refusal, never with a 500', async () => {
    const own = await cursorOf(url);
    const [query, position] = decoded(own);
    const odd = fc.oneof(
      fc.constantFrom(null, -1, 0, 0.5, 2 ** 31, 2 ** 53, 1e308, '', '\u0000', '1:1:', 'NaN', true),
      fc.bigInt({ min: 0n, max: 2n ** 70n }).map(Number),
      fc.string(),
      fc.jsonValue({ maxDepth: 1 }),
    );
    const positions = Array.isArray(position)
      ? fc.tuple(fc.nat(position.length - 1), odd).map(([at, value]) => position.with(at, value))
      : odd;
    const cursors = fc.oneof(
      positions.map((tampered) => encoded([query, tampered])),
      fc.jsonValue().map(encoded),
      fc.base64String().map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(cursors, async (cursor) => {
        const answer = await list(`${url}?cursor=${encodeURIComponent(cursor)}`);
        expect([200, 422]).toContain(answer.statusCode);
      }),
      { numRuns: 100 },
    );
  });
});

describe('a snapshot in a cursor of the outlooks', () => {
  const withSnapshot = async (snapshot: unknown): Promise<string> => {
    const [query, position] = decoded(await cursorOf('/v1/outlooks'));
    return encoded([query, position.with(2, snapshot)]);
  };

  test.for([
    '',
    ':',
    '1:2',
    '0:1:',
    '2:1:',
    '1:1:1',
    '1:3:3',
    '2:5:1',
    '1:5:3,2',
    '1:5:2,2',
    '1:5:2,',
    '-1:5:',
    '1:5:x',
    '1:5: ',
    '1:1:\n',
    '99999999999999999999:99999999999999999999:',
    `1:9:${'2,'.repeat(4000)}3`,
  ])('%j that Postgres did not write is refused', async (snapshot) => {
    const cursor = await withSnapshot(snapshot);
    expect(await answerTo('/v1/outlooks', cursor)).toMatchObject(refused(cursor));
  });

  test.for(['1:1:', '1:999999999999999999:', '1:5:1,2,4'])('%s is read', async (snapshot) => {
    const answer = await list(`/v1/outlooks?cursor=${await withSnapshot(snapshot)}`);
    expect(answer.statusCode).toBe(200);
  });
});

test.for<[from: string, to: string]>([
  ['/v1/outlooks?instrument=RUT', '/v1/outlooks'],
  ['/v1/outlooks', '/v1/outlooks?instrument=RUT'],
  ['/v1/outlooks?status=open', '/v1/outlooks?status=void'],
  ['/v1/outlooks?status=open', '/v1/outlooks?instrument=RUT&status=open'],
])('a cursor of %s does not go on with %s', async ([from, to]) => {
  const cursor = await cursorOf(from);
  const answer = await list(`${to}${to.includes('?') ? '&' : '?'}cursor=${cursor}`);
  expect(answer.statusCode).toBe(422);
  expect(answer.json()).toMatchObject({
    errors: [
      {
        pointer: '/cursor',
        detail:
          'belongs to a query with other filters: keep the filters, or start without a cursor',
        in: 'query',
      },
    ],
  });
});

describe.each(LISTS)('the limit of %s', (url) => {
  test.for(['0', '101', '-1', '1.5', '1e1', '0x10', '', ' 5', 'all', '9999999999', '1&limit=2'])(
    'is not %j',
    async (limit) => {
      const answer = await list(`${url}?limit=${limit}`);
      expect(answer.statusCode).toBe(422);
      expect(answer.json()).toMatchObject({
        type: '/problems/invalid-request',
        errors: [{ pointer: '/limit', detail: 'must be a whole number in 1–100', in: 'query' }],
      });
    },
  );

  test.for(['1', '100'])('may be %s', async (limit) => {
    expect((await list(`${url}?limit=${limit}`)).statusCode).toBe(200);
  });
});
