import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SCENARIO_NAMES, type ScenarioName } from '../../src/domain/probabilities.ts';
import { changeState } from '../support/plain-sql.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, patchFramework, send } from '../support/requests.ts';

type Item = {
  slug: string;
  instrument: { symbol: string };
  status: string;
  review: { due: boolean; reasons: string[] };
  publishedAt: string;
  probabilities: Record<ScenarioName, number>;
};

const START = Date.parse('2026-11-20T16:00:00.000Z');
const headwind = { key: 'h', rank: 1, title: 'T', description: 'D' };
const condition = { key: 'c', invalidates: 'bear', statement: 'S' };

// One a minute, from START on.
const OUTLOOKS: [slug: string, points: [number, number, number], rest?: object][] = [
  ['in-headwind-text', [2000, 3000, 5000], { headwinds: [{ ...headwind, description: 'Zircon' }] }],
  ['in-summary', [2001, 3000, 4999], { summary: 'Zircon it is.', instrument: 'SPX' }],
  ['in-title', [1999, 3000, 5001], { title: 'Zircon squeezes' }],
  ['in-headwind-title', [0, 0, 10_000], { headwinds: [{ ...headwind, title: 'No zircon' }] }],
  [
    'in-condition',
    [10_000, 0, 0],
    { invalidationConditions: [{ ...condition, statement: 'Zircon?' }] },
  ],
  ['nowhere', [2000, 8000, 0], { summary: 'Gallium squeezes arsenide.', instrument: 'SPX' }],
];
let ledger: TestLedger;

async function publish(...[slug, points, rest]: (typeof OUTLOOKS)[number]): Promise<void> {
  const [bear = 0, base = 0, bull = 0] = points.map((value) => value / 10_000);
  const body = { slug, probabilities: { bear, base, bull }, title: 'Ores', summary: 'Ores.' };
  const plain = { headwinds: [], invalidationConditions: [], instrument: 'RUT' };
  const answer = await createOutlook(ledger, { ...body, ...plain, ...rest });
  expect(answer.statusCode, answer.body).toBe(201);
}

beforeAll(async () => {
  ledger = await startLedger({ samples: false });
  for (const symbol of ['RUT', 'SPX']) {
    await send(ledger, 'POST', '/v1/instruments', { symbol, name: symbol, kind: 'index' });
  }
  for (const [index, outlook] of OUTLOOKS.entries()) {
    ledger.clock.now = new Date(START + index * 60_000);
    await publish(...outlook);
  }
  await changeState(ledger.pool, `status = 'withdrawn'`, `slug = 'in-condition'`);
  const due = `review_reasons = '{"rates rose"}'`;
  await changeState(ledger.pool, due, `slug in ('in-title', 'nowhere')`);
});
afterAll(() => ledger.close());

const list = (query: string) => ledger.call({ url: `/v1/outlooks?${query}` });
async function find(query: string): Promise<Item[]> {
  const answer = await list(query);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<{ items: Item[] }>().items;
}
const slugs = async (query: string) => (await find(query)).map(({ slug }) => slug);
const minute = (index: number) => new Date(START + index * 60_000).toISOString();
const encoded = (text: string) => encodeURIComponent(text);

