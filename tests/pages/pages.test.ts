import { load } from 'cheerio';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withoutControls } from '../../src/charts/text.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { fillLedger } from '../support/outlooks.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { nastyEvidence, nastyOutlook } from '../support/nasty.ts';
import { createOutlook, patchFramework, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ publicUrl: 'https://outlooks.example' });
  await fillLedger(ledger);
});
afterAll(() => ledger.close());

const BROWSER = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8',
};
const PATH = `/outlooks/${SLUG}`;

async function page(url: string, status = 200) {
  const answer = await ledger.call({ url, headers: BROWSER });
  expect([url, answer.statusCode]).toEqual([url, status]);
  expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
  expect(answer.headers['content-security-policy']).toContain(
    "script-src 'self'; style-src 'self'",
  );
  return { $: load(answer.body), answer };
}

const inLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim();
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsOf);
}

describe('the page of an outlook', () => {
  test('says all that the outlook says', async () => {
    const { $ } = await page(PATH);
    const text = inLine($('main').text());
    const { instrument: _, slug: __, metrics: ___, rationale: ____, ...said } = SAMPLE_OUTLOOK;
    const prose = textsOf(said).filter((one) => one.includes(' '));
    expect(prose.length).toBeGreaterThan(60);
    for (const part of prose.flatMap((one) => one.split('\n\n')))
      expect(text).toContain(inLine(part));
    for (const figure of ['25.72%', '0.89%', '$0.967B', '35%', '40%', '25%']) {
      expect(text).toContain(figure);
    }
  });

  test('shows the last change, its evidence, and the state of the conditions and the market', async () => {
    const { $ } = await page(PATH);
    expect($('#change strong').text()).toBe(
      'Probabilities (in percentage points): Bear +5, Base −5',
    );
    expect($('#change blockquote').text()).toBe('Yields jumped.');
    expect($('#change li').first().text()).toBe('Yields jumped');
    expect($('#drawdown > p').text()).toBe(
      'RUT closed at 2,650 on 2026-11-18, 11.67% below its peak of 3,000 on 2026-11-16: Correction.',
    );
    expect($('#drawdown .badge-now').closest('th').text()).toContain('Correction');
    const row = (key: string) =>
      inLine(
        $('#conditions tr')
          .filter((_, one) => $(one).find('code').text() === key)
          .text(),
      );
    expect(row('rate-relief')).toContain(
      'Bearuntriggeredus-30y-yield below 4.25 for 3 observations in a row',
    );
    expect(row('rate-relief')).toContain('the rule does not hold as of 2026-11-19');
    expect(row('orders-and-spending')).toContain('No longer published.');
    expect($('#evidence article').text()).toContain('supports bear');
  });

  test('of a past version shows that version, and offers no revision', async () => {
    const { $, answer } = await page(`${PATH}?version=1`);
    expect($('#probabilities tbody tr').first().text()).toContain('30%');
    expect($('#revise-panel').length + $('#evidence').length).toBe(0);
    expect($('.steps').text()).toContain('Version 1 of 2');
    expect($('.steps a').first().attr('href')).toBe(PATH);
    expect(answer.headers['cache-control']).toBe('public, no-cache');
  });

  test('compares any two versions', async () => {
    await patchFramework(ledger, {
      summary: 'Reworded.',
      headwinds: (SAMPLE_OUTLOOK['headwinds'] as object[])
        .slice(1)
        .map((one, index) => ({ ...one, rank: index + 1 })),
      rationale: 'One headwind is gone.',
      probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
    });
    const { $ } = await page(`${PATH}?version=3&against=1`);
    expect($('#diff h2').text()).toBe('From version 1 to version 3');
    const shown = inLine($('#diff').text());
    expect(shown).toContain('Reworded.');
    expect(shown).toContain('absent');
    // Shown by default if the wording changed.
    expect((await page(PATH)).$('#diff h2').text()).toBe('From version 2 to version 3');
    const { $: same } = await page(`${PATH}?version=2&against=2`, 422);
    expect(same('main').text()).toContain('must be another version than 2');
  });

  test('as of a day shows the version at its end, and of today the current one', async () => {
    ledger.clock.now = new Date('2026-11-21T10:00:00Z');
    await ledger.revise({
      probabilities: { bear: 0.32, base: 0.43, bull: 0.25 },
      rationale: 'Next day.',
    });
    expect((await page(`${PATH}?asOf=2026-11-20`)).$('.steps').text()).toContain('Version 3 of 4');
    expect((await page(`${PATH}?asOf=2026-11-21`)).$('.steps').text()).toContain('Version 4 of 4');
    const { $: future } = await page(`${PATH}?asOf=2026-11-22`, 422);
    expect(future('main').text()).toContain('asOf');
    const { $: before } = await page(`${PATH}?asOf=2020-01-01`, 404);
    expect(before('h1').text()).toBe('Not found');
    expect((await page(`${PATH}?asOf=2026-11-20T16:00:00Z`)).$('#live').length).toBe(1);
    const { $: odd } = await page(`${PATH}?asOf=yesterday&version=2`, 422);
    expect(odd('main').text()).toContain('must be a date such as 2026-11-20, or a timestamp');
  });

  test('follows each version, state and close at once', async () => {
    const first = await page(PATH);
    const again = await ledger.call({
      url: PATH,
      headers: { ...BROWSER, 'if-none-match': String(first.answer.headers.etag) },
    });
    expect(again.statusCode).toBe(304);
    const observations = [{ date: '2026-11-20', value: 2640 }];
    const path = '/v1/series/rut-close/observations';
    await send(ledger, 'POST', path, { observations }, { as: 'feed' });
    expect((await page(PATH)).$('#drawdown > p').text()).toContain('closed at 2,640');
    const assess = `/v1/outlooks/${SLUG}/conditions/domestic-breadth/assessments`;
    await send(ledger, 'POST', assess, { state: 'triggered', rationale: 'Breadth is wide.' });
    const { $ } = await page(PATH);
    expect($('.notice').text()).toContain('A review is due.');
    expect($('#owed textarea').attr('data-condition')).toBe('domestic-breadth');
    expect($('#revise-form').attr('data-version')).toBe('4');
    const { headers } = await ledger.call({ url: `/v1/outlooks/${SLUG}` });
    expect($('#revise-form').attr('data-etag')).toBe(headers.etag);
  });

  test('lists versions twenty at a time', async () => {
    await createOutlook(ledger, { slug: 'often', title: 'Often revised' });
    for (let index = 0; index < 24; index += 1) {
      const probabilities = { bear: (10 + index) / 100, base: (65 - index) / 100, bull: 0.25 };
      await send(ledger, 'POST', '/v1/outlooks/often/revisions', {
        probabilities,
        rationale: 'On.',
      });
    }
    const { $ } = await page('/outlooks/often');
    expect($('#history tbody tr')).toHaveLength(20);
    const older = $('#history > p a').attr('href') ?? '';
    const { $: next } = await page(older.split('#')[0] ?? '');
    expect(next('#history tbody tr')).toHaveLength(5);
    expect(next('#history > p a')).toHaveLength(0);
  });

  test('of a resolved outlook shows the outcome and the scores', async () => {
    await createOutlook(ledger, { slug: 'ended', title: 'Ended' });
    ledger.clock.now = new Date('2026-12-21T10:00:00Z');
    const body = { outcome: 'bear', realisedReturn: -0.2, reason: 'It fell by a fifth.' };
    await send(ledger, 'POST', '/v1/outlooks/ended/resolution', body);
    const { $ } = await page('/outlooks/ended');
    expect(inLine($('.notice').text())).toContain('Resolved: Bear, with a return of −20%');
    const scored = $('#scores tr').filter((_, row) => $(row).text().startsWith('Version 1'));
    expect(
      scored
        .children()
        .toArray()
        .map((cell) => $(cell).text())
        .slice(2),
    ).toEqual(['0.755', '1.204', '0.5525']);
    expect($('#revise-panel')).toHaveLength(0);
  });

  test('has a preview with a picture for shared links', async () => {
    const { $ } = await page(PATH);
    const shown = (property: string) => $(`meta[property="og:${property}"]`).attr('content');
    expect([shown('title'), shown('url'), shown('type')]).toEqual([
      'Russell 2000: the case for more downside',
      `https://outlooks.example${PATH}`,
      'article',
    ]);
    expect(shown('description')).toMatch(/^Bear 32%, Base 43%, Bull 25%\. Reworded\.$/);
    const image = shown('image') ?? '';
    expect(image).toMatch(/^https:\/\/outlooks\.example\//);
    const picture = await ledger.call({ url: image.slice('https://outlooks.example'.length) });
    expect(picture.headers['content-type']).toBe('image/png');
    expect(
      [picture.rawPayload.readUInt32BE(16), picture.rawPayload.readUInt32BE(20)].map(String),
    ).toEqual([shown('image:width'), shown('image:height')]);
  });

  test('shows everything else if an instrument has no closes, and replaces control characters', async () => {
    await send(ledger, 'POST', '/v1/instruments', { symbol: 'BARE', name: 'Bare', kind: 'index' });
    const rationale = 'Before \u0001 and \u001b[31m after.';
    await createOutlook(ledger, { slug: 'bare', title: 'Bare', instrument: 'BARE', rationale });
    const { $, answer } = await page('/outlooks/bare');
    expect($('#drawdown > p').length).toBe(0);
    expect($('#drawdown table').length).toBe(1);
    expect($('#change blockquote').text()).toBe('Before \ufffd and \ufffd[31m after.');
    expect(['\u0001', '\u001b'].filter((one) => answer.body.includes(one))).toEqual([]);
  });

  test('ignores what others add to a shared link', async () => {
    for (const url of [PATH, '/']) {
      expect((await page(`${url}?utm_source=x&fbclid=y`)).$('h1').length).toBe(1);
    }
  });

  test("is a page with the problem if it can't be shown", async () => {
    const { $, answer } = await page('/outlooks/nowhere', 404);
    expect($('main').text()).toContain('There is no outlook "nowhere".');
    expect(answer.headers['cache-control']).toBe('no-store');
    const { $: odd } = await page(`${PATH}?version=x`, 422);
    expect(odd('main').text()).toContain('must be a whole number of at least 1');
    const json = await ledger.call({ url: PATH, headers: { accept: 'application/json' } });
    expect(json.statusCode).toBe(406);
    const posted = await ledger.call({ method: 'POST', url: PATH });
    expect([posted.statusCode, posted.headers.allow]).toEqual([405, 'GET, HEAD, OPTIONS']);
  });
});

describe('the list', () => {
  test('has each outlook, and applies the filters', async () => {
    const { $ } = await page('/');
    expect(
      $('.outlooks h2 a')
        .toArray()
        .map((link) => $(link).attr('href')),
    ).toEqual([
      '/outlooks/bare',
      '/outlooks/ended',
      '/outlooks/often',
      PATH,
      '/outlooks/resolved-case',
    ]);
    const { $: found } = await page('/?q=&status=resolved&reviewDue=');
    expect(
      found('.outlooks h2')
        .toArray()
        .map((one) => found(one).text()),
    ).toContain('Ended');
    expect(found('.outlooks .badge-resolved')).toHaveLength(found('.outlooks > li').length);
    expect(found('option[selected]').text()).toBe('resolved');
    const { $: due } = await page('/?reviewDue=true');
    // Of one, a condition is not answered; of the other, closes contradict the outcome.
    const links = due('.outlooks h2 a').toArray();
    expect(new Set(links.map((link) => due(link).attr('href')))).toEqual(
      new Set(['/outlooks/resolved-case', PATH]),
    );
    const { $: none } = await page('/?q=zebra');
    expect(none('.empty').text()).toBe('No outlooks match.');
    await page('/?status=shut', 422);
  });

  test('continues page by page', async () => {
    const { $ } = await page('/?limit=4');
    const next = $('a[rel=next]').attr('href') ?? '';
    const { $: last } = await page(next);
    expect(last('.outlooks > li')).toHaveLength(1);
  });

  test('of an empty ledger says what to do first', async () => {
    const empty = await startLedger({ samples: false });
    const { body } = await empty.call({ url: '/' });
    expect(load(body)('.empty').text()).toBe(
      'There are no outlooks yet. Create the first one with POST /v1/outlooks.',
    );
    await empty.close();
  });
});

test('text of analysts is never markup, in any field', async () => {
  const [sent, item] = [nastyOutlook('nasty'), nastyEvidence()];
  expect((await createOutlook(ledger, sent)).statusCode).toBe(201);
  expect((await send(ledger, 'POST', '/v1/outlooks/nasty/evidence', item)).statusCode).toBe(201);
  const { $ } = await page('/outlooks/nasty');
  const text = inLine($('main').text());
  const { metrics, ...rest } = sent;
  const figures = (metrics as { name: string; display: string; source: string }[]).map(
    ({ name, display, source }) => [name, display, source],
  );
  const said = textsOf([rest, figures, item]).filter((one) => one.includes('<script>'));
  expect(said.length).toBeGreaterThan(80);
  for (const part of said.flatMap((one) => one.split('\n\n'))) {
    expect(text).toContain(inLine(withoutControls(part)));
  }
  expect(
    $('script')
      .toArray()
      .map((script) => $(script).attr('src')?.split('/').at(-1)),
  ).toEqual(['idiomorph.js', 'page.js']);
  expect($('style, i, del, [style], [onerror]').toArray()).toEqual([]);
  const { $: list } = await page('/');
  expect(list('.outlooks').text()).toContain(String(sent['title']));
});

describe('the assets of pages', () => {
  test('are cached for ever, under the digest of all of them', async () => {
    const { $ } = await page('/');
    const urls = $('link[rel=stylesheet], link[rel=icon], script')
      .toArray()
      .map((part) => $(part).attr('href') ?? $(part).attr('src') ?? '');
    expect(urls).toHaveLength(5);
    const types: Record<string, string> = {
      css: 'text/css',
      js: 'text/javascript',
      svg: 'image/svg+xml',
    };
    const modules = [
      'live.js',
      'revise.js',
      'revise-panel.js',
      'publishing.js',
      'linked-points.js',
    ];
    const base = (urls[0] ?? '').replace(/[^/]+$/, '');
    for (const url of [...urls, ...modules.map((name) => base + name)]) {
      const answer = await ledger.call({ url });
      expect([url, answer.statusCode]).toEqual([url, 200]);
      expect(answer.headers['content-type']).toBe(
        `${types[url.split('.').at(-1) ?? '']}; charset=utf-8`,
      );
      expect(answer.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    }
    for (const url of [`${base}secret.js`, '/assets/older/page.js', `${base}..%2Fpackage.json`]) {
      expect([url, (await ledger.call({ url })).statusCode]).toEqual([url, 404]);
    }
  });

  test('import only each other', async () => {
    const { $ } = await page('/');
    const base = ($('script').last().attr('src') ?? '').replace(/[^/]+$/, '');
    for (const name of [
      'page.js',
      'live.js',
      'revise.js',
      'revise-panel.js',
      'publishing.js',
      'linked-points.js',
    ]) {
      const { body } = await ledger.call({ url: base + name });
      for (const [, source = ''] of body.matchAll(/from '([^']+)'/g)) {
        expect((await ledger.call({ url: base + source.slice(2) })).statusCode).toBe(200);
      }
    }
  });
});

describe('a key as a browser sends it', () => {
  const basic = (password: string) => `Basic ${Buffer.from(`me:${password}`).toString('base64')}`;
  let closed: TestLedger;
  beforeAll(async () => {
    closed = await startLedger({ requireKeyForReads: true });
  });
  afterAll(() => closed.close());

  const BEARER = 'Bearer realm="Outlook Ledger"';
  const BOTH = [BEARER, 'Basic realm="Outlook Ledger", charset="UTF-8"'];
  const BY_HAND = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

  test.each([
    ['a page', PATH, {}, BOTH],
    ['a picture', `/v1/outlooks/${SLUG}/chart.svg`, {}, BOTH],
    ['a feed', '/v1/feed.atom', {}, BOTH],
    ['a stream', '/v1/events', {}, BOTH],
    ['an article', `/v1/outlooks/${SLUG}`, { accept: 'text/markdown' }, BOTH],
    ['data that a link leads to', `/v1/outlooks/${SLUG}?format=md`, BY_HAND, BOTH],
    ['data for a script', `/v1/outlooks/${SLUG}`, { accept: 'application/json' }, BEARER],
    ['data for anything', `/v1/outlooks/${SLUG}`, {}, BEARER],
    ['what is for admins', '/v1/keys', BY_HAND, BEARER],
  ])('is asked for by %s', async (_name, url, headers, challenges) => {
    const asked = await closed.call({ url, headers });
    expect([asked.statusCode, asked.headers['www-authenticate']]).toEqual([401, challenges]);
  });

  test('allows reads, as the password or as the name', async () => {
    const named = `Basic ${Buffer.from(`${closed.keys.feed}:`).toString('base64')}`;
    const urls = [PATH, '/', `/v1/outlooks/${SLUG}/chart.svg`, `/v1/outlooks/${SLUG}`];
    for (const url of urls) {
      for (const authorization of [basic(closed.keys.feed), named]) {
        const opened = await closed.call({ url, headers: { authorization } });
        expect([url, opened.statusCode]).toEqual([url, 200]);
        expect(opened.headers['cache-control']).toMatch(/^private/);
        expect(String(opened.headers.vary)).toContain('Authorization');
      }
    }
    const chart = await closed.call({ url: urls[2] ?? '', headers: { authorization: named } });
    expect(chart.headers['cross-origin-resource-policy']).toBe('same-origin');
  });

  test.each([
    ['another key', basic('olk_nobody')],
    ['no key', basic('')],
    ['no key as a name', `Basic ${Buffer.from('olk_nobody').toString('base64')}`],
    ['no base64', 'Basic ::::'],
  ])('is refused where it is %s', async (_name, authorization) => {
    const { statusCode } = await closed.call({ url: PATH, headers: { authorization } });
    expect(statusCode).toBe(401);
  });

  test('allows no write, which a page of another origin could make a browser send', async () => {
    const payload = {
      probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
      rationale: 'Not mine.',
    };
    const url = `/v1/outlooks/${SLUG}/revisions`;
    const headers = { authorization: basic(closed.keys.admin) };
    const refused = await closed.call({ method: 'POST', url, headers, payload });
    expect(refused.statusCode).toBe(401);
    expect((await closed.call({ url: '/v1/keys', headers })).statusCode).toBe(401);
  });
});

describe('a path without a page', () => {
  const read = (url: string, accept = BROWSER.accept, method: 'GET' | 'HEAD' | 'POST' = 'GET') =>
    ledger.call({ method, url, headers: { accept } });

  test.for([
    ['/outlooks', '/'],
    ['/outlooks/', '/'],
    ['/outlooks?q=rates&status=open', '/?q=rates&status=open'],
    ['/outlooks/?utm_source=//evil.example', '/?utm_source=//evil.example'],
    [`${PATH}/`, PATH],
    [`${PATH}/?version=1#x`, `${PATH}?version=1`],
    ['/outlooks/nowhere/', '/outlooks/nowhere'],
    ['http://evil.example/outlooks/', '/'],
  ] as const)('%s leads to %s', async ([url, location]) => {
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await read(url, BROWSER.accept, method);
      expect([answer.statusCode, answer.headers.location]).toEqual([308, location]);
      expect(answer.headers['cache-control']).toBe('no-store');
    }
    for (const accept of ['application/json', '*/*', 'text/html;q=0.1, application/json']) {
      const answer = await read(url, accept);
      expect([answer.statusCode, answer.headers.location]).toEqual([404, undefined]);
      expect(answer.headers['content-type']).toBe('application/problem+json');
    }
  });

  test.for([
    '/nowhere',
    '/nowhere/',
    '//',
    '//evil.example/',
    '//evil.example/outlooks/',
    '//evil.example/%2e%2e',
    '/%2f%2fevil.example/',
    '/%5cevil.example/',
    '/.//evil.example/',
    '/outlooks//',
    '/outlooks/..//evil.example/',
    '/outlooks/%2f%2fevil.example/',
    '/outlooks/%5c%5cevil.example/',
    '/outlooks/Not-A-Slug/',
    `${PATH}//`,
    `${PATH}/more/`,
    '/v1/outlooks/',
    '/v1/series/',
    '/v1/analysts//track-record',
    `/v1/outlooks/${SLUG}/`,
    '/docs//',
  ])('%s shows a page without a way to another host', async (url) => {
    const answer = await read(url);
    expect(answer.statusCode).toBeGreaterThanOrEqual(404);
    expect(answer.statusCode).toBeLessThanOrEqual(422);
    expect(answer.headers.location).toBeUndefined();
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(answer.headers['cache-control']).toBe('no-store');
    const $ = load(answer.body);
    expect($('h1').text()).not.toBe('');
    for (const link of $('main a').toArray()) expect($(link).attr('href')).toBe('/');
    const scripted = await read(url, 'application/json');
    expect(scripted.headers['content-type']).toBe('application/problem+json');
  });

  test('tells a reader and a script alike which methods it has', async () => {
    for (const [accept, type] of [
      [BROWSER.accept, 'text/html; charset=utf-8'],
      ['application/json', 'application/problem+json'],
      ['*/*', 'application/problem+json'],
    ] as const) {
      const answer = await read(PATH, accept, 'POST');
      expect([answer.statusCode, answer.headers.allow]).toEqual([405, 'GET, HEAD, OPTIONS']);
      expect(answer.headers['content-type']).toBe(type);
    }
  });

  test('needs no key, even if reads need one', async () => {
    const closed = await startLedger({ requireKeyForReads: true });
    const answer = await closed.call({ url: '/nowhere', headers: BROWSER });
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([
      404,
      'text/html; charset=utf-8',
    ]);
    await closed.close();
  });
});
