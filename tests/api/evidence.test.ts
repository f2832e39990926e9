import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SAMPLE_EVIDENCE } from '../../src/http/openapi/examples.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import {
  createOutlook,
  faultsOf,
  patchFramework,
  send,
  stored,
  withOneRecord,
} from '../support/requests.ts';
import { changeState } from '../support/plain-sql.ts';

const NOWHERE = '00000000-0000-4000-8000-000000000000';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  ledger.clock.now = new Date('2026-11-23T12:00:00.000Z');
  await createOutlook(ledger, { slug: 'other' });
});
afterAll(() => ledger.close());

const BRIEF = {
  headline: 'Retail sales rose',
  summary: 'More than expected.',
  publisher: 'A newspaper',
  publishedAt: '2026-11-17T14:30:00+01:00',
};
const add = (body: object, slug = SLUG) =>
  send(ledger, 'POST', `/v1/outlooks/${slug}/evidence`, body);
type Item = Record<string, unknown> & { id: string; headline: string };
async function added(body: object, slug = SLUG): Promise<Item> {
  const answer = await add(body, slug);
  expect(answer.statusCode, answer.body).toBe(201);
  return answer.json<Item>();
}
const read = (path: string, slug = SLUG) =>
  ledger.call({ url: `/v1/outlooks/${slug}/evidence${path}` });

describe('an item', () => {
  test('is returned complete, as it was sent, with who added it and when', async () => {
    const answer = await add(SAMPLE_EVIDENCE);
    expect(answer.statusCode).toBe(201);
    const item = answer.json<Item>();
    const { claims, ...rest } = SAMPLE_EVIDENCE as { claims: object[] };
    expect(item).toMatchObject({
      ...rest,
      url: null,
      corrects: null,
      correctedBy: null,
      addedBy: { name: 'analyst desk' },
      addedAt: '2026-11-23T12:00:00.000Z',
      moved: [],
    });
    expect(item['claims']).toEqual(
      claims.map((claim) => ({ condition: null, range: null, ...claim })),
    );
    expect(item).toMatchObject({
      sentiment: { score: -0.15, label: 'mildly negative' },
      tickers: [],
    });
    expect(answer.headers.location).toBe(`/v1/outlooks/${SLUG}/evidence/${item.id}`);
    const again = await read(`/${item.id}`);
    expect([again.body, again.headers.etag]).toEqual([answer.body, answer.headers.etag]);
    const effects = new Set(claims.map((claim) => (claim as { effect: string }).effect));
    expect(effects).toEqual(new Set(['supports', 'weakens']));
  });

  test('needs only what was said, by whom and when', async () => {
    expect(await added(BRIEF)).toMatchObject({
      publishedAt: '2026-11-17T13:30:00.000Z',
      sentiment: null,
      tickers: [],
      claims: [],
      url: null,
    });
  });

  test('stores what its provider says about tickers', async () => {
    const tickers = [
      { symbol: 'IWM', sentiment: { score: 7, label: 'good' }, relevance: 1 },
      { symbol: 'iShares/IWN', sentiment: null, relevance: null },
    ];
    expect(await added({ ...BRIEF, tickers })).toMatchObject({ tickers });
  });

  test('is on any outlook, open or not', async () => {
    await createOutlook(ledger, { slug: 'closed' });
    await changeState(ledger.pool, `status = 'void'`, `slug = 'closed'`);
    expect(await added(BRIEF, 'closed')).toMatchObject({ headline: BRIEF.headline });
  });

  test('that corrects another is added beside it; both say so', async () => {
    const wrong = await added({ ...BRIEF, headline: 'Sales rose by 12 percent' });
    const right = await added({
      ...BRIEF,
      headline: 'Sales rose by 1.2 percent',
      corrects: wrong.id,
    });
    expect(right).toMatchObject({ corrects: wrong.id, correctedBy: null });
    expect((await read(`/${wrong.id}`)).json()).toEqual({ ...wrong, correctedBy: right.id });
    expect(faultsOf((await add({ ...BRIEF, corrects: wrong.id })).json())).toEqual({
      '/corrects': `is already corrected by ${right.id}: correct that item instead`,
    });
    expect(faultsOf((await add({ ...BRIEF, corrects: wrong.id }, 'other')).json())).toEqual({
      '/corrects': 'must be the id of evidence of this outlook',
    });
  });

  test('that is cited shows which versions it moved, and by how much', async () => {
    const [one, two] = [await added(BRIEF), await added(BRIEF)];
    const cite = async (bear: number, evidence: string[]) => {
      const probabilities = { bear, base: Number((0.75 - bear).toFixed(2)), bull: 0.25 };
      const answer = await ledger.revise({ probabilities, rationale: 'Why.', evidence });
      expect(answer.statusCode, answer.body).toBe(201);
      return answer;
    };
    const first = await cite(0.35, [two.id.toUpperCase(), one.id]);
    const { version, publishedAt } = first.json<{ version: number; publishedAt: string }>();
    const cited = ({ id, headline }: Item) => ({ id, headline });
    expect(first.json()).toMatchObject({ evidence: [cited(two), cited(one)] });
    expect((await ledger.call({ url: `/v1/outlooks/${SLUG}` })).body).toBe(first.body);
    const moved = { version, publishedAt, deltas: { bear: 0.05, base: -0.05, bull: 0 } };
    expect((await read(`/${one.id}`)).json()).toMatchObject({ moved: [moved] });
    const patch = { title: 'Reworded', rationale: 'R', evidence: [one.id] };
    const patched = await patchFramework(ledger, patch);
    expect(patched.json()).toMatchObject({ evidence: [cited(one)] });
    expect((await read(`/${one.id}`)).json()).toMatchObject({
      moved: [moved, { version: version + 1, deltas: { bear: 0, base: 0, bull: 0 } }],
    });
    expect((await read(`/${two.id}`)).json()).toMatchObject({ moved: [moved] });
    await cite(0.3, []);
    const past = await ledger.call({ url: `/v1/outlooks/${SLUG}/versions/${version}` });
    expect(past.json()).toMatchObject({ evidence: [cited(two), cited(one)] });
    expect((await ledger.call({ url: `/v1/outlooks/${SLUG}` })).json()).toMatchObject({
      evidence: [],
    });
  });

  test('that does not exist is a 404', async () => {
    const own = await added(BRIEF, 'other');
    for (const url of [`/${NOWHERE}`, `/${own.id}`, '/nonsense']) {
      expect((await read(url)).statusCode).toBe(404);
    }
    expect((await read('', 'nowhere')).statusCode).toBe(404);
    expect((await read(`/${own.id}`, 'nowhere')).statusCode).toBe(404);
    expect((await add(BRIEF, 'nowhere')).statusCode).toBe(404);
  });
});

