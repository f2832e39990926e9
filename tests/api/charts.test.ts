import { load } from 'cheerio';
import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { nastyOutlook } from '../support/nasty.ts';
import { createOutlook, faultsOf, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const URL = `/v1/outlooks/${SLUG}/chart.svg`;
const read = (query = '', headers: Record<string, string> = {}, url = URL) =>
  ledger.call({ url: `${url}${query}`, headers });
const described = (svg: string) => load(svg, { xml: true })('svg > desc').text();

const observe = (values: Record<string, number>) =>
  send(
    ledger,
    'POST',
    '/v1/series/rut-close/observations',
    { observations: Object.entries(values).map(([date, value]) => ({ date, value })) },
    { as: 'feed' },
  );

/** Waits until the service has received all events, so that they drop nothing that it caches from then on. */
const hearAll = () =>
  vi.waitFor(async () => {
    const { rows } = await ledger.pool.query<{ newest: number; waiting: number }>(
      `select max(position)::float8 as newest, count(*) filter (where outlook_id is not null and position is null)::int as waiting
         from events`,
    );
    expect(rows[0]).toEqual({ newest: ledger.feed.position, waiting: 0 });
  });

describe('a chart', () => {
  test('is SVG with a policy of its own, and PNG by Accept or by format', async () => {
    const svg = await read();
    expect([svg.statusCode, svg.headers['content-type']]).toEqual([
      200,
      'image/svg+xml; charset=utf-8',
    ]);
    expect(svg.headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; frame-ancestors 'none'$/,
    );
    expect(svg.headers['cross-origin-resource-policy']).toBe('cross-origin');
    expect(String(svg.headers.vary)).toContain('Accept,');
    const image = { accept: 'image/avif,image/webp,image/svg+xml,image/*;q=0.8,*/*;q=0.5' };
    expect((await read('', image)).body).toBe(svg.body);
    for (const png of [
      await read('', { accept: 'image/png' }),
      await read('?format=png'),
      await read('?format=png', image),
    ]) {
      expect(png.headers['content-type']).toBe('image/png');
      expect(png.rawPayload.subarray(1, 4).toString()).toBe('PNG');
      expect(png.headers['content-encoding']).toBeUndefined();
    }
    expect((await read('?format=svg', { accept: 'image/png' })).body).toBe(svg.body);
    expect((await read('', { accept: 'application/json' })).statusCode).toBe(406);
  });

  test('has the requested size, within bounds', async () => {
    const png = await read('?format=png&width=600&height=315&scale=2');
    expect([png.rawPayload.readUInt32BE(16), png.rawPayload.readUInt32BE(20)]).toEqual([1200, 630]);
    const large = await read('?format=png&width=1600&height=1200&scale=2');
    expect(faultsOf(large.json())).toEqual({ '/scale': 'is too large for this size' });
    expect((await read('?width=1600&height=1200&scale=2&v=x')).statusCode).toBe(200);
    const refused = await read('?width=1601&height=199&scale=3&kind=pie&theme=blue&format=gif');
    expect(refused.statusCode).toBe(422);
    expect(Object.keys(faultsOf(refused.json())).toSorted()).toEqual([
      '/format',
      '/height',
      '/kind',
      '/scale',
      '/theme',
      '/width',
    ]);
  });

  test('ignores parameters that it does not know, and the cache buster', async () => {
    const plain = await read('?kind=history');
    for (const more of [
      'utm_source=mail',
      'fbclid=x&fbclid=y',
      `v=${'9'.repeat(500)}`,
      'v=1&v=2',
    ]) {
      const answer = await read(`?${more}&kind=history`);
      expect([more, answer.statusCode, answer.body]).toEqual([more, 200, plain.body]);
    }
  });

  describe('PNGs', () => {
    let width = 400;
    /** As many at once as an address asks for, each of another size. */
    const draw = (remoteAddress: string, count: number) =>
      Promise.all(
        Array.from({ length: count }, () =>
          ledger.call({
            url: `${URL}?format=png&width=${(width += 1)}`,
            remoteAddress,
          }),
        ),
      );
    const refusalOf = (answer: LightMyRequestResponse) => [
      answer.statusCode,
      answer.headers['retry-after'],
      answer.json<{ type: string }>().type,
    ];

    test('of one address get a fifth of the queue, and leave the rest to others', async () => {
      const [ofOne, ofOther] = await Promise.all([draw('192.0.2.1', 24), draw('192.0.2.2', 3)]);
      expect(ofOne.filter(({ statusCode }) => statusCode === 200)).toHaveLength(4);
      const refused = ofOne.filter(({ statusCode }) => statusCode !== 200);
      for (const one of refused) {
        expect(refusalOf(one)).toEqual([429, '2', '/problems/rate-limited']);
      }
      expect(refused[0]?.json()).toMatchObject({
        detail: '4 PNGs for your address are being drawn; wait for them before you ask for more.',
      });
      expect(ofOther.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200]);
      expect((await draw('192.0.2.1', 1))[0]?.statusCode).toBe(200);
    });

    test('are refused if too many of all addresses wait for theirs', async () => {
      const addresses = Array.from({ length: 6 }, (_, index) => `192.0.2.${index + 1}`);
      const answers = (await Promise.all(addresses.map((one) => draw(one, 4)))).flat();
      const refused = answers.filter(({ statusCode }) => statusCode !== 200);
      expect(refused).toHaveLength(4);
      for (const one of refused) {
        expect(refusalOf(one)).toEqual([503, '2', '/problems/overloaded']);
      }
      expect((await draw('192.0.2.1', 1))[0]?.statusCode).toBe(200);
    });
  });

  test('of a version never changes; that of the current version follows it', async () => {
    const [first, history] = [await read('?version=1'), await read('?kind=history&version=1')];
    expect(first.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    const current = await read();
    expect(current.headers['cache-control']).toBe('public, no-cache');
    expect(current.body).toBe(first.body);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 60_000);
    await ledger.revise({ probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'On.' });
    expect(described((await read()).body)).toBe(
      'Bear 35%, Base 40%, Bull 25%. Since the previous version, in percentage points: Bear +5, Base −5, Bull ±0.',
    );
    expect(described((await read('?kind=history')).body)).toMatch(
      /^2 versions from .* at last Bear 35%/,
    );
    expect((await read('?version=1')).body).toBe(first.body);
    expect((await read('?kind=history&version=1')).body).toBe(history.body);
    // Drawn again, not cached.
    expect((await read('?kind=history&version=1&v=anew')).body).toBe(history.body);
    const moment = '2026-11-20T16:00:30Z';
    expect((await read(`?asOf=${moment}`)).body).toBe(first.body);
    expect((await read('?version=3')).statusCode).toBe(404);
    const both = await read(`?version=1&asOf=${moment}`);
    expect(faultsOf(both.json())).toEqual({
      '/version': 'cannot be combined with asOf: leave one of them out',
    });
    const drawdown = await read('?kind=drawdown&version=1');
    expect(faultsOf(drawdown.json())).toEqual({
      '/version': 'does not apply to drawdown: leave it out, or use asOf',
    });
  });

  test('of the drawdown shows a close as soon as it is acknowledged', async () => {
    expect(described((await read('?kind=drawdown')).body)).toBe(
      'There are no closes of RUT since 31 March 2026.',
    );
    await observe({ '2026-11-17': 3000, '2026-11-18': 2700 });
    expect(described((await read('?kind=drawdown')).body)).toBe(
      'RUT closed at 2,700 on 18 November 2026, 10% below 3,000 of 17 November 2026. It is called Correction. The deepest fall was 10%, on 18 November 2026.',
    );
    await hearAll();
    await read('?kind=drawdown');
    // The label stays the same, so no event reports it.
    await observe({ '2026-11-19': 2650 });
    expect(described((await read('?kind=drawdown')).body)).toContain('RUT closed at 2,650');
    const before = await read('?kind=drawdown&asOf=2026-11-20T16:00:30Z');
    expect(described(before.body)).toContain('no closes of RUT');
  });

  test('of the history marks triggered conditions and the resolution', async () => {
    await createOutlook(ledger, { slug: 'marked', title: 'Marked' });
    const assess = '/v1/outlooks/marked/conditions/domestic-breadth/assessments';
    await send(ledger, 'POST', assess, { state: 'triggered', rationale: 'Breadth is wide.' });
    await send(ledger, 'POST', '/v1/outlooks/marked/evidence', {
      headline: 'Breadth widened',
      summary: 'By much.',
      publisher: 'A newswire',
      publishedAt: '2026-11-20T15:00:00Z',
    });
    const marked = '/v1/outlooks/marked/chart.svg';
    const { body } = await read('?kind=history', {}, marked);
    expect(described(body)).toContain('domestic-breadth triggered on 20 November 2026.');
    const [item] = (await ledger.call({ url: '/v1/outlooks/marked/evidence' })).json<{
      items: { id: string }[];
    }>().items;
    await send(ledger, 'POST', '/v1/outlooks/marked/revisions', {
      probabilities: { bear: 0.2, base: 0.55, bull: 0.25 },
      rationale: 'Breadth.',
      evidence: [item?.id],
    });
    const first = await read('?kind=history&version=1', {}, marked);
    expect(described(first.body)).not.toMatch(/triggered|evidence/);
    const second = await read('?kind=history&version=2', {}, marked);
    expect(described(second.body)).toContain('domestic-breadth triggered');
    expect(described(second.body)).toContain('evidence: Breadth widened on 20 November 2026.');
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 86_400_000);
    await send(ledger, 'POST', '/v1/outlooks/marked/resolution', {
      outcome: 'bear',
      realisedReturn: -0.2,
      reason: 'It fell.',
    });
    const resolved = await read('?kind=history', {}, marked);
    expect(described(resolved.body)).toContain('resolved: bear on 21 November 2026.');
  });

  test("of the calibration covers all forecasts of the version's author", async () => {
    const { body } = await read('?kind=calibration', {}, '/v1/outlooks/marked/chart.svg');
    expect(described(body)).toMatch(/^1 resolved outlook: forecast /);
    // It covers everything by its author: another outlook is resolved.
    await createOutlook(ledger, { slug: 'marked-too', title: 'Marked, too' });
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 86_400_000);
    const path = '/v1/outlooks/marked-too/resolution';
    const resolution = { outcome: 'bull', realisedReturn: 0.2, reason: 'It rose.' };
    await hearAll();
    await read('?kind=calibration', {}, '/v1/outlooks/marked/chart.svg');
    await send(ledger, 'POST', path, resolution);
    const both = await read('?kind=calibration', {}, '/v1/outlooks/marked/chart.svg');
    expect(described(both.body)).toMatch(/^2 resolved outlooks: forecast /);
    const unscored = await startLedger();
    const { body: none } = await unscored.call({ url: `${URL}?kind=calibration` });
    expect(described(none)).toBe('No outlook is resolved yet.');
    await unscored.close();
  });

  test('is refused if the instrument has no closes, or the outlook does not exist', async () => {
    await send(ledger, 'POST', '/v1/instruments', { symbol: 'BARE', name: 'Bare', kind: 'index' });
    await createOutlook(ledger, { slug: 'bare', title: 'Bare', instrument: 'BARE' });
    const refused = await read('?kind=drawdown', {}, '/v1/outlooks/bare/chart.svg');
    expect([refused.statusCode, refused.json<{ type: string }>().type]).toEqual([
      409,
      '/problems/no-closes',
    ]);
    expect((await read('', {}, '/v1/outlooks/nowhere/chart.svg')).statusCode).toBe(404);
  });

  test('shows text as text', async () => {
    const sent = nastyOutlook('nasty');
    expect((await createOutlook(ledger, sent)).statusCode).toBe(201);
    for (const kind of ['scenarios', 'history']) {
      const { body } = await read(`?kind=${kind}`, {}, '/v1/outlooks/nasty/chart.svg');
      const $ = load(body, { xml: true });
      expect($('svg > title').text()).toBe(sent['title']);
      expect($('script').toArray()).toEqual([]);
      const png = await read(`?kind=${kind}&format=png`, {}, '/v1/outlooks/nasty/chart.svg');
      expect(png.statusCode).toBe(200);
    }
  });
});
