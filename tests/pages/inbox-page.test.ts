import { load } from 'cheerio';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ requireKeyForReads: true });
});
afterAll(() => ledger.close());

test('the page of the inbox is the same for everyone, and holds nothing of the ledger', async () => {
  const headers = { accept: 'text/html' };
  const response = await ledger.call({ url: '/inbox', headers });
  expect([response.statusCode, response.headers['content-type']]).toEqual([
    200,
    'text/html; charset=utf-8',
  ]);
  const policy = String(response.headers['content-security-policy']);
  expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
  const $ = load(response.body);
  expect($('#inbox[hidden]')).toHaveLength(1);
  expect($('input[name=key]').attr('type')).toBe('password');
  expect($('script:not([src]), style, [style], [onclick]')).toHaveLength(0);
  expect(response.body).not.toContain('russell-2000-downside');
  const withKey = { ...headers, authorization: `Bearer ${ledger.keys.analyst}` };
  expect((await ledger.call({ url: '/inbox', headers: withKey })).body).toBe(response.body);
});

test('its scripts are served under the digest of the release', async () => {
  const { body } = await ledger.call({ url: '/inbox', headers: { accept: 'text/html' } });
  const [assets = ''] = /\/assets\/[\w-]+/.exec(body) ?? [];
  for (const name of [
    'page.js',
    'inbox.js',
    'inbox-api.js',
    'inbox-changes.js',
    'inbox-panel.js',
  ]) {
    const script = await ledger.call({ url: `${assets}/${name}` });
    expect([name, script.statusCode]).toEqual([name, 200]);
    for (const [, imported = ''] of script.body.matchAll(/from '\.\/([\w-]+\.js)'/g)) {
      expect((await ledger.call({ url: `${assets}/${imported}` })).statusCode).toBe(200);
    }
  }
});
