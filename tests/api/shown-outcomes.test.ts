import { load } from 'cheerio';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';

// The outcome, wherever outlooks are listed or pictured.

let ledger: TestLedger;
let outlook: BandedOutlook;
beforeAll(async () => {
  ledger = await startLedger({ publicUrl: 'https://outlooks.example' });
  outlook = await BandedOutlook.create(ledger, { title: 'A banded case' });
  at('2027-04-01T08:00:00.000Z');
  await outlook.observe({ '2026-03-30': 100, '2027-03-30': 88 });
  at('2027-04-01T09:00:00.000Z');
  await outlook.resolve();
});
afterAll(() => ledger.close());

const at = (moment: string) => void (ledger.clock.now = new Date(moment));
const RESOLVED = {
  number: 1,
  outcome: 'bear',
  realisedReturn: -0.12,
  resolvedAt: '2027-04-01T09:00:00.000Z',
};

type Item = { slug: string; status: string; resolution: object | null };
async function listed(query = ''): Promise<Item | undefined> {
  const { items } = (await ledger.call({ url: `/v1/outlooks?limit=100${query}` })).json<{
    items: Item[];
  }>();
  return items.find(({ slug }) => slug === outlook.slug);
}

type FeedItem = { id: string; url: string; title: string; content_text: string; image: string };
const feedOf = async (url: string) => (await ledger.call({ url })).json<{ items: FeedItem[] }>();
const page = async (url: string) => load((await ledger.call({ url })).body);
const chart = async (query: string) => {
  const { body } = await ledger.call({
    url: `/v1/outlooks/${outlook.slug}/chart.svg?${query}`,
  });
  return load(body, { xml: true });
};