test('a list has each item once, newest first, page by page', async () => {
  await createOutlook(ledger, { slug: 'listed' });
  await Promise.all(
    Array.from({ length: 7 }, (_, n) => added({ ...BRIEF, headline: `News ${n}` }, 'listed')),
  );
  const { rows } = await ledger.pool.query<{ number: number; headline: string }>(
    `select e.number, e.headline from evidence e join outlooks o on o.id = e.outlook_id
      where o.slug = 'listed' order by e.number desc`,
  );
  expect(rows.map(({ number }) => number)).toEqual([7, 6, 5, 4, 3, 2, 1]);
  const seen: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const page = await read(`?limit=3${cursor && `&cursor=${cursor}`}`, 'listed');
    const { items, nextCursor } = page.json<{ items: Item[]; nextCursor: string | null }>();
    seen.push(...items.map(({ headline }) => headline));
    await added({ ...BRIEF, headline: 'Meanwhile' }, 'listed');
    cursor = nextCursor;
  }
  expect(seen).toEqual(rows.map(({ headline }) => headline));
  const foreign = await read(`?limit=3`, 'listed');
  const { nextCursor } = foreign.json<{ nextCursor: string }>();
  expect((await read(`?limit=3&cursor=${nextCursor}`)).statusCode).toBe(422);
});

test('a stream reports that it was added', async () => {
  const item = await added({ ...BRIEF, headline: 'Told' });
  const { rows } = await ledger.pool.query<{ kind: string; data: object }>(
    'select kind, data from events order by id desc limit 1',
  );
  expect(rows).toEqual([
    {
      kind: 'evidence.added',
      data: { id: item.id, headline: 'Told', publisher: 'A newspaper', corrects: null },
    },
  ]);
});

