import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { publish } from '../support/outlooks.ts';

const VERSIONS = 7;
const LIST = `/v1/outlooks/${SLUG}/versions`;
let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  for (let version = 2; version <= VERSIONS; version += 1) await revise(version);
});
afterAll(() => ledger.close());

type Entry = { version: number; change: { previousVersion: number | null } };
type Page = { items: Entry[]; nextCursor: string | null };

async function revise(version: number): Promise<void> {
  ledger.clock.now = new Date(Date.UTC(2026, 10, 20, 16, version));
  const probabilities = { bear: version / 100, base: 0.5, bull: (50 - version) / 100 };
  const revised = await ledger.revise({ probabilities, rationale: `Version ${version}.` });
  expect(revised.statusCode).toBe(201);
}

async function page(url: string): Promise<Page & { next: string | null }> {
  const answer = await ledger.call({ url });
  expect(answer.statusCode).toBe(200);
  const next = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? null;
  return { ...answer.json<Page>(), next };
}

test('versions are listed newest first, each as in its own representation', async () => {
  const { items } = await page(LIST);
  expect(items.map(({ version }) => version)).toEqual([7, 6, 5, 4, 3, 2, 1]);
  for (const entry of items) {
    const whole = await ledger.call({ url: `${LIST}/${entry.version}` });
    expect(whole.json()).toMatchObject(entry);
  }
});

test.for([1, 2, 3, 6, 7, 8, 100])('a walk by %i shows each version once', async (limit) => {
  const seen: number[] = [];
  let url: string | null = `${LIST}?limit=${limit}`;
  while (url !== null) {
    const { items, next, nextCursor }: Page & { next: string | null } = await page(url);
    expect(items.length).toBeLessThanOrEqual(limit);
    expect(next === null).toBe(nextCursor === null);
    seen.push(...items.map(({ version }) => version));
    url = next;
  }
  expect(seen).toEqual([7, 6, 5, 4, 3, 2, 1]);
});

test('a walk continues at its place while new versions are published', async () => {
  const first = await page(`${LIST}?limit=3`);
  const newest = first.items[0]?.version ?? 0;
  await revise(newest + 1);
  const second = await page(String(first.next));
  await revise(newest + 2);
  const third = await page(String(second.next));
  const seen = [...first.items, ...second.items, ...third.items].map(({ version }) => version);
  expect(seen).toEqual(Array.from({ length: newest }, (_, index) => newest - index));
});

test("one outlook's cursor does not work for another's versions", async () => {
  await publish(ledger, 'another');
  const { nextCursor } = await page(`${LIST}?limit=1`);
  const answer = await ledger.call({ url: `/v1/outlooks/another/versions?cursor=${nextCursor}` });
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

test.for([
  ['0', 'must be'],
  ['01', 'must be'],
  ['-1', 'must be'],
  ['1.0', 'must be'],
  ['1e1', 'must be'],
  ['latest', 'must be'],
  ['%20', 'must be'],
  ['2147483648', 'must be at most 2147483647'],
  ['99999999999999999999', 'must be'],
] as const)('no version is numbered %s', async ([number, detail]) => {
  const answer = await ledger.call({ url: `${LIST}/${number}` });
  expect(answer.statusCode).toBe(404);
  expect(answer.json()).toMatchObject({
    type: '/problems/not-found',
    errors: [
      { pointer: '/version', detail: expect.stringContaining(detail) as string, in: 'path' },
    ],
  });
});
