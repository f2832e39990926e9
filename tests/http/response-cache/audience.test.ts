import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addDesk, disclose, keyFor, publishFor, sendWith } from '../../support/desks.ts';
import { freshly } from '../../support/fresh-metrics.ts';
import { startLedger, type TestLedger } from '../../support/ledger.ts';

const DESKS = ['rates', 'credit'] as const;
type Desk = (typeof DESKS)[number];
/** Who reads: anyone, a key of one desk, of both, or of all. */
type Reader = 'anyone' | Desk | 'both' | 'all';
const READERS: readonly Reader[] = ['anyone', ...DESKS, 'both', 'all'];

let ledger: TestLedger;
const keys = {} as Record<Reader, string | null>;
beforeAll(async () => {
  ledger = await startLedger();
  for (const desk of DESKS) await addDesk(ledger, desk);
  for (const desk of DESKS) keys[desk] = await keyFor(ledger, [desk]);
  keys.anyone = null;
  keys.both = await keyFor(ledger, [...DESKS]);
  keys.all = await keyFor(ledger, '*');
});
afterAll(() => ledger.close());

const revise = (slug: string, desk: Desk, rationale: string, bear: number) =>
  sendWith(ledger, keys[desk], {
    method: 'POST',
    url: `/v1/outlooks/${slug}/revisions`,
    body: {
      rationale,
      probabilities: { bear, base: 0.4, bull: Math.round(60 - bear * 100) / 100 },
    },
    status: 201,
  });

test('what was just published is cached for those who may see it only', async () => {
  for (const visibility of ['public', 'internal'] as const) {
    const slug = `stored-${visibility}`;
    const url = `/v1/outlooks/${slug}`;
    await publishFor(ledger, keys.rates ?? '', { slug, desk: 'rates', visibility });
    await revise(slug, 'rates', 'Second', 0.1);
    const status = visibility === 'public' ? 200 : 404;
    for (let round = 0; round < 2; round += 1) {
      await sendWith(ledger, keys.anyone, { url, status });
      await sendWith(ledger, keys.credit, { url, status });
      for (const reader of ['rates', 'both', 'all'] as const) {
        const read = await sendWith(ledger, keys[reader], { url, status: 200 });
        expect(read.json()).toMatchObject({ version: 2, rationale: 'Second' });
      }
    }
  }
});

test('keyed reads are answered from the cache, each audience by its own entry', async () => {
  const slug = 'entries';
  const url = `/v1/outlooks/${slug}`;
  await publishFor(ledger, keys.rates ?? '', { slug, desk: 'rates', visibility: 'public' });
  const etags = new Set<string>();
  for (const reader of READERS) {
    await sendWith(ledger, keys[reader], { url, status: 200 });
    const before = await served();
    const cached = await sendWith(ledger, keys[reader], { url, status: 200 });
    expect([reader, (await served()) - before]).toEqual([reader, 1]);
    const expected = reader === 'anyone' ? 'public, no-cache' : 'private, no-cache';
    expect(cached.headers['cache-control']).toBe(expected);
    etags.add(String(cached.headers.etag));
  }
  expect(etags.size).toBe(1);
  // A key is checked before anything is sent from the cache.
  await sendWith(ledger, 'olk_unknown', { url, status: 401 });
});

async function served(): Promise<number> {
  const { body } = await freshly(async () => ledger.app.inject({ url: '/metrics' }));
  return Number(/^outlook_ledger_kept_replies_served(?:_total)? (\d+)$/m.exec(body)?.[1] ?? NaN);
}

/** An outlook of the test's own ledger of what exists, with a word in it that nothing else has. */
type Outlook = { slug: string; desk: Desk; isInternal: boolean; version: number };