describe('the filters', () => {
  test.for<[query: string, found: string[]]>([
    [
      'scenario=bear&minProbability=0.2',
      ['nowhere', 'in-condition', 'in-summary', 'in-headwind-text'],
    ],
    ['scenario=bear&minProbability=0.2001', ['in-condition', 'in-summary']],
    ['scenario=bear&maxProbability=0.1999', ['in-headwind-title', 'in-title']],
    ['scenario=bear&minProbability=0.2&maxProbability=0.2000', ['nowhere', 'in-headwind-text']],
    ['scenario=base&minProbability=0.8', ['nowhere']],
    ['scenario=base&maxProbability=0', ['in-condition', 'in-headwind-title']],
    ['scenario=bull&minProbability=1', ['in-headwind-title']],
    ['scenario=bull&minProbability=0.5&maxProbability=0.5001', ['in-title', 'in-headwind-text']],
    ['scenario=bull&minProbability=0.6&maxProbability=0.9', []],
    ['reviewDue=true', ['nowhere', 'in-title']],
    ['reviewDue=false&instrument=SPX', ['in-summary']],
    ['status=withdrawn', ['in-condition']],
    [`updatedSince=${minute(4)}`, ['nowhere', 'in-condition']],
    ['updatedSince=2026-11-20T16:04:00.001Z', ['nowhere']],
    ['updatedSince=2026-11-20T17:05:00%2B01:00', ['nowhere']],
    ['updatedSince=9999-12-31T23:59:59.999Z', []],
    ['reviewDue=true&instrument=SPX&scenario=base&minProbability=0.5&q=gallium', ['nowhere']],
    ['reviewDue=true&instrument=SPX&scenario=base&maxProbability=0.5&q=gallium', []],
  ])('%s keeps %j', async ([query, found]) => {
    expect(await slugs(query)).toEqual(found);
  });

  test('show a review while it is due, with its reasons', async () => {
    const [due] = await find('reviewDue=true');
    expect(due?.review).toEqual({ due: true, reasons: ['rates rose'] });
    const [settled] = await find('reviewDue=false');
    expect(settled?.review).toEqual({ due: false, reasons: [] });
  });

  test('together find what each of them finds, in the requested order', async () => {
    const all = await find('limit=100');
    const choice = fc.record(
      {
        instrument: fc.constantFrom('RUT', 'SPX'),
        status: fc.constantFrom('open', 'withdrawn'),
        reviewDue: fc.boolean(),
        bounds: fc.record({
          scenario: fc.constantFrom(...SCENARIO_NAMES),
          min: fc.constantFrom(0, 0.1999, 0.2, 0.5),
          max: fc.constantFrom(0.5, 0.5001, 1),
        }),
        since: fc.nat(6),
        sort: fc.constantFrom('-publishedAt', 'publishedAt', 'slug'),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(choice, async ({ bounds, since, ...rest }) => {
        const { instrument, status, reviewDue, sort = '-publishedAt' } = rest;
        const kept = all.filter(
          (item) =>
            (instrument === undefined || item.instrument.symbol === instrument) &&
            (status === undefined || item.status === status) &&
            (reviewDue === undefined || item.review.due === reviewDue) &&
            (bounds === undefined ||
              (item.probabilities[bounds.scenario] >= bounds.min &&
                item.probabilities[bounds.scenario] <= bounds.max)) &&
            (since === undefined || item.publishedAt >= minute(since)),
        );
        const key = sort === 'slug' ? 'slug' : 'publishedAt';
        const ordered = kept.toSorted((a, b) => (a[key] < b[key] ? -1 : 1));
        const query = new URLSearchParams();
        for (const [name, value] of Object.entries(rest)) query.set(name, `${value}`);
        if (bounds) {
          query.set('scenario', bounds.scenario);
          query.set('minProbability', `${bounds.min}`);
          query.set('maxProbability', `${bounds.max}`);
        }
        if (since !== undefined) query.set('updatedSince', minute(since));
        expect(await find(query.toString())).toEqual(
          sort.startsWith('-') ? ordered.toReversed() : ordered,
        );
      }),
      { numRuns: 100 },
    );
  });

  test('consider the current version, not earlier ones', async () => {
    const body = { probabilities: { bear: 0.6, base: 0.4, bull: 0 }, rationale: 'R' };
    const url = '/v1/outlooks/in-headwind-text';
    expect((await send(ledger, 'POST', `${url}/revisions`, body)).statusCode).toBe(201);
    expect(await slugs('scenario=bear&minProbability=0.6&status=open')).toEqual([
      'in-headwind-text',
    ]);
    expect(await slugs('scenario=bull&minProbability=0.5&maxProbability=0.5')).toEqual([]);
    const back = { ...body, probabilities: { bear: 0.2, base: 0.3, bull: 0.5 } };
    expect((await send(ledger, 'POST', `${url}/revisions`, back)).statusCode).toBe(201);
  });
});

// Characters that are special in searches, SQL or URLs, one by one.
const SPECIAL = `ab '"\\-&|!():*<>\u0000%;,`.split('');

describe('a search', () => {
  const WEIGHED = [
    'in-title',
    'in-headwind-title',
    'in-condition',
    'in-summary',
    'in-headwind-text',
  ];

  test('ranks the title first, then titles of headwinds, then other text; among equals the newest', async () => {
    expect(await slugs('q=zircon')).toEqual(WEIGHED);
    expect(await slugs('q=zircon&sort=relevance')).toEqual(WEIGHED);
    expect(await slugs('q=zircon&sort=slug')).toEqual(WEIGHED.toSorted());
    expect(await slugs('q=zircon&sort=publishedAt')).toHaveLength(5);
  });

  test('continues in its order, page by page', async () => {
    const walked: string[] = [];
    for (let url = '/v1/outlooks?q=zircon&limit=1'; url !== '';) {
      const answer = await ledger.call({ url });
      walked.push(...answer.json<{ items: Item[] }>().items.map(({ slug }) => slug));
      url = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? '';
    }
    expect(walked).toEqual(WEIGHED);
  });

  test.for<[q: string, found: string[]]>([
    ['ZIRCONS', WEIGHED],
    ['squeeze', ['in-title', 'nowhere']],
    ['squeezing zircon', ['in-title']],
    ['"gallium squeezes"', ['nowhere']],
    ['"squeezes gallium"', []],
    ['zircon -squeeze', WEIGHED.slice(1)],
    ['germanium or gallium', ['nowhere']],
    ['squeeze -zircon', ['nowhere']],
    ['the gallium of the', ['nowhere']],
    ['germanium', []],
  ])('for %s finds %j', async ([q, found]) => {
    expect(await slugs(`q=${encoded(q)}`)).toEqual(found);
  });

  test('finds by the current wording, not by earlier ones', async () => {
    const change = (title: string) =>
      patchFramework(ledger, { rationale: 'R', title }, { slug: 'nowhere' });
    // Nothing there is to answer, whatever its state was made to say.
    await changeState(ledger.pool, `review_reasons = '{}'`, `slug = 'nowhere'`);
    expect((await change('Tungsten')).statusCode).toBe(201);
    expect((await change('Cobalt')).statusCode).toBe(201);
    expect(await slugs('q=tungsten')).toEqual([]);
    expect(await slugs('q=cobalt')).toEqual(['nowhere']);
    expect((await change('Ores')).statusCode).toBe(201);
    await changeState(ledger.pool, `review_reasons = '{"rates rose"}'`, `slug = 'nowhere'`);
  });

  test.for([
    `'; drop table outlooks; --`,
    `zircon' or '1'='1`,
    'zircon:*',
    ':*',
    '&|!',
    '!!!',
    '"zircon',
    'zircon"',
    '"',
    "'",
    '\\',
    '\\"zircon\\"',
    '(zircon',
    '<->',
    'zircon <2> squeeze',
    '-',
    '-zircon',
    '- -',
    'or',
    'or or or',
    '%',
    '$1',
    '\u{1f4a5}',
    '\u0001\u007f',
    '\u200b',
    'ﬀ ß İ',
    'z'.repeat(200),
    '\u{10ffff}'.repeat(100),
    '-'.repeat(200),
    '"a '.repeat(50),
  ])('for %j is answered or refused at q', async (q) => {
    const answer = await list(`q=${encoded(q)}`);
    expect([200, 422]).toContain(answer.statusCode);
    expect(Object.keys(faultsOf(answer.json()))).toEqual(answer.statusCode === 200 ? [] : ['/q']);
    expect(await slugs('q=gallium')).toEqual(['nowhere']);
  });

  test('for any text is answered or refused at q', async () => {
    const unit = fc.constantFrom('-', '- ', '"-', 'the ', ' or ', 'ä', '\u{1f600}', ...SPECIAL);
    const texts = fc.oneof(fc.string({ unit }), fc.string({ unit: 'binary' }));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        expect([200, 422]).toContain((await list(`q=${encoded(text.toWellFormed())}`)).statusCode);
      }),
      { numRuns: 100 },
    );
  });
});
