import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Role } from '../../src/domain/api-keys.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { outlookBody, send } from '../support/requests.ts';

type Item = {
  slug: string;
  status: string;
  version: number;
  horizon: { to: string };
  author: { id: string; name: string };
};

// By two authors in turn, a minute apart, with horizons that end a month apart.
const SLUGS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const OUTCOMES: Record<string, string> = { a: 'bear', b: 'base', c: 'bull', d: 'bear', e: 'void' };
const endOf = (index: number) => `2027-0${index + 1}-01`;
const authorOf = (index: number): Role => (index % 2 === 0 ? 'analyst' : 'admin');

let ledger: TestLedger;
let all: Item[];
beforeAll(async () => {
  ledger = await startLedger({ samples: false });
  await post('/v1/instruments', { symbol: 'RUT', name: 'R', kind: 'index' });
  for (const [index, slug] of SLUGS.entries()) {
    ledger.clock.now = new Date(Date.parse('2026-11-20T16:00:00Z') + index * 60_000);
    const horizon = { from: '2026-03-31', to: endOf(index) };
    await post('/v1/outlooks', outlookBody({ slug, horizon }), authorOf(index));
  }
  for (const [slug, outcome] of Object.entries(OUTCOMES)) {
    await post(`/v1/outlooks/${slug}/resolution`, { outcome, reason: 'It came about.' });
  }
  // Corrected, taken back, and withdrawn by the other author.
  await post('/v1/outlooks/d/resolution', { outcome: 'bull', supersedes: 1, reason: 'Corrected.' });
  await post('/v1/outlooks/c/resolution', { outcome: 'reopened', supersedes: 1, reason: 'Early.' });
  ledger.clock.now = new Date('2026-11-21T16:00:00Z');
  await post('/v1/outlooks/g/withdrawal', { rationale: 'No use.' }, 'admin');
  all = await walk('');
});
afterAll(() => ledger.close());

async function post(url: string, body: unknown, as: Role = 'analyst'): Promise<void> {
  const answer = await send(ledger, 'POST', url, body, { as });
  expect(answer.statusCode, answer.body).toBe(201);
}

/** The items of all pages of a list. */
async function walk(query: string): Promise<Item[]> {
  const items: Item[] = [];
  for (let url = `/v1/outlooks?limit=3&${query}`; url !== '';) {
    const answer = await ledger.call({ url });
    expect(answer.statusCode, answer.body).toBe(200);
    items.push(...answer.json<{ items: Item[] }>().items);
    url = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? '';
  }
  return items;
}
const find = async (query: string) => (await walk(query)).map(({ slug }) => slug).toSorted();

test.for<[query: string, found: string[]]>([
  ['outcome=bear', ['a']],
  ['outcome=base', ['b']],
  ['outcome=bull', ['d']],
  ['outcome=void', ['e']],
  ['outcome=void&status=open', []],
  ['horizonEndsBefore=2027-03-01', ['a', 'b']],
  ['horizonEndsAfter=2027-06-01', ['g', 'h']],
  ['horizonEndsAfter=2027-02-01&horizonEndsBefore=2027-04-01', ['c']],
  ['horizonEndsBefore=2027-01-01', []],
  ['author=analyst%20desk', ['a', 'c', 'e']],
  ['author=%EF%BC%A1nalyst%20desk', []],
  ['author=%EF%BD%81nalyst%20desk', ['a', 'c', 'e']],
  ['author=admin%20desk', ['b', 'd', 'f', 'g', 'h']],
  ['author=nobody', []],
  ['author=00000000-0000-4000-8000-000000000000', []],
  ['author=analyst%20desk&asOf=2026-11-21T00:00:00Z', ['a', 'c', 'e', 'g']],
  ['author=admin%20desk&outcome=bull&horizonEndsAfter=2027-01-01&q=russell', ['d']],
])('%s finds %j', async ([query, found]) => {
  expect(await find(query)).toEqual(found);
});

test('an author is found by id as by name', async () => {
  expect(all).toHaveLength(SLUGS.length);
  const [id = ''] = all.filter(({ slug }) => slug === 'a').map(({ author }) => author.id);
  expect(await find(`author=${id}`)).toEqual(['a', 'c', 'e']);
  expect(await find(`author=${id.toUpperCase()}`)).toEqual(['a', 'c', 'e']);
});

test('filters together find what each of them finds, in every order', async () => {
  const days = fc.constantFrom(...SLUGS.map((_, index) => endOf(index)));
  const choice = fc.record(
    {
      author: fc.constantFrom('analyst desk', 'admin desk'),
      outcome: fc.constantFrom('bear', 'base', 'bull', 'void'),
      horizonEndsAfter: days,
      horizonEndsBefore: days,
      status: fc.constantFrom('open', 'resolved'),
      sort: fc.constantFrom('-publishedAt', 'publishedAt', 'slug'),
    },
    { requiredKeys: [] },
  );
  const outcomes: Record<string, string> = { a: 'bear', b: 'base', d: 'bull', e: 'void' };
  await fc.assert(
    fc.asyncProperty(choice, async ({ sort = '-publishedAt', ...filters }) => {
      const { author, outcome, horizonEndsAfter: after, horizonEndsBefore: before } = filters;
      fc.pre(after === undefined || before === undefined || after < before);
      const kept = all.filter(
        (item) =>
          (author === undefined || item.author.name === author) &&
          (outcome === undefined || outcomes[item.slug] === outcome) &&
          (after === undefined || item.horizon.to > after) &&
          (before === undefined || item.horizon.to < before) &&
          (filters.status === undefined || item.status === filters.status),
      );
      const query = new URLSearchParams({ ...filters, sort }).toString();
      expect(await find(query)).toEqual(kept.map(({ slug }) => slug).toSorted());
    }),
    { numRuns: 60 },
  );
});