describe('is refused', () => {
  const claim = {
    statement: 'S',
    effect: 'supports',
    target: { kind: 'scenario', key: 'bear' },
    horizon: 'days',
  };
  const sentiment = { score: 0, label: 'L', scale: { min: -1, max: 1 }, provider: 'P' };
  const about = (kind: string, key: string) => ({ ...claim, target: { kind, key } });

  test.for<[string, object, Record<string, string>]>([
    [
      'a sentiment outside its scale',
      { sentiment: { ...sentiment, score: -1.01 } },
      { '/sentiment/score': 'must be within its scale, -1 to 1' },
    ],
    [
      'a scale that is upside down',
      { sentiment: { ...sentiment, scale: { min: 1, max: 1 } } },
      { '/sentiment/scale/max': 'must be greater than min, 1' },
    ],
    [
      'a sentiment without its provider and scale',
      { sentiment: { score: 0, label: 'L' } },
      { '/sentiment/provider': 'is required', '/sentiment/scale': 'is required' },
    ],
    [
      'what comes from the future',
      { publishedAt: '2026-11-23T12:00:00.001Z' },
      { '/publishedAt': 'must not be in the future; the server time is 2026-11-23T12:00:00.000Z' },
    ],
    [
      'claims about what the outlook does not have, and the future, all at once',
      {
        publishedAt: '2027-01-01T00:00:00Z',
        corrects: NOWHERE,
        claims: [
          about('headwind', 'nonsense'),
          claim,
          about('scenario', 'crash'),
          about('condition', 'x'),
        ],
      },
      {
        '/publishedAt': 'must not be in the future; the server time is 2026-11-23T12:00:00.000Z',
        '/corrects': 'must be the id of evidence of this outlook',
        '/claims/0/target/key':
          'there is no headwind "nonsense"; use one of higher-for-longer-rates, weakening-domestic-demand, balance-sheet-fragility, narrower-breadth, market-structure-and-liquidity',
        '/claims/2/target/key': 'there is no scenario "crash"; use one of bear, base, bull',
        '/claims/3/target/key':
          'there is no condition "x"; use one of rate-relief, domestic-breadth, financing-access, orders-and-spending, earnings-revisions, balance-sheet-repair, persistently-high-rates, refinancing-stress, weak-domestic-demand, narrower-earnings-breadth',
      },
    ],
    [
      'a claim that neither supports nor weakens, over no known horizon',
      { claims: [{ ...claim, effect: 'mentions', horizon: 'years' }] },
      {
        '/claims/0/effect': 'must be one of supports, weakens',
        '/claims/0/horizon': 'must be one of days, weeks, months, quarters',
      },
    ],
    [
      'a range that runs backwards',
      { claims: [{ ...claim, range: { min: 5, max: 3, unit: 'percent' } }] },
      { '/claims/0/range/max': 'must not be less than min, 5' },
    ],
    [
      'a symbol that stands twice, and a relevance that is no share',
      { tickers: [{ symbol: 'A' }, { symbol: 'A', relevance: 1.5 }] },
      {
        '/tickers/1/symbol': '"A" is already used by entry 0',
        '/tickers/1/relevance': 'must be at most 1',
      },
    ],
    [
      'a URL of another scheme, and text that can not be stored',
      { url: 'javascript:1', summary: 'a\u0000' },
      {
        '/url': 'must be an http or https URL',
        '/summary': 'must not contain a NUL character (\\u0000)',
      },
    ],
    [
      'a moment without its offset',
      { publishedAt: '2026-11-17T14:30:00' },
      { '/publishedAt': 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z' },
    ],
    [
      'a member that there is not',
      { author: 'Me' },
      {
        '/author':
          'unknown property "author"; allowed here: headline, summary, publisher, url, publishedAt, sentiment, tickers, claims, corrects',
      },
    ],
  ])('%s', async ([, change, faults]) => {
    const before = await stored(ledger);
    const refused = await add({ ...BRIEF, ...change });
    expect(refused.statusCode, refused.body).toBe(422);
    expect(faultsOf(refused.json())).toEqual(faults);
    expect(await stored(ledger)).toEqual(before);
  });

  test("a citation of a missing item, of one twice, or of another outlook's", async () => {
    const [own, other] = [await added(BRIEF), await added(BRIEF, 'other')];
    const before = await stored(ledger);
    const probabilities = { bear: 0.1, base: 0.65, bull: 0.25 };
    const cite = (evidence: unknown[]) =>
      ledger.revise({ probabilities, rationale: 'R', evidence });
    const none = (id: string) =>
      `"${id}" is not evidence of this outlook; GET …/evidence lists the ids`;
    expect(faultsOf((await cite([own.id, other.id, NOWHERE])).json())).toEqual({
      '/evidence/1': none(other.id),
      '/evidence/2': none(NOWHERE),
    });
    expect(faultsOf((await cite([own.id, 'nonsense', own.id.toUpperCase()])).json())).toEqual({
      '/evidence/1': 'must be the id of an item of evidence',
      '/evidence/2': 'is already cited',
    });
    expect(faultsOf((await cite([own.id, own.id.toUpperCase()])).json())).toEqual({
      '/evidence/1': 'is already cited',
    });
    expect(await stored(ledger)).toEqual(before);
  });
});

describe('the same news', () => {
  const news = (change: object = {}) => ({
    ...BRIEF,
    headline: 'Yields jump',
    url: 'https://news.example/yields-jump',
    ...change,
  });
  const importItem = (body: object, slug: string) =>
    send(ledger, 'POST', `/v1/outlooks/${slug}/evidence?import=true`, body);
  let count = 0;
  async function outlook(): Promise<string> {
    const slug = `news-${(count += 1)}`;
    await createOutlook(ledger, { slug });
    return slug;
  }

  test('is added again, and says of which item it is a duplicate', async () => {
    const slug = await outlook();
    const first = await added(news(), slug);
    expect(first['duplicateOf']).toBeNull();
    const second = await added(news({ headline: 'Yields jump again' }), slug);
    expect(second['duplicateOf']).toBe(first.id);
    // The first one, not the one before.
    expect(await added(news(), slug)).toMatchObject({ duplicateOf: first.id });
    expect((await read(`/${second.id}`, slug)).json()).toEqual(second);
    for (const other of [{ publisher: 'Another' }, { url: 'https://news.example/other' }]) {
      expect(await added(news(other), slug)).toMatchObject({ duplicateOf: null });
    }
    expect(await added(news({ corrects: first.id }), slug)).toMatchObject({ duplicateOf: null });
    expect(await added(news(), await outlook())).toMatchObject({ duplicateOf: null });
  });

  test('without a URL has the same headline at the same time', async () => {
    const slug = await outlook();
    const first = await added(BRIEF, slug);
    expect(await added(BRIEF, slug)).toMatchObject({ duplicateOf: first.id });
    for (const other of [{ headline: 'Other' }, { publishedAt: '2026-11-17T14:31:00+01:00' }]) {
      expect(await added({ ...BRIEF, ...other }, slug)).toMatchObject({ duplicateOf: null });
    }
  });

  test('is imported once, in any number of requests at once', async () => {
    const slug = await outlook();
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        importItem(news({ headline: `Yields jump ${index}` }), slug),
      ),
    );
    const statuses = answers.map(({ statusCode }) => statusCode);
    expect(statuses.filter((status) => status === 201)).toHaveLength(1);
    expect(statuses.filter((status) => status === 200)).toHaveLength(5);
    const ids = new Set(answers.map((answer) => answer.json<Item>().id));
    expect(ids.size).toBe(1);
    expect(answers[0]?.headers.location).toBe(`/v1/outlooks/${slug}/evidence/${[...ids][0]}`);
    const before = await stored(ledger);
    expect((await importItem(news(), slug)).statusCode).toBe(200);
    expect(await stored(ledger)).toEqual(withOneRecord(before));
    expect(await added(news(), slug)).toMatchObject({ duplicateOf: [...ids][0] });
    // What an analyst added is not imported again, either.
    const byHand = await added(news({ url: 'https://news.example/by-hand' }), slug);
    const imported = await importItem(news({ url: 'https://news.example/by-hand' }), slug);
    expect([imported.statusCode, imported.json<Item>().id]).toEqual([200, byHand.id]);
  });

  test('is kept apart by PostgreSQL, too', async () => {
    const slug = await outlook();
    const { id } = (await importItem(news(), slug)).json<Item>();
    await expect(
      ledger.pool.query(
        `insert into evidence (outlook_id, number, headline, summary, publisher, published_at,
           tickers, author_id, recorded_at, import_key)
         select outlook_id, 1, headline, summary, publisher, published_at, tickers, author_id,
           recorded_at, import_key from evidence where id = $1`,
        [id],
      ),
    ).rejects.toThrow('evidence_imported_once');
  });

  test('needs a URL to be imported, and no correction is', async () => {
    const slug = await outlook();
    const first = await added(BRIEF, slug);
    expect(faultsOf((await importItem({ ...BRIEF, corrects: first.id }, slug)).json())).toEqual({
      '/url': 'is required for an import, which knows an item again by it',
      '/corrects': 'cannot be imported: add corrections one by one',
    });
    const odd = await send(ledger, 'POST', `/v1/outlooks/${slug}/evidence?import=yes`, news());
    expect(faultsOf(odd.json())).toEqual({ '/import': 'must be true or false' });
  });
});
