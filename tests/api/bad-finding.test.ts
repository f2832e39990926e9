import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf } from '../support/requests.ts';

// Queries that the list of outlooks refuses, and how.

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  for (const slug of ['a', 'b', 'c', 'd', 'e']) {
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 60_000);
    await createOutlook(ledger, { slug, title: 'Zircon' });
  }
});
afterAll(() => ledger.close());

const list = (query: string) => ledger.call({ url: `/v1/outlooks?${query}` });

describe('refused', () => {
  const DAY = 'must be a valid date, such as 2026-03-31';
  const NUMBER = 'must be a number, such as 0.35';
  const NO_WORD = 'must contain a letter or a digit to search for';
  test.for<[query: string, faults: Record<string, string>]>([
    ['reviewDue=yes', { reviewDue: 'must be true or false' }],
    ['reviewDue=', { reviewDue: 'must be true or false' }],
    ['reviewDue=TRUE', { reviewDue: 'must be true or false' }],
    ['reviewDue=true&reviewDue=true', { reviewDue: 'must be true or false' }],
    ['scenario=crash&minProbability=0', { scenario: 'must be one of bear, base, bull' }],
    ['scenario=bear', { scenario: 'requires minProbability, maxProbability or both' }],
    ['minProbability=0.1', { scenario: 'is required with minProbability: bear, base or bull' }],
    [
      'minProbability=0.1&maxProbability=0.2',
      { scenario: 'is required with minProbability and maxProbability: bear, base or bull' },
    ],
    [
      'scenario=bear&minProbability=0.3001&maxProbability=0.3',
      { minProbability: 'must not be more than maxProbability, 0.3' },
    ],
    [
      'scenario=bear&minProbability=35',
      { minProbability: 'probabilities are fractions: 35 % is 0.35' },
    ],
    [
      'scenario=bear&maxProbability=-0.1',
      { maxProbability: 'must not be negative: a probability is between 0 and 1' },
    ],
    [
      'scenario=bear&maxProbability=0.33333',
      {
        maxProbability: 'has more than four decimals; the smallest step is 0.0001, so write 0.3333',
      },
    ],
    ['scenario=bear&maxProbability=1000', { maxProbability: 'must be between 0 and 1' }],
    ...['', 'x', '.5', '0.', '0x1', ' 0.5', '0,5', '%2B0.5', 'NaN', '0.3e'].map(
      (text): [string, Record<string, string>] => [
        `scenario=bear&minProbability=${text}`,
        { minProbability: NUMBER },
      ],
    ),
    [
      'scenario=bear&minProbability=0.1&minProbability=0.2',
      { minProbability: 'must be given once' },
    ],
    [
      'updatedSince=yesterday',
      { updatedSince: 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z' },
    ],
    [
      'updatedSince=2026-11-20T16:00:00+01:00',
      { updatedSince: 'must be a timestamp; write the + of its offset as %2B' },
    ],
    [
      'asOf=2026-11-20',
      { asOf: 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z' },
    ],
    ['sort=title', { sort: 'must be one of -publishedAt, publishedAt, slug, relevance' }],
    [
      'sort=relevance',
      { sort: 'relevance requires q: send words to search for, or sort by publishedAt or slug' },
    ],
    ['q=', { q: 'must not be blank; leave q out to list all' }],
    ['q=%20%09', { q: 'must not be blank; leave q out to list all' }],
    [`q=${'z'.repeat(201)}`, { q: 'must have at most 200 characters' }],
    ['q=zir%00con', { q: 'must not contain a NUL character (%00)' }],
    ['q=zircon&q=zircon', { q: 'must be given once' }],
    ['q=%26%7C!', { q: NO_WORD }],
    ['q=%22%E2%80%A6%22%20-%20%F0%9F%93%89&sort=slug&instrument=NONE', { q: NO_WORD }],
    ['author=', { author: 'must not be blank' }],
    [`author=${'z'.repeat(301)}`, { author: 'must have at most 300 characters' }],
    ['author=a%00b', { author: 'must not contain a NUL character (\\u0000)' }],
    ['author=a&author=b', { author: 'must be given once' }],
    ['horizonEndsBefore=2026-02-30', { horizonEndsBefore: DAY }],
    ['horizonEndsAfter=2026-11-20T16:31:00Z', { horizonEndsAfter: DAY }],
    ['horizonEndsAfter=20261120', { horizonEndsAfter: DAY }],
    ['horizonEndsAfter=0000-01-01', { horizonEndsAfter: 'must not be before 0001-01-01' }],
    [
      'horizonEndsAfter=2027-01-01&horizonEndsBefore=2027-01-01',
      { horizonEndsAfter: 'must be before horizonEndsBefore, 2027-01-01' },
    ],
    ['outcome=crash', { outcome: 'must be one of bear, base, bull, void' }],
    [
      'minProbability=2&maxProbability=x&sort=relevance&reviewDue=1&updatedSince=now&asOf=now&limit=0&colour=red',
      {
        scenario: 'is required with minProbability and maxProbability: bear, base or bull',
        minProbability: 'probabilities are fractions: 2 % is 0.02',
        maxProbability: NUMBER,
        sort: 'relevance requires q: send words to search for, or sort by publishedAt or slug',
        reviewDue: 'must be true or false',
        updatedSince: 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z',
        asOf: 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z',
        limit: 'must be a whole number in 1–100',
        colour: expect.stringMatching(
          /^unknown query parameter "colour"; allowed here: instrument, .*asOf/,
        ) as string,
      },
    ],
  ])('%s: %j', async ([query, faults]) => {
    const answer = await list(query);
    expect(answer.statusCode).toBe(422);
    const problem = answer.json<{ type: string; errors: { in: string }[] }>();
    expect(problem.type).toBe('/problems/invalid-request');
    const pointed = Object.entries(faults).map(([name, detail]) => [`/${name}`, detail]);
    expect(faultsOf(problem as never)).toEqual(Object.fromEntries(pointed));
    expect(problem.errors).toHaveLength(pointed.length);
    expect(new Set(problem.errors.map((error) => error.in))).toEqual(new Set(['query']));
  });
});

describe('a cursor', () => {
  const BASE = 'q=zircon&scenario=bear&minProbability=0&limit=1';
  const cursorOf = async (query: string) =>
    (await list(query)).json<{ nextCursor: string }>().nextCursor;

  test.for([
    'q=zircons&scenario=bear&minProbability=0',
    'scenario=bear&minProbability=0',
    'q=zircon',
    'q=zircon&scenario=base&minProbability=0',
    'q=zircon&scenario=bear&maxProbability=0',
    'q=zircon&scenario=bear&minProbability=0.0001',
    'q=zircon&scenario=bear&minProbability=0&maxProbability=1',
    'q=zircon&scenario=bear&minProbability=0&instrument=RUT',
    'q=zircon&scenario=bear&minProbability=0&status=open',
    'q=zircon&scenario=bear&minProbability=0&reviewDue=false',
    'q=zircon&scenario=bear&minProbability=0&updatedSince=2026-01-01T00:00:00Z',
    'q=zircon&scenario=bear&minProbability=0&asOf=2026-11-20T16:05:00Z',
    'q=zircon&scenario=bear&minProbability=0&sort=slug',
    'q=zircon&scenario=bear&minProbability=0&sort=publishedAt',
    'q=zircon&scenario=bear&minProbability=0&sort=-publishedAt',
  ])('does not go on with %s', async (other) => {
    const [own, others] = [await cursorOf(BASE), await cursorOf(`${other}&limit=1`)];
    for (const answer of [
      await list(`${other}&cursor=${own}`),
      ...(others === null ? [] : [await list(`${BASE}&cursor=${others}`)]),
    ]) {
      expect([answer.statusCode, answer.json()]).toMatchObject([
        422,
        { errors: [{ pointer: '/cursor', in: 'query' }] },
      ]);
    }
  });

  test('continues if the same query is written differently', async () => {
    const cursor = await cursorOf(`${BASE}&asOf=2026-11-20T16:05:00Z`);
    const same = 'minProbability=0.0&sort=relevance&scenario=bear&q=zircon';
    const url = `${same}&asOf=2026-11-20T17:05:00.000%2B01:00&cursor=${cursor}`;
    expect((await list(url)).json()).toMatchObject({
      items: ['d', 'c', 'b', 'a'].map((slug) => ({ slug })),
      nextCursor: null,
    });
  });

  test.for<[sort: string, keys: unknown[]]>([
    ['slug', [['\u0000'], [''], ['A'], [1], [], ['a', 'b'], 'a', null]],
    ['publishedAt', [[0], [0, 0], [-1, 1], [1e300, 1], ['a', 1], [null, null], {}]],
    [
      'relevance',
      [
        [0, 0, 0],
        ['0', 0, 1],
        [null, 0, 1],
        [0, 1],
      ],
    ],
  ])('of the order by %s with another key is refused', async ([sort, keys]) => {
    const query = `q=zircon&limit=1&sort=${sort}`;
    const decoded = Buffer.from(await cursorOf(query), 'base64url').toString();
    const [sent, position] = JSON.parse(decoded) as [unknown, unknown[]];
    for (const key of keys) {
      const forged = JSON.stringify([sent, position.with(1, key)]);
      const answer = await list(`${query}&cursor=${Buffer.from(forged).toString('base64url')}`);
      expect([answer.statusCode, answer.json()]).toMatchObject([
        422,
        {
          errors: [
            {
              pointer: '/cursor',
              detail:
                'does not come from this list: send a `nextCursor` unchanged, or start without a cursor',
            },
          ],
        },
      ]);
    }
  });
});
