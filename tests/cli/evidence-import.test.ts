import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { cleanUp, newFolder, outlook, type Run, shell } from '../support/outlook-command.ts';

let ledger: TestLedger;
let url: string;
beforeAll(async () => {
  ledger = await startLedger();
  url = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  cleanUp();
  await ledger.close();
});

// Written by hand after Alpha Vantage's documentation of NEWS_SENTIMENT; the news is invented.
const entry = (number: number, change: object = {}) => ({
  title: `Small caps slip, part ${number}`,
  url: `https://news.example/small-caps/${number}`,
  time_published: '20261119T133000',
  authors: ['A. Writer'],
  summary: 'Yields rose.\nSmall caps fell.',
  banner_image: null,
  source: 'Example Wire',
  category_within_source: 'Markets',
  source_domain: 'news.example',
  topics: [{ topic: 'Financial Markets', relevance_score: '0.9' }],
  overall_sentiment_score: -0.21,
  overall_sentiment_label: 'Somewhat-Bearish',
  ticker_sentiment: [
    {
      ticker: 'IWM',
      relevance_score: '0.75',
      ticker_sentiment_score: '-0.35',
      ticker_sentiment_label: 'Bearish',
    },
  ],
  ...change,
});
const response = (...feed: object[]) => ({ items: String(feed.length), feed });

function importNews(content: string | Buffer | object, ...more: string[]): Promise<Run> {
  const file = path.join(newFolder(), 'news.json');
  const isText = typeof content === 'string' || Buffer.isBuffer(content);
  writeFileSync(file, isText ? content : JSON.stringify(content));
  const options = ['--from', 'alphavantage', '--outlook', SLUG, ...more];
  return outlook(['evidence', 'import', file, ...options], { url, key: ledger.keys.analyst });
}
async function items(): Promise<Record<string, unknown>[]> {
  const answer = await ledger.call({ url: `/v1/outlooks/${SLUG}/evidence?limit=100` });
  return answer.json<{ items: Record<string, unknown>[] }>().items;
}

describe('outlook evidence import', () => {
  test('cuts a long title and summary between characters', async () => {
    const long = { title: `${'a'.repeat(299)}📉`, summary: `${'b'.repeat(19_999)}📉\u0000` };
    const { code, stderr } = await importNews(response(entry(90, long)));
    expect([code, stderr]).toEqual([0, '']);
    const [item] = await items();
    expect(item).toMatchObject({ headline: 'a'.repeat(299), summary: 'b'.repeat(19_999) });
  });

  test('adds news with its sentiments, and a second time nothing', async () => {
    const news = response(entry(1), entry(2, { ticker_sentiment: [] }));
    const { code, stdout, stderr } = await importNews(news);
    expect([code, stdout, stderr]).toEqual([0, `${SLUG}: 2 added, 0 already there.\n`, '']);
    expect((await items()).slice(0, 2)).toMatchObject([
      { headline: 'Small caps slip, part 2', tickers: [], duplicateOf: null },
      {
        headline: 'Small caps slip, part 1',
        summary: 'Yields rose.\nSmall caps fell.',
        publisher: 'Example Wire',
        url: 'https://news.example/small-caps/1',
        publishedAt: '2026-11-19T13:30:00.000Z',
        sentiment: {
          score: -0.21,
          label: 'Somewhat-Bearish',
          scale: { min: -1, max: 1 },
          provider: 'Alpha Vantage',
        },
        tickers: [
          { symbol: 'IWM', sentiment: { score: -0.35, label: 'Bearish' }, relevance: 0.75 },
        ],
      },
    ]);
    const again = await importNews(response(entry(1), entry(2), entry(3)), '--json');
    expect(JSON.parse(again.stdout)).toEqual({ added: 1, unchanged: 2 });
  });

  test('of two at once adds each item once', async () => {
    const before = (await items()).length;
    const news = response(...[11, 12, 13, 14].map((number) => entry(number)));
    const runs = await Promise.all([importNews(news), importNews(news)]);
    expect(runs.map(({ code }) => code)).toEqual([0, 0]);
    expect(await items()).toHaveLength(before + 4);
  });

  test('refuses what is no feed, or has no source, before it sends anything', async () => {
    const before = await items();
    const limited = await importNews({ Information: 'Thank you for using Alpha Vantage!' });
    expect(limited.code).toBe(2);
    expect(limited.stderr).toContain('has no "feed", but "Information"');
    const faulty = await importNews(
      response(entry(21), entry(22, { source: '' }), entry(23, { time_published: 'yesterday' })),
    );
    expect(faulty.stderr).toContain("has news that can't be read. Nothing was sent.");
    expect(faulty.stderr).toContain('  feed[1]: has no source');
    expect(faulty.stderr).toContain('  feed[2]: has no time_published such as 20261119T133000');
    const latin1 = Buffer.from(
      JSON.stringify(response(entry(24, { title: 'Caf\u00e9' }))),
      'latin1',
    );
    const damaged = await importNews(latin1);
    expect(damaged.code).toBe(2);
    expect(damaged.stderr).toContain('is not valid UTF-8: see line 1.');
    expect(await items()).toEqual(before);
  });

  test('says where the service refuses an item, and what was added before', async () => {
    const late = entry(32, { time_published: '20991119T133000' });
    const { code, stderr } = await importNews(response(entry(31), late));
    expect(code).toBe(1);
    expect(stderr).toContain('The 1 items before feed[1] are in the outlook.');
    expect(stderr).toContain('  feed[1]/publishedAt: must not be in the future');
  });
});

test('evidence from a file that is not UTF-8 is refused, not damaged', async () => {
  const file = path.join(newFolder(), 'evidence.json');
  const body = {
    headline: 'Caf\u00e9',
    summary: 'S',
    publisher: 'P',
    publishedAt: '2026-11-19T00:00:00Z',
  };
  writeFileSync(file, Buffer.from(JSON.stringify(body, null, 1), 'latin1'));
  const command = ['evidence', 'add', SLUG, '--file', file];
  const { code, stderr } = await outlook(command, { url, key: ledger.keys.analyst });
  expect(code).toBe(2);
  expect(stderr).toContain('is not valid UTF-8: see line 2.');
});

test('an option that is not UTF-8 is refused, not damaged', async () => {
  const before = await items();
  const line = `"${process.execPath}" "$OUTLOOK" evidence add ${SLUG} --headline $'Caf\\xe9' --summary S --publisher P --published-at 2026-11-19T00:00:00Z`;
  const { code, stderr } = await shell(line, { url, key: ledger.keys.analyst });
  expect(code).toBe(2);
  expect(stderr).toContain('is not valid UTF-8. Is your terminal set to another encoding?');
  expect(await items()).toEqual(before);
});
