import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  nextPublicPool,
  type PublicPool,
  publicPoolOf,
  publicPoolTime,
} from '../../src/domain/consensus.ts';
import { type Probabilities, probabilitiesOf } from '../../src/domain/probabilities.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';

const WORD = 'Quillwort';
const NAMES = ['Ada', 'Ben', 'Cleo', 'Dara'].map((name) => `${name} ${WORD}`);
const BASE = '/v1/outlooks/pooled';

let ledger: TestLedger;
const keys = new Map<string, string>();
const ids = new Map<string, string>();
beforeAll(async () => {
  ledger = await startLedger();
  for (const name of NAMES) {
    const issued = await send(
      ledger,
      'POST',
      '/v1/keys',
      { name, role: 'analyst' },
      { as: 'admin' },
    );
    const { key, analystId } = issued.json<{ key: string; analystId: string }>();
    keys.set(name, key);
    ids.set(name, analystId);
  }
  at('2026-11-20T16:00:00Z');
  await createOutlook(ledger, {
    slug: 'pooled',
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
    invalidationConditions: [],
  });
});
afterAll(() => ledger.close());

const at = (time: string) => void (ledger.clock.now = new Date(time));
const read = (url: string, headers = {}) => ledger.call({ url, headers });
const open = async (url = `${BASE}/consensus`) => {
  const answer = await read(url);
  return [answer.statusCode, answer.json<Record<string, unknown>>()] as const;
};
async function hold(name: string, bear: number, base: number, bull: number): Promise<void> {
  const held = await ledger.call({
    method: 'PUT',
    url: `${BASE}/views/me`,
    headers: { authorization: `Bearer ${keys.get(name)}`, 'content-type': 'application/json' },
    payload: JSON.stringify({ probabilities: { bear, base, bull }, rationale: `${WORD} says so.` }),
  });
  expect(held.statusCode, held.body).toBeLessThan(300);
}

const view = fc
  .tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }))
  .map(([a, b]): Probabilities => {
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    return probabilitiesOf({ bear: low, base: high - low, bull: 10_000 - high });
  });

