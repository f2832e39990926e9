import { load } from 'cheerio';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { XMLValidator } from 'fast-xml-parser';
import { withoutControls } from '../../src/charts/text.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { nastyOutlook, nastyProse } from '../support/nasty.ts';
import { createOutlook, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ publicUrl: 'https://outlooks.example' });
});
afterAll(() => ledger.close());

/** A UUID of version 8 (RFC 9562, 5.8). */
const ID = /^urn:uuid:[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

type JsonFeed = { items: { id: string; url: string; title: string; content_text: string }[] };

/** An Atom feed; it must be well-formed XML. */
async function atom(url: string) {
  const { body, headers } = await ledger.call({ url });
  expect(headers['content-type']).toBe('application/atom+xml; charset=utf-8');
  expect(XMLValidator.validate(body)).toBe(true);
  return load(body, { xml: true });
}

test('an outlook has its versions as feeds, newest first, and follows the next one', async () => {
  const urls = [`/v1/outlooks/${SLUG}/feed.atom`, `/v1/outlooks/${SLUG}/feed.json`] as const;
  const before = await ledger.call({ url: urls[1] });
  expect(before.json<JsonFeed>().items).toHaveLength(1);
  ledger.clock.now = new Date('2026-11-20T16:31:00Z');
  const rationale = 'Long-term yields jumped.';
  await ledger.revise({ probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale });

  const $ = await atom(urls[0]);
  expect($('feed > id').text()).toMatch(ID);
  expect($('feed > updated').text()).toBe('2026-11-20T16:31:00.000Z');
  expect($('feed > link[rel=self]').attr('href')).toBe(`https://outlooks.example${urls[0]}`);
  const [second] = $('entry').toArray();
  const entry = $(second);
  expect([entry.children('title').text(), entry.children('content').text()]).toEqual([
    'Russell 2000: the case for more downside. Version 2: Bear 35% (+5), Base 40% (−5), Bull 25%',
    rationale,
  ]);
  const address = `https://outlooks.example/outlooks/${SLUG}?version=2`;
  expect(entry.children('link').attr('href')).toBe(address);
  expect(entry.find('author > name').text()).toBe('analyst desk');

  const feed = await ledger.call({ url: urls[1] });
  expect(feed.headers['content-type']).toBe('application/feed+json; charset=utf-8');
  expect(feed.headers.etag).not.toBe(before.headers.etag);
  const { items } = feed.json<JsonFeed>();
  expect(items.map(({ id }) => id)).toEqual(
    $('entry > id')
      .toArray()
      .map((id) => $(id).text()),
  );
  expect([items[0]?.url, items[0]?.content_text]).toEqual([address, rationale]);
});

test('the feed of all outlooks has the current version of each', async () => {
  ledger.clock.now = new Date('2026-11-20T17:00:00Z');
  await createOutlook(ledger, { slug: 'another', title: 'Another case' });
  const $ = await atom('/v1/feed.atom');
  const titles = $('entry > title')
    .toArray()
    .map((title) => $(title).text());
  expect(titles[0]).toBe('Another case. Version 1: Bear 30%, Base 45%, Bull 25%');
  const { items } = (await ledger.call({ url: '/v1/feed.json' })).json<JsonFeed>();
  expect(items.map(({ title }) => title)).toEqual(titles);
});

test('a feed has twenty entries at the most', async () => {
  for (let index = 0; index < 25; index += 1) {
    const probabilities = { bear: (10 + index) / 100, base: (65 - index) / 100, bull: 0.25 };
    const answer = await send(ledger, 'POST', '/v1/outlooks/another/revisions', {
      probabilities,
      rationale: '…',
    });
    // The twentieth sends the first probabilities, which are no longer current.
    expect(answer.statusCode).toBe(201);
  }
  expect((await atom('/v1/outlooks/another/feed.atom'))('entry')).toHaveLength(20);
});

test('text in feeds is never markup', async () => {
  ledger.clock.now = new Date('2026-11-20T18:00:00Z');
  const sent = nastyOutlook('nasty');
  expect((await createOutlook(ledger, sent)).statusCode).toBe(201);
  const rationale = `${nastyProse('why')}\n\u0001\u000b\u001b[31m\u007f ]]> \ufffe`;
  await send(ledger, 'POST', '/v1/outlooks/nasty/revisions', {
    probabilities: { bear: 0.2, base: 0.5, bull: 0.3 },
    rationale,
  });
  for (const url of ['/v1/feed.atom', '/v1/outlooks/nasty/feed.atom']) {
    const $ = await atom(url);
    const entry = $('entry').first();
    expect(entry.children('title').text()).toContain(String(sent['title']));
    expect(entry.children('content').attr('type')).toBe('text');
    expect(entry.children('content').text()).toBe(withoutControls(rationale));
  }
  const { items } = (await ledger.call({ url: '/v1/outlooks/nasty/feed.json' })).json<JsonFeed>();
  expect(items[0]?.content_text).toBe(rationale);
});

test('a feed is also available as a more general media type', async () => {
  const as = async (url: string, accept: string) => {
    const { statusCode, headers } = await ledger.call({ url, headers: { accept } });
    return [statusCode, headers['content-type']];
  };
  expect(await as('/v1/feed.atom', 'application/xml')).toEqual([
    200,
    'application/xml; charset=utf-8',
  ]);
  expect(await as('/v1/feed.json', 'application/json')).toEqual([
    200,
    'application/json; charset=utf-8',
  ]);
  expect(await as('/v1/feed.json', '*/*')).toEqual([200, 'application/feed+json; charset=utf-8']);
  expect((await as('/v1/feed.json', 'text/csv'))[0]).toBe(406);
});

test('an empty ledger has an empty feed', async () => {
  const empty = await startLedger({ samples: false });
  try {
    const { body } = await empty.call({ url: '/v1/feed.atom' });
    const $ = load(body, { xml: true });
    expect([$('entry').length, $('feed > updated').text()]).toEqual([
      0,
      '1970-01-01T00:00:00.000Z',
    ]);
    expect((await empty.call({ url: '/v1/feed.json' })).json()).toMatchObject({ items: [] });
    expect((await empty.call({ url: '/v1/outlooks/none/feed.atom' })).statusCode).toBe(404);
  } finally {
    await empty.close();
  }
});

test('ids stay when the service moves to another address, and differ between ledgers', async () => {
  const idsOf = async ({ call }: TestLedger) => {
    const feeds = [`/v1/outlooks/${SLUG}/feed`, '/v1/feed'];
    const all = feeds.map(async (feed) => {
      const $ = load((await call({ url: `${feed}.atom` })).body, { xml: true });
      const inAtom = $('entry > id')
        .toArray()
        .map((id) => $(id).text());
      const { items } = (await call({ url: `${feed}.json` })).json<JsonFeed>();
      expect(items.map(({ id }) => id)).toEqual(inAtom);
      return [$('feed > id').text(), ...inAtom];
    });
    return (await Promise.all(all)).flat();
  };
  const ids = await idsOf(ledger);
  for (const id of ids) expect(id).toMatch(ID);
  const moved = await startLedger({ publicUrl: 'http://elsewhere.example:8080' });
  try {
    // Both are copies of one ledger.
    const there = await idsOf(moved);
    expect(ids).toEqual(expect.arrayContaining(there.slice(0, 2)));
    const other = await startLedger({ samples: false });
    try {
      other.clock.now = new Date('2026-11-21T16:00:00Z');
      await send(other, 'POST', '/v1/instruments', {
        symbol: 'RUT',
        name: 'Russell 2000',
        kind: 'index',
      });
      expect((await createOutlook(other, { slug: SLUG })).statusCode).toBe(201);
      for (const id of await idsOf(other)) expect(ids).not.toContain(id);
    } finally {
      await other.close();
    }
  } finally {
    await moved.close();
  }
});
