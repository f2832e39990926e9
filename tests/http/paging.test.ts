import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, patchFramework, send } from '../support/requests.ts';

// Writers change what the list of outlooks is ordered and filtered by. What a walk through it promises
// meanwhile.

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

const slugOf = (which: number) => `case-${(which % OUTLOOKS) + 1}`;

/** Revises one of the first outlooks, chosen by `which`. */
async function revise(which: number): Promise<void> {
  const url = `/v1/outlooks/${slugOf(which)}`;
  const { version } = (await ledger.call({ url })).json<Item>();
  const probabilities = { bear: version / 10_000, base: 0.5, bull: 0.5 - version / 10_000 };
  await send(ledger, 'POST', `${url}/revisions`, { probabilities, rationale: 'R' });
}

/** Gives one of the first outlooks a title that is found better, or worse, or not at all. */
async function reword(which: number, title: string): Promise<void> {
  await patchFramework(ledger, { title, rationale: 'R' }, { slug: slugOf(which) });
}

// Revisions change the place of an outlook in each of these, or whether it is shown, or both.
const QUERIES = [
  '',
  'sort=publishedAt',
  'sort=slug',
  'instrument=RUT&status=open',
  'scenario=bear&maxProbability=0.0002',
  'scenario=bull&maxProbability=0.4997&sort=slug',
  'q=zircon',
  'q=-zircon&sort=publishedAt',
  'q=zircon&scenario=bear&maxProbability=0.001&sort=slug',
];
const asOfNow = () => `asOf=${ledger.clock.now.toISOString()}`;
const query: fc.Arbitrary<() => string> = fc.tuple(fc.constantFrom(...QUERIES), fc.boolean()).map(
  ([text, isAsOf]) =>
    () =>
      isAsOf ? `${text}&${asOfNow()}` : text,
);

/** The items of all pages; `between` runs before each page but the first. */
async function walk(
  limit: number,
  between = async (_page: number) => {},
  asked = '',
): Promise<Item[]> {
  const items: Item[] = [];
  let url = `/v1/outlooks?limit=${limit}&${asked}`;
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
    {
      weight: 4,
      arbitrary: fc
        .tuple(fc.nat(OUTLOOKS - 1), fc.constantFrom('Ores', 'Zircon', 'Zircon, more zircon'))
        .map(
          ([which, title]) =>
            () =>
              reword(which, title),
        ),
    },
    { weight: 1, arbitrary: fc.constant(create) },
    { weight: 3, arbitrary: fc.constantFrom(1, 1000, 3_600_000).map((by) => async () => tick(by)) },
  );
  const gaps = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 7 }), gaps, query, async (limit, between, ask) => {
      const asked = ask();
      const before = named(await walk(100, undefined, asked));
      const take = async (page: number) => {
        for (const step of between[page - 1] ?? []) await step();
      };
      expect(named(await walk(limit, take, asked))).toEqual(before);
    }),
    { numRuns: 60 },
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

// Each shows all outlooks, whatever is revised.
test.for([
  '',
  'sort=publishedAt',
  'sort=slug',
  'q=zircon OR -zircon',
  'scenario=bull&maxProbability=0.5',
  'scenario=bear&minProbability=0&sort=slug',
  'asOf',
  'asOf&sort=slug',
])('walks by %j miss and repeat nothing while writers never rest', async (given) => {
  const asked = given.replace('asOf', asOfNow());
  const before = slugsOf(await walk(100, undefined, asked)).toSorted();
  expect(before.length).toBeGreaterThan(OUTLOOKS);
  const stop = new AbortController();
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let turn = 0; !stop.signal.aborted; turn += 1) {
      await revise(writer + 4 * turn);
      if (writer === 0) await reword(turn, turn % 2 === 0 ? 'Zircon' : 'Ores');
    }
  });
  const walks = await Promise.all(Array.from({ length: 5 }, () => walk(3, undefined, asked)));
  stop.abort();
  await Promise.all(writers);
  for (const seen of walks) expect(slugsOf(seen).toSorted()).toEqual(before);
});

test.for(QUERIES)(
  'a walk by %j shows what its first page saw while others write',
  async (given) => {
    for (const asked of [given, `${given}&${asOfNow()}`]) {
      await Promise.all([reword(1, 'Zircon'), reword(2, 'Ores'), reword(5, 'Zircon, more zircon')]);
      const before = named(await walk(100, undefined, asked));
      const write = async (page: number) => {
        if (page > 2) return;
        const revised = [revise(0), revise(5), revise(9), create()];
        await Promise.all([...revised, reword(1, 'Ores'), reword(2, 'Zircon')]);
      };
      expect(named(await walk(2, write, asked))).toEqual(before);
    }
  },
);
