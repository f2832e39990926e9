import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, outlookBody, send } from '../support/requests.ts';
import { changeState } from '../support/plain-sql.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  await send(ledger, 'POST', '/v1/instruments', { symbol: 'SPX', name: 'S&P', kind: 'index' });
  for (let index = 0; index < 8; index += 1) {
    tick();
    await create(index % 2 === 0 ? 'RUT' : 'SPX');
  }
});
afterAll(() => ledger.close());

type Item = { slug: string; version: number; publishedAt: string };
type Page = { items: Item[]; nextCursor: string | null };

let created = 0;
const tick = () => {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + 1000);
};

async function create(instrument = 'RUT'): Promise<void> {
  const answer = await createOutlook(ledger, { slug: `case-${(created += 1)}`, instrument });
  expect(answer.statusCode).toBe(201);
}

async function revise(slug: string): Promise<void> {
  const url = `/v1/outlooks/${slug}`;
  const { version } = (await ledger.call({ url })).json<Item>();
  const probabilities = { bear: version / 10_000, base: 0.5, bull: 0.5 - version / 10_000 };
  const body = { probabilities, rationale: 'R' };
  expect((await send(ledger, 'POST', `${url}/revisions`, body)).statusCode).toBe(201);
}

async function page(url: string): Promise<Page & { next: string | null }> {
  const answer = await ledger.call({ url });
  expect(answer.statusCode).toBe(200);
  const next = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? null;
  return { ...answer.json<Page>(), next };
}

async function walk(query: string): Promise<Item[]> {
  const items: Item[] = [];
  let url: string | null = `/v1/outlooks?${query}`;
  while (url !== null) {
    const { items: found, next }: Page & { next: string | null } = await page(url);
    items.push(...found);
    url = next;
  }
  return items;
}

const slugsOf = (items: readonly Item[]) => items.map(({ slug }) => slug);
describe('the list of outlooks', () => {
  test('shows the newest publication first, each outlook at its current version', async () => {
    tick();
    await revise('case-3');
    const items = await walk('limit=100');
    expect(slugsOf(items).slice(0, 3)).toEqual(['case-3', 'case-8', 'case-7']);
    expect(items).toHaveLength(created + 1);
    for (const item of items) {
      expect((await ledger.call({ url: `/v1/outlooks/${item.slug}` })).json()).toMatchObject(item);
    }
  });

  test('shows 20 outlooks a page by default', async () => {
    while (created < 21) await create();
    const first = await page('/v1/outlooks');
    expect(first.items).toHaveLength(20);
    expect((await page(String(first.next))).items).toHaveLength(2);
  });

  test.for([1, 2, 5, 21, 22, 23, 100])('is the same walked by %i', async (limit) => {
    expect(await walk(`limit=${limit}`)).toEqual(await walk('limit=100'));
  });

  test('continues by the cursor in the body as by the link', async () => {
    const { nextCursor, next } = await page('/v1/outlooks?limit=5&instrument=RUT');
    const byCursor = await page(`/v1/outlooks?instrument=RUT&limit=5&cursor=${nextCursor}`);
    expect(byCursor.items).toEqual((await page(String(next))).items);
  });

  test('takes another limit on the way', async () => {
    const { items, nextCursor } = await page('/v1/outlooks?limit=5');
    const rest = await page(`/v1/outlooks?limit=100&cursor=${nextCursor}`);
    expect([...items, ...rest.items]).toEqual(await walk('limit=100'));
  });

  test('has no link after its last page', async () => {
    expect((await ledger.call({ url: '/v1/outlooks?limit=100' })).headers.link).toBeUndefined();
  });
});

describe('the filters', () => {
  test('by instrument find its outlooks', async () => {
    const all = await walk('limit=100');
    const onSpx = slugsOf(await walk('limit=3&instrument=SPX'));
    expect(onSpx.toSorted()).toEqual(['case-2', 'case-4', 'case-6', 'case-8']);
    const onRut = slugsOf(await walk('limit=3&instrument=RUT'));
    expect(onRut).toEqual(slugsOf(all).filter((slug) => !onSpx.includes(slug)));
  });

  test('by status find its outlooks, alone and with an instrument', async () => {
    await changeState(ledger.pool, `status = 'withdrawn'`, `slug in ('case-2', 'case-5')`);
    expect(slugsOf(await walk('limit=1&status=withdrawn'))).toEqual(['case-5', 'case-2']);
    expect(slugsOf(await walk('status=withdrawn&instrument=SPX'))).toEqual(['case-2']);
    expect(await walk('limit=100&status=open')).toHaveLength(created + 1 - 2);
    expect(await walk('status=void')).toEqual([]);
    await changeState(ledger.pool, `status = 'open'`);
  });

  test('by a missing instrument find none', async () => {
    expect(await walk('instrument=NONE')).toEqual([]);
  });
});

test('an empty ledger lists nothing', async () => {
  const empty = await startLedger({ samples: false });
  const lists = ['/v1/outlooks', '/v1/instruments'].map((url) => empty.call({ url }));
  for (const answer of await Promise.all(lists)) {
    expect(answer.json()).toEqual({ items: [], nextCursor: null });
  }
  const body = outlookBody();
  expect((await send(empty, 'POST', '/v1/outlooks', body)).json()).toMatchObject({
    errors: [{ pointer: '/instrument' }],
  });
  await empty.close();
});