describe('the pool that anyone may read', () => {
  test('is whole percents that sum to 100, nearest to the mean, with the deviation around it', () => {
    fc.assert(
      fc.property(fc.array(view, { minLength: 3, maxLength: 12 }), (views) => {
        const pool = publicPoolOf(views) as PublicPool;
        expect(pool.n).toBe(views.length);
        let sum = 0;
        for (const name of ['bear', 'base', 'bull'] as const) {
          const values = views.map((one) => one[name] / 100);
          const mean = values.reduce((a, b) => a + b, 0) / values.length;
          const squares = values.reduce((total, one) => total + (one - mean) ** 2, 0);
          expect(Number.isInteger(pool.percents[name])).toBe(true);
          expect(Math.abs(pool.percents[name] - mean)).toBeLessThan(1);
          expect(pool.deviations[name]).toBe(Math.round(pool.deviations[name]));
          const deviation = Math.sqrt(squares / values.length);
          expect(Math.abs(pool.deviations[name] - deviation)).toBeLessThanOrEqual(0.5 + 1e-9);
          sum += pool.percents[name];
        }
        expect(sum).toBe(100);
        expect(publicPoolOf(views.toReversed())).toEqual(pool);
      }),
    );
  });

  test('needs three views', () => {
    fc.assert(
      fc.property(fc.array(view, { maxLength: 2 }), (views) => {
        expect(publicPoolOf(views)).toBeNull();
      }),
    );
  });

  test('is as of a midnight, and the same for a whole day', () => {
    const times = fc.date({
      min: new Date('2020-01-01'),
      max: new Date('2100-01-01'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(
        times,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (now, part) => {
          const next = nextPublicPool(now);
          const until = next.getTime() - now.getTime();
          expect(until).toBeGreaterThan(0);
          expect(until).toBeLessThanOrEqual(86_400_000);
          const later = new Date(now.getTime() + Math.floor(until * part));
          expect(publicPoolTime(later)).toEqual(publicPoolTime(now));
          expect(publicPoolTime(now).getTime() % 86_400_000).toBe(0);
          expect(publicPoolTime(now).getTime()).toBeLessThan(now.getTime());
          expect(publicPoolTime(next).getTime() - publicPoolTime(now).getTime()).toBe(86_400_000);
        },
      ),
    );
  });
});

describe('without a key, a consensus', () => {
  test('is shown from three views on, once a day', async () => {
    await hold(NAMES[0] as string, 0.4111, 0.3889, 0.2);
    await hold(NAMES[1] as string, 0.3, 0.5, 0.2);
    at('2026-11-21T12:00:00Z');
    const [few, problem] = await open();
    expect([few, problem['type']]).toEqual([404, '/problems/too-few-views']);
    await hold(NAMES[2] as string, 0.2, 0.4, 0.4);
    expect((await open())[0]).toBe(404);
    at('2026-11-22T00:04:59Z');
    expect((await open())[0]).toBe(404);
    at('2026-11-22T00:05:00Z');
    expect(await open()).toEqual([
      200,
      {
        slug: 'pooled',
        method: 'linear',
        weights: 'equal',
        maxAge: null,
        asOf: '2026-11-22T00:00:00.000Z',
        n: 3,
        probabilities: { bear: 0.3, base: 0.43, bull: 0.27 },
        spread: {
          bear: { standardDeviation: 0.09 },
          base: { standardDeviation: 0.05 },
          bull: { standardDeviation: 0.09 },
        },
      },
    ]);
  });

  test('does not change within a day, whatever happens, not even in its ETag', async () => {
    const before = await read(`${BASE}/consensus`);
    await hold(NAMES[3] as string, 0.9, 0.05, 0.05);
    const withdrawn = await ledger.call({
      method: 'DELETE',
      url: `${BASE}/views/me`,
      headers: { authorization: `Bearer ${keys.get(NAMES[1] as string)}` },
    });
    expect(withdrawn.statusCode).toBe(200);
    const url = `/v1/analysts/${ids.get(NAMES[0] as string)}`;
    await send(ledger, 'PATCH', url, { active: false }, { as: 'admin' });
    at('2026-11-22T23:59:00Z');
    const after = await read(`${BASE}/consensus`);
    expect([after.body, after.headers.etag]).toEqual([before.body, before.headers.etag]);
    const missed = await read(`${BASE}/consensus`, {
      'if-none-match': String(before.headers.etag),
    });
    expect(missed.statusCode).toBe(304);
    await send(ledger, 'PATCH', url, { active: true }, { as: 'admin' });
    at('2026-11-23T12:00:00Z');
    expect(await open()).toMatchObject([200, { n: 3, asOf: '2026-11-23T00:00:00.000Z' }]);
  });

  test.each([
    ['asOf=2026-11-22T12:00:00Z', 'asOf'],
    ['method=logarithmic', 'method'],
    ['weights=skill', 'weights'],
    ['maxAge=3', 'maxAge'],
    ['weights=recency&maxAge=3', 'weights, maxAge'],
  ])('with ?%s needs a key', async (query, named) => {
    const answer = await read(`${BASE}/consensus?${query}`);
    expect(answer.statusCode).toBe(401);
    expect(answer.json()).toMatchObject({
      detail: expect.stringContaining(`These parameters need a key: ${named}.`) as string,
    });
    const keyed = await ledger.call({ url: `${BASE}/consensus?${query}`, as: 'feed' });
    expect(keyed.statusCode).not.toBe(401);
  });

  test('of an outlook that does not exist is not found', async () => {
    const answer = await read('/v1/outlooks/no-such/consensus');
    expect(answer.json()).toMatchObject({ status: 404, type: '/problems/not-found' });
  });
});

describe('a consensus that was published', () => {
  let keyed = '';
  let keyless = '';

  test('shows the views to its author', async () => {
    const rationale = 'The desk pools what it thinks.';
    const published = await send(ledger, 'POST', `${BASE}/consensus`, { rationale });
    expect(published.statusCode, published.body).toBe(201);
    expect(published.json<{ consensus: { views: unknown[] } }>().consensus.views).toHaveLength(3);
    keyed = String(published.headers.etag);
  });

  test('shows the views to those with a key, and the numbers to everyone', async () => {
    for (const url of [BASE, `${BASE}/versions/2`, `/v1/batch/outlooks?slugs=pooled`]) {
      const views = async (as?: 'feed') => {
        const answer = await ledger.call(as ? { url, as } : { url });
        const body = answer.json<{ items?: unknown[]; consensus?: unknown }>();
        return (body.items?.[0] ?? body) as { consensus: { views: unknown[] } };
      };
      expect((await views('feed')).consensus.views, url).toHaveLength(3);
      expect((await views()).consensus, url).toMatchObject({ method: 'linear', views: [] });
      expect((await views('feed')).consensus.views, url).toHaveLength(3);
    }
  });

  test('has an ETag for each kind of reader, and a write takes either', async () => {
    keyless = String((await read(BASE)).headers.etag);
    expect((await ledger.call({ url: BASE, as: 'feed' })).headers.etag).toBe(keyed);
    expect(keyless).not.toBe(keyed);
    const revise = (etag: string, bear: number) =>
      send(
        ledger,
        'POST',
        `${BASE}/revisions`,
        { probabilities: { bear, base: 0.5, bull: 0.5 - bear }, rationale: 'More.' },
        { headers: { 'if-match': etag } },
      );
    expect((await revise('"n1qqmwXCpBqHUqJIKsXBSjuAMWU"', 0.1)).statusCode).toBe(412);
    expect((await revise(keyless, 0.1)).statusCode).toBe(201);
    expect((await revise(keyless, 0.2)).statusCode).toBe(412);
    await send(ledger, 'POST', `${BASE}/consensus`, { rationale: 'Again.' });
    const again = String((await ledger.call({ url: BASE, as: 'feed' })).headers.etag);
    expect((await revise(again, 0.2)).statusCode).toBe(201);
    expect((await revise(keyed, 0.3)).statusCode).toBe(412);
  });
});

/** Every read that the document lists, of what holds views, and some with parameters. */
function readsWithoutKey(): string[] {
  const { paths = {} } = ledger.app.swagger() as {
    paths?: Record<string, Record<string, unknown>>;
  };
  const analyst = String(ids.get(NAMES[0] as string));
  const names: Record<string, string> = {
    slug: 'pooled',
    version: '2',
    analyst,
    id: analyst,
    key: 'rut-close',
    symbol: 'RUT',
    code: 'no-views',
    desk: 'main',
    generation: '1',
    level: '0',
    tile: '000',
  };
  const listed = Object.entries(paths)
    // Streams have tests of their own. Who knows the id of an analyst may read the name.
    .filter(([path, { get }]) => get !== undefined && !path.endsWith('/events'))
    .map(([path]) => path)
    .filter((path) => !/^\/v1\/analysts\/\{id\}(\/track-record)?$/.test(path))
    .map((path) => path.replaceAll(/\{(\w+)\}/g, (_, name: string) => names[name] ?? name));
  return [
    ...listed,
    '/outlooks/pooled',
    '/outlooks/pooled?version=2',
    '/outlooks/pooled?version=2&against=1',
    '/',
    '/v1/analysts?format=csv',
    '/v1/outlooks/pooled?format=md',
    '/v1/outlooks/pooled/diff?from=1',
    `/v1/outlooks?author=${encodeURIComponent(NAMES[0] as string)}`,
    '/v1/outlooks/pooled/chart.svg',
    `/v1/analysts/${analyst}/track-record?source=view`,
  ];
}

test('no other read without a key says a word of the views', async () => {
  const urls = readsWithoutKey();
  expect(urls.length).toBeGreaterThan(50);
  const telling: string[] = [];
  const open: string[] = [];
  for (const url of urls) {
    const { body, statusCode } = await ledger.app.inject(url);
    if (body.includes(WORD)) telling.push(url);
    if (/\/views(\/|$)|source=view/.test(url) && statusCode !== 401) open.push(url);
  }
  expect({ telling, open }).toEqual({ telling: [], open: [] });
});
