import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';

// The list of outlooks is ordered by what writers change. What a walk through it promises meanwhile.

const OUTLOOKS = 10;
let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  while (created < OUTLOOKS) await create();
});
afterAll(() => ledger.close());

type Item = { slug: string; version: number };
let created = 0;

async function create(): Promise<void> {
  const answer = await createOutlook(ledger, { slug: `case-${(created += 1)}`, metrics: [] });
  expect(answer.statusCode).toBe(201);
}

/** Revises one of the first outlooks, whichever `which` comes to. */
async function revise(which: number): Promise<void> {
  const url = `/v1/outlooks/case-${(which % OUTLOOKS) + 1}`;
  const { version } = (await ledger.call({ url })).json<Item>();
  const probabilities = { bear: version / 10_000, base: 0.5, bull: 0.5 - version / 10_000 };
  await send(ledger, 'POST', `${url}/revisions`, { probabilities, rationale: 'R' });
}

/** What all pages show; `between` runs before each page but the first. */
async function walk(limit: number, between = async (_page: number) => {}): Promise<Item[]> {
  const items: Item[] = [];
  let url = `/v1/outlooks?limit=${limit}`;
  for (let pages = 1; url !== ''; pages += 1) {
    const answer = await ledger.call({ url });
    items.push(...answer.json<{ items: Item[] }>().items);
    url = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? '';
    if (url !== '') await between(pages);
  }
  return items;
}

const tick = (milliseconds: number) => {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + milliseconds);
};
const named = (items: readonly Item[]) => items.map(({ slug, version }) => `${slug}@${version}`);
const slugsOf = (items: readonly Item[]) => items.map(({ slug }) => slug);

test('a walk shows each outlook once, as the first page saw it, in any interleaving', async () => {
  type Step = () => Promise<unknown>;
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.nat(OUTLOOKS - 1).map((which) => () => revise(which)) },
    { weight: 1, arbitrary: fc.constant(create) },
    { weight: 3, arbitrary: fc.constantFrom(1, 1000, 3_600_000).map((by) => async () => tick(by)) },
  );
  const gaps = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 7 }), gaps, async (limit, between) => {
      const before = named(await walk(100));
      const seen = await walk(limit, async (page) => {
        for (const take of between[page - 1] ?? []) await take();
      });
      expect(named(seen)).toEqual(before);
    }),
    { numRuns: 30 },
  );
});

test('a walk shows each outlook once while writers write between its pages, all at once', async () => {
  for (let round = 0; round < 5; round += 1) {
    const before = slugsOf(await walk(100));
    const seen = await walk(4, async (page) => {
      if (page > 3) return;
      const revised = Array.from({ length: 6 }, (_, index) => revise(round * 7 + page + index));
      await Promise.all([...revised, create()]);
    });
    expect(slugsOf(seen)).toEqual(before);
  }
});

test('walks miss and repeat nothing while writers never rest', async () => {
  const before = slugsOf(await walk(100)).toSorted();
  const stop = new AbortController();
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let turn = 0; !stop.signal.aborted; turn += 1) await revise(writer + 4 * turn);
  });
  const walks = await Promise.all(Array.from({ length: 5 }, () => walk(3)));
  stop.abort();
  await Promise.all(writers);
  for (const seen of walks) expect(slugsOf(seen).toSorted()).toEqual(before);
});

test('a walk by instrument or status, too, shows each outlook once while others write', async () => {
  for (const filter of ['instrument=RUT', 'status=open', 'instrument=RUT&status=open']) {
    const before = named(await walk(100));
    const first = await ledger.call({ url: `/v1/outlooks?limit=5&${filter}` });
    await Promise.all([revise(0), revise(5), revise(9), create()]);
    const next = /^<(.+)>; rel="next"$/.exec(String(first.headers.link))?.[1] ?? '';
    const rest = await ledger.call({ url: next.replace('limit=5', 'limit=100') });
    const seen = [first, rest].flatMap((answer) => answer.json<{ items: Item[] }>().items);
    expect(named(seen)).toEqual(before);
  }
});