/** Paths that name an outlook, and paths that show many. */
const OF_ONE = [
  '',
  '/versions',
  '/versions/1',
  '/probabilities?format=csv',
  '/chart.svg',
  '/feed.atom',
  '/events',
  '?format=md',
];
const OF_MANY = [
  '/v1/outlooks?limit=100',
  '/v1/outlooks?format=csv',
  '/',
  '/v1/feed.json',
  '/v1/feed.atom',
  '/v1/analysts',
  '/v1/track-record',
];

type Step =
  | { kind: 'publish'; desk: number; isInternal: boolean }
  | { kind: 'revise'; which: number }
  | { kind: 'disclose'; which: number }
  | { kind: 'read'; which: number; reader: number; path: number }
  | { kind: 'list'; which: number; reader: number; path: number };

const number = fc.nat({ max: 1_000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      desk: number,
      isInternal: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('revise' as const), which: number }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('disclose' as const), which: number }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      which: number,
      reader: number,
      path: number,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('list' as const),
      which: number,
      reader: number,
      path: number,
    }),
  },
);

const of = <Value>(values: readonly Value[], index: number): Value => {
  const value = values[index % values.length];
  if (value === undefined) throw new Error('there is nothing to choose from');
  return value;
};
const sees = (reader: Reader, { isInternal, desk }: Outlook): boolean =>
  !isInternal || reader === desk || reader === 'both' || reader === 'all';

let published = 0;

/** Does one step, and checks what it shows. */
async function take(step: Step, outlooks: Outlook[]): Promise<void> {
  if (step.kind === 'publish') {
    published += 1;
    const desk = of(DESKS, step.desk);
    const slug = `word${published}word`;
    const visibility = step.isInternal ? 'internal' : 'public';
    await publishFor(ledger, keys[desk] ?? '', { slug, desk, visibility, title: `A ${slug}` });
    outlooks.push({ slug, desk, isInternal: step.isInternal, version: 1 });
    return;
  }
  if (outlooks.length === 0) return;
  const outlook = of(outlooks, step.which);
  const { slug, desk } = outlook;
  if (step.kind === 'revise') {
    outlook.version += 1;
    await revise(slug, desk, `${slug}, ${outlook.version}`, outlook.version % 2 === 0 ? 0.1 : 0.2);
    return;
  }
  if (step.kind === 'disclose') {
    if (!outlook.isInternal) return;
    await disclose(ledger, keys[desk] ?? '', `/v1/outlooks/${slug}`);
    outlook.isInternal = false;
    return;
  }
  const reader = of(READERS, step.reader);
  const url =
    step.kind === 'list' ? of(OF_MANY, step.path) : `/v1/outlooks/${slug}${of(OF_ONE, step.path)}`;
  // A stream would not end; its head is enough.
  const method = url.endsWith('/events') ? 'HEAD' : 'GET';
  const response = await sendWith(ledger, keys[reader], { method, url });
  const hidden = outlooks.filter((one) => !sees(reader, one));
  const mayRead = step.kind !== 'read' || sees(reader, outlook);
  expect([url, response.statusCode]).toEqual([url, mayRead ? 200 : 404]);
  const shown = hidden.filter((one) => one !== outlook && response.body.includes(one.slug));
  expect([url, reader, shown]).toEqual([url, reader, []]);
  expect(!mayRead && response.body.includes(`A ${slug}`)).toBe(false);
  expect(mayRead ? 'no-store' : response.headers['cache-control']).toBe('no-store');
  const isCurrent = url === `/v1/outlooks/${slug}` && mayRead;
  const { version } = isCurrent ? response.json<{ version: number }>() : outlook;
  expect(version).toBe(outlook.version);
}

test('no audience ever gets what it may not see, cached or not', { timeout: 120_000 }, async () => {
  const outlooks: Outlook[] = [];
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
      for (const one of steps) await take(one, outlooks);
    }),
    // The ledger goes on from one run to the next, so a run that fails can't be shrunk.
    { numRuns: 12, endOnFailure: true },
  );
  expect(outlooks.length).toBeGreaterThan(0);
});
