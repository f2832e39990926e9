import MarkdownIt from 'markdown-it';
import { load } from 'cheerio';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withoutControls } from '../../src/charts/text.ts';
import { SAMPLE_EVIDENCE, SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { nastyEvidence, nastyOutlook } from '../support/nasty.ts';
import { createOutlook, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  const publishedAt = '2026-11-20T15:00:00Z';
  await send(ledger, 'POST', `/v1/outlooks/${SLUG}/evidence`, {
    ...SAMPLE_EVIDENCE,
    publishedAt,
  });
});
afterAll(() => ledger.close());

const markdown = (url: string) => ledger.call({ url, headers: { accept: 'text/markdown' } });
// HTML in the source would be rendered as such if it were not escaped.
const parser = new MarkdownIt({ html: true, linkify: false });
const rendered = (source: string) => load(parser.render(source));

/** All texts in a JSON value. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsOf);
}

const inLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

describe('the sample as Markdown', () => {
  test('has every figure of its sources', async () => {
    const { body, headers } = await markdown(`/v1/outlooks/${SLUG}`);
    expect(headers['content-type']).toBe('text/markdown; charset=utf-8; variant=GFM');
    const figures = ['25.72%', '0.89%', '$0.967B', '30%', '45%', '25%', '2.4 percent', '2,793.30'];
    for (const figure of [...figures, '3 to 5 percent', '−0.15', '31 Mar 2026', '13 November']) {
      expect([figure, body.includes(figure)]).toEqual([figure, true]);
    }
    expect(body).toContain('FTSE Russell chartbook');
    expect(body).toContain('provenance' in SAMPLE_OUTLOOK ? '' : 'sourced');
  });

  test('has complete tables, and everything else in the outlook', async () => {
    const { body } = await markdown(`/v1/outlooks/${SLUG}`);
    const $ = rendered(body);
    const sizes = $('table')
      .toArray()
      .map((table) => [$(table).find('tr').length, $(table).find('tr').first().children().length]);
    const { metrics, risks, drawdownLabels, invalidationConditions, positioning } =
      SAMPLE_OUTLOOK as Record<string, unknown[]>;
    expect(sizes).toEqual([
      [4, 5],
      [4, 3],
      [1 + (metrics?.length ?? 0), 5],
      [1 + (risks?.length ?? 0), 3],
      [1 + (drawdownLabels?.length ?? 0), 4],
      [1 + (invalidationConditions?.length ?? 0), 4],
      [1 + (positioning?.length ?? 0), 3],
    ]);
    for (const row of $('tr').toArray()) {
      const columns = $(row).closest('table').find('tr').first().children().length;
      expect($(row).children()).toHaveLength(columns);
    }
    const text = inLine($('body').text());
    const { slug: _, instrument: __, metrics: ___, ...said } = SAMPLE_OUTLOOK;
    const prose = textsOf(said).filter((one) => one.includes(' '));
    expect(prose.length).toBeGreaterThan(60);
    for (const sentence of prose.flatMap((one) => one.split('\n\n'))) {
      expect(text).toContain(inLine(sentence));
    }
  });

  test('is cached, supports conditional requests, and follows the next version', async () => {
    const first = await markdown(`/v1/outlooks/${SLUG}`);
    const etag = String(first.headers.etag);
    const again = await ledger.call({
      url: `/v1/outlooks/${SLUG}`,
      headers: { accept: 'text/markdown', 'if-none-match': etag },
    });
    expect(again.statusCode).toBe(304);
    expect(String(first.headers.vary)).toContain('Accept,');
    const json = await ledger.call({ url: `/v1/outlooks/${SLUG}` });
    expect(json.headers.etag).not.toBe(etag);
    await ledger.revise({ probabilities: { bear: 0.4, base: 0.35, bull: 0.25 }, rationale: 'On.' });
    const next = await markdown(`/v1/outlooks/${SLUG}`);
    expect(next.body).toContain('40%');
    const published = await ledger.call({ url: `/v1/outlooks/${SLUG}` });
    expect(published.headers.vary).toBe(next.headers.vary);
    expect(next.body).toContain('Version 2, published');
    const past = await ledger.call({ url: `/v1/outlooks/${SLUG}/versions/1?format=md` });
    expect(past.body).toContain('Version 1, published');
    expect(past.body).not.toContain('## Evidence');
    expect(past.headers['cache-control']).toContain('immutable');
    const picture = rendered(past.body)('img').attr('src') ?? '';
    expect(picture).toMatch(/^http:\/\/127\.0\.0\.1:3000\/v1\//);
    const shown = await ledger.call({ url: picture.slice('http://127.0.0.1:3000'.length) });
    expect(shown.headers['content-type']).toBe('image/png');
  });
});

test('markup of GitHub only is escaped, too; lines may end as on Windows', async () => {
  const rationale =
    '~~struck~~ www.evil.example https://evil.example a@evil.example\r\n\r\nsecond [^1]';
  await createOutlook(ledger, { slug: 'github', title: 'G', rationale });
  const { body } = await markdown('/v1/outlooks/github');
  const linking = new MarkdownIt({ html: true, linkify: true });
  const $ = load(linking.render(body));
  expect($('s, del, a').toArray()).toEqual([]);
  expect(
    $('blockquote p')
      .toArray()
      .map((one) => $(one).text()),
  ).toEqual(['~~struck~~ www.evil.example https://evil.example a@evil.example', 'second [^1]']);
});

test('text of analysts is never markup', async () => {
  const sent = nastyOutlook('nasty');
  const item = nastyEvidence();
  expect((await createOutlook(ledger, sent)).statusCode).toBe(201);
  const added = await send(ledger, 'POST', '/v1/outlooks/nasty/evidence', item);
  expect(added.statusCode).toBe(201);
  const { body } = await markdown('/v1/outlooks/nasty');
  expect(body).not.toContain('&#xA;');
  const $ = rendered(body);
  expect($('script, b, i, del, pre, img:not([alt^="Bear"])').toArray()).toEqual([]);
  // Emphasis, quotations, headings and lists come from the article, never from a text.
  expect($('h1')).toHaveLength(1);
  expect($('a').toArray()).toEqual([]);
  expect($('hr').toArray()).toEqual([]);
  for (const row of $('tr').toArray()) {
    const columns = $(row).closest('table').find('tr').first().children().length;
    expect($(row).children()).toHaveLength(columns);
  }
  const text = inLine($('body').text());
  // A figure with a display text has no unit beside it.
  const { metrics, ...rest } = sent;
  const figures = (metrics as { name: string; display: string; source: string }[]).map(
    ({ name, display, source }) => [name, display, source],
  );
  for (const said of textsOf([rest, figures, item]).filter((one) => one.includes('<script>'))) {
    for (const part of said.split('\n\n')) expect(text).toContain(inLine(withoutControls(part)));
  }
});