describe('the outcome of a resolved outlook', () => {
  test('is in lists, but not as of an earlier time', async () => {
    expect((await listed())?.resolution).toMatchObject(RESOLVED);
    expect((await listed('&asOf=2027-04-01T09:00:00.000Z'))?.resolution).toMatchObject(RESOLVED);
    expect(await listed('&asOf=2027-04-01T08:59:59.999Z')).toMatchObject({
      status: 'open',
      resolution: null,
    });
    const { body } = await ledger.call({ url: '/v1/outlooks?format=csv&limit=100' });
    const [header = '', ...rows] = body.split('\r\n');
    expect(header).toMatch(
      /,resolution\.number,resolution\.outcome,resolution\.realisedReturn,resolution\.knownAt,resolution\.resolvedAt,desk\.slug,desk\.name,visibility$/,
    );
    expect(rows.find((row) => row.startsWith(outlook.slug))).toMatch(/,1,bear,'?-0\.12,/);
  });

  test('is on the list page, and in the text and the picture of a link preview', async () => {
    const $list = await page('/');
    expect($list(`#outlook-${outlook.slug}`).text()).toContain(
      'Bear came about, with a return of −12%, 1 Apr 2027, 09:00 UTC',
    );
    const $ = await page(`/outlooks/${outlook.slug}`);
    for (const name of ['meta[name=description]', 'meta[property="og:description"]']) {
      expect($(name).attr('content')).toMatch(
        /^Bear came about, with a return of −12%\. Forecast: Bear 30%, Base 45%, Bull 25%\. /,
      );
    }
    expect($('meta[property="og:image:alt"]').attr('content')).toContain('Bear came about');
    const image = $('meta[property="og:image"]').attr('content') ?? '';
    const picture = image.replace('https://outlooks.example', '');
    const svg = await ledger.call({ url: picture.replace('format=png', 'format=svg') });
    expect(load(svg.body, { xml: true })('desc').text()).toMatch(/^Bear came about/);
    expect((await ledger.call({ url: picture })).headers['content-type']).toBe('image/png');
    // As of a time before, the page and its picture know no outcome.
    const $past = await page(`/outlooks/${outlook.slug}?asOf=2027-03-01`);
    expect($past('meta[property="og:description"]').attr('content')).toMatch(/^Bear 30%/);
  });

  test('is marked in charts, except in those of a numbered version', async () => {
    const scenarios = await chart('');
    expect(scenarios('desc').text()).toMatch(/^Bear came about, with a return of −12%\. Bear 30%/);
    const labels = scenarios('text')
      .toArray()
      .map((label) => scenarios(label).text());
    expect(labels.filter((label) => label.includes('✓'))).toEqual([
      expect.stringMatching(/^✓ Bear came about · /),
    ]);
    const history = await chart('kind=history');
    expect(history('desc').text()).toMatch(/^Bear came about/);
    expect(history.text()).toContain('✓ Bear 30%');
    for (const kind of ['scenarios', 'history']) {
      expect((await chart(`kind=${kind}&version=1`)).text()).not.toContain('came about');
      const before = await chart(`kind=${kind}&asOf=2027-03-01T00:00:00Z`);
      expect(before.text()).not.toContain('came about');
    }
  });

  test('is in the picture of its article', async () => {
    const { body } = await ledger.call({ url: `/v1/outlooks/${outlook.slug}?format=md` });
    expect(body.replaceAll('\\', '')).toContain(
      'chart.svg?asOf=2027-04-01T09:00:00.000Z&format=png',
    );
    const numbered = await ledger.call({
      url: `/v1/outlooks/${outlook.slug}/versions/1?format=md`,
    });
    expect(numbered.body.replaceAll('\\', '')).toContain('chart.svg?version=1&format=png');
  });

  test('is an entry of the feeds, as are its correction and its reopening', async () => {
    const urls = ['/v1/feed.json', `/v1/outlooks/${outlook.slug}/feed.json`];
    for (const url of urls) {
      const [first, second] = (await feedOf(url)).items;
      expect(first?.title).toBe('A banded case. Resolved: Bear came about, with a return of −12%');
      expect(first?.url).toBe(`https://outlooks.example/outlooks/${outlook.slug}`);
      expect(first?.content_text).toBe('Resolved: Bear came about, with a return of −12%.');
      expect(second?.id).not.toBe(first?.id);
      const picture = await ledger.call({
        url: first?.image.replace('https://outlooks.example', '').replace('png', 'svg') ?? '',
      });
      expect(load(picture.body, { xml: true })('desc').text()).toMatch(/^Bear came about/);
    }
    at('2027-04-02T09:00:00.000Z');
    const corrected = await outlook.resolve({
      outcome: 'void',
      supersedes: 1,
      reason: 'The index was suspended.',
    });
    expect(corrected.statusCode, corrected.body).toBe(201);
    expect((await listed())?.resolution).toMatchObject({ number: 2, outcome: 'void' });
    expect((await page('/'))(`#outlook-${outlook.slug}`).text()).toContain('Void, 2 Apr 2027');
    expect((await chart(''))('desc').text()).toMatch(/^Void\. Bear 30%/);
    at('2027-04-03T09:00:00.000Z');
    const reopened = await outlook.resolve({
      outcome: 'reopened',
      supersedes: 2,
      reason: 'Too early.',
    });
    expect(reopened.statusCode, reopened.body).toBe(201);
    expect(await listed()).toMatchObject({ status: 'open', resolution: null });
    expect((await listed('&asOf=2027-04-02T12:00:00Z'))?.resolution).toMatchObject({ number: 2 });
    expect((await chart(''))('desc').text()).toMatch(/^Bear 30%/);
    for (const url of urls) {
      const titles = (await feedOf(url)).items.map(({ title, content_text: text }) => [
        title,
        text,
      ]);
      expect(titles.slice(0, 3)).toEqual([
        ['A banded case. Reopened: the resolution was taken back', 'Too early.'],
        ['A banded case. Resolution corrected: Void', 'The index was suspended.'],
        [
          'A banded case. Resolved: Bear came about, with a return of −12%',
          'Resolved: Bear came about, with a return of −12%.',
        ],
      ]);
    }
    const { body } = await ledger.call({ url: '/v1/feed.atom' });
    const $ = load(body, { xml: true });
    expect($('feed > updated').text()).toBe('2027-04-03T09:00:00.000Z');
    const ids = $('entry > id').toArray();
    expect(new Set(ids.map((id) => $(id).text())).size).toBe(ids.length);
    // A resolution after a reopening corrects nothing.
    at('2027-04-04T09:00:00.000Z');
    expect((await outlook.resolve()).statusCode).toBe(201);
    expect((await feedOf('/v1/feed.json')).items[0]?.title).toContain('. Resolved: Bear');
  });
});
