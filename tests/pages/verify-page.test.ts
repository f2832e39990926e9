import { createHash } from 'node:crypto';
import { load } from 'cheerio';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ requireKeyForReads: true });
});
afterAll(() => ledger.close());

const digestOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

test('the page that verifies receipts is one file that loads and sends nothing', async () => {
  const { statusCode, headers, body } = await ledger.call({ url: '/verify.html' });
  expect(statusCode).toBe(200);
  expect(headers['content-type']).toBe('text/html; charset=utf-8');
  const $ = load(body);
  const [script, style] = [$('script'), $('style')];
  const policy = `default-src 'none'; script-src ${digestOf(script.text())}; style-src ${digestOf(style.text())}; img-src data:; base-uri 'none'; form-action 'none'`;
  expect(headers['content-security-policy']).toBe(`${policy}; frame-ancestors 'none'`);
  expect($('meta[http-equiv=Content-Security-Policy]').attr('content')).toBe(policy);
  expect([script.length, style.length, script.attr('type')]).toEqual([1, 1, undefined]);
  const addresses = $('[src], [href], [action]')
    .toArray()
    .map(({ attribs }) => attribs['src'] ?? attribs['href'] ?? attribs['action'] ?? '');
  expect(addresses).toEqual([expect.stringMatching(/^data:image\/svg\+xml,/)]);
  expect(style.text()).not.toMatch(/@import|url\((?!["']?data:)/);
});

test('caches ask again for it, and HEAD works', async () => {
  const { headers } = await ledger.call({ url: '/verify.html' });
  const etag = String(headers['etag']);
  const again = await ledger.call({ url: '/verify.html', headers: { 'if-none-match': etag } });
  expect(again.statusCode).toBe(304);
  const head = await ledger.call({ method: 'HEAD', url: '/verify.html' });
  expect([head.statusCode, head.body, head.headers['etag']]).toEqual([200, '', etag]);
});
