import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, outlookBody, patchFramework, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

let count = 0;
let symbol = '';
let base = '';
beforeEach(() => {
  count += 1;
  symbol = `INDEX-${count}`;
  base = `/v1/outlooks/case-${count}`;
  ledger.clock.now = new Date('2026-01-10T22:00:00.000Z');
});

const dayAfter = (date: string, days: number): string =>
  new Date(Date.parse(date) + days * 86_400_000).toISOString().slice(0, 10);
const near = (value: number) => expect.closeTo(value, 14);

/** An instrument with daily closes from 2025-11-11 until 2026-01-10: ten of 100, ten of 120, and so on. */
async function createInstrument({ days = 61 } = {}): Promise<void> {
  const key = `closes-${count}`;
  const series = { key, name: 'Closes', unit: 'points', frequency: 'daily', source: 'A desk' };
  const instrument = { symbol, name: 'An index', kind: 'index', closes: key };
  const observations = Array.from({ length: days }, (_, index) => ({
    date: dayAfter('2025-11-11', index),
    value: Math.floor(index / 10) % 2 === 0 ? 100 : 120,
  }));
  const answers = [
    await send(ledger, 'POST', '/v1/series', series, { as: 'feed' }),
    await send(ledger, 'POST', '/v1/instruments', instrument),
    await observe(observations),
  ];
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 201, 200]);
}
const observe = (observations: object[]) =>
  send(ledger, 'POST', `/v1/series/closes-${count}/observations`, { observations }, { as: 'feed' });

const scenariosOf = (low: number, high: number) => {
  const { bear, base: middle, bull } = outlookBody()['scenarios'] as Record<string, object>;
  return {
    bear: { ...bear, returnBand: { max: low } },
    base: { ...middle, returnBand: { min: low, max: high } },
    bull: { ...bull, returnBand: { min: high } },
  };
};

/** An outlook over the ten days that follow on the closes. */
async function create(change: object = {}): Promise<void> {
  const created = await createOutlook(ledger, {
    slug: `case-${count}`,
    instrument: symbol,
    horizon: { from: '2026-01-11', to: '2026-01-21' },
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
    scenarios: scenariosOf(-0.1, 0.1),
    invalidationConditions: [],
    ...change,
  });
  expect(created.statusCode, created.body).toBe(201);
}
const get = (path: string) => ledger.call({ url: `${base}${path}` });

// Worked by hand in tests/ledger/climatology.test.ts.
const shares = { bear: near(59 / 153), base: near(1 / 9), bull: near(77 / 153) };

describe('climatology', () => {
  test('is what history alone says about the current bands', async () => {
    await createInstrument();
    await create();
    const answer = await get('/climatology');
    expect([answer.statusCode, answer.json()]).toEqual([
      200,
      {
        slug: `case-${count}`,
        version: 1,
        horizon: { from: '2026-01-11', to: '2026-01-21' },
        series: `closes-${count}`,
        days: 10,
        probabilities: shares,
        missing: [],
        spans: 51,
        independentSpans: 6,
        first: '2025-11-11',
        last: '2026-01-10',
      },
    ]);
    // With a base band that holds all returns: (6 · 51/51 + 1) / 9.
    const scenarios = scenariosOf(-0.5, 0.5);
    await patchFramework(ledger, { rationale: 'R', scenarios }, { slug: `case-${count}` });
    expect((await get('/climatology')).json()).toMatchObject({
      version: 2,
      probabilities: { bear: near(1 / 9), base: near(7 / 9), bull: near(1 / 9) },
    });
  });

  test('as of a given time uses its version and what was known', async () => {
    await createInstrument({ days: 60 });
    await create();
    const then = ledger.clock.now.toISOString();
    ledger.clock.now = new Date('2026-01-10T23:00:00.000Z');
    await observe([{ date: '2026-01-10', value: 100 }]);
    expect((await get('/climatology')).json()).toMatchObject({ spans: 51 });
    expect((await get(`/climatology?asOf=${then}`)).json()).toMatchObject({ spans: 50 });
    const early = await get('/climatology?asOf=2026-01-01T00:00:00Z');
    expect(early.statusCode).toBe(404);
    const late = await get('/climatology?asOf=2099-01-01T00:00:00Z');
    expect(faultsOf(late.json())).toHaveProperty(['/asOf']);
  });

  test('stays as it was known at the start of the horizon', async () => {
    await createInstrument();
    await create();
    ledger.clock.now = new Date('2026-01-12T22:00:00.000Z');
    await observe([
      { date: '2026-01-09', value: 300 },
      { date: '2026-01-11', value: 100 },
    ]);
    expect((await get('/climatology')).json()).toMatchObject({ probabilities: shares, spans: 51 });
  });

  test.each([
    ['bands', { scenarios: outlookBody()['scenarios'] }, 'the scenarios have no return bands'],
    [
      'enough closes',
      { horizon: { from: '2026-01-11', to: '2026-01-24' } },
      'the closes known at the start of the horizon hold only 4 spans of 13 days that do not overlap, and it takes five',
    ],
  ])('without %s is null and says why', async (_, change, reason) => {
    await createInstrument();
    await create(change);
    expect((await get('/climatology')).json()).toMatchObject({
      probabilities: null,
      missing: [{ pointer: '/probabilities', reason }],
    });
  });

  test('without a series of closes is null and says why', async () => {
    const instrument = { symbol, name: 'An index', kind: 'index' };
    await send(ledger, 'POST', '/v1/instruments', instrument);
    await create();
    expect((await get('/climatology')).json()).toMatchObject({
      series: null,
      probabilities: null,
      spans: 0,
      missing: [{ reason: 'the instrument has no series of closes' }],
    });
  });

  test('of a missing outlook is not found', async () => {
    base = '/v1/outlooks/nowhere';
    expect((await get('/climatology')).statusCode).toBe(404);
  });

  test('stands beside the probabilities, on the page and in the article', async () => {
    await createInstrument();
    await create();
    const page = await ledger.call({ url: `/outlooks/case-${count}` });
    const article = await get('?format=md');
    for (const body of [page.body, article.body]) {
      expect(body).toContain('History alone');
      for (const share of ['38.56%', '11.11%', '50.33%']) expect(body).toContain(share);
      expect(body).toContain('51 spans of 10 days');
    }
    await createInstrumentless();
    for (const url of [`/outlooks/case-${count}`, `${base}?format=md`]) {
      expect((await ledger.call({ url })).body).not.toContain('History alone');
    }
  });
});

/** An outlook without bands. */
async function createInstrumentless(): Promise<void> {
  count += 1;
  base = `/v1/outlooks/case-${count}`;
  await create({ scenarios: outlookBody()['scenarios'] });
}

describe('scores against climatology', () => {
  type Scores = {
    reference: object;
    outlook: { skill: Record<string, number | null>; missing: object[] };
    versions: { skill: Record<string, number | null>; missing: object[] }[];
  };
  async function resolve(): Promise<void> {
    ledger.clock.now = new Date('2026-01-21T12:00:00.000Z');
    const url = `${base}/resolution`;
    const resolved = await send(ledger, 'POST', url, { outcome: 'bear', reason: 'R' });
    expect(resolved.statusCode, resolved.body).toBe(201);
  }
  const scores = async () => (await get('/scores?reference=climatology')).json<Scores>();

  test('compare each version by its own bands', async () => {
    await createInstrument();
    await create();
    ledger.clock.now = new Date('2026-01-16T00:00:00.000Z');
    const scenarios = scenariosOf(-0.5, 0.5);
    await patchFramework(ledger, { rationale: 'R', scenarios }, { slug: `case-${count}` });
    await resolve();
    const { reference, outlook, versions } = await scores();
    expect(reference).toEqual({ name: 'climatology', probabilities: null });
    // bear 0.3, base 0.45, bull 0.25 has a Brier score of 0.755 (terms and test vectors of the ledger).
    const brier = (bear: number, middle: number, bull: number) =>
      (bear - 1) ** 2 + middle ** 2 + bull ** 2;
    const [first, second] = [brier(59 / 153, 1 / 9, 77 / 153), brier(1 / 9, 7 / 9, 1 / 9)];
    expect(versions.map(({ skill }) => skill['brier'])).toEqual([
      expect.closeTo(1 - 0.755 / first, 12),
      expect.closeTo(1 - 0.755 / second, 12),
    ]);
    // Each was current for half of the horizon.
    expect(outlook.skill['brier']).toBeCloseTo(1 - 0.755 / ((first + second) / 2), 12);
  });

  test('are null with the reason where there is none', async () => {
    await createInstrument();
    await create({ scenarios: outlookBody()['scenarios'] });
    await resolve();
    const { outlook, versions } = await scores();
    const reason = 'the scenarios have no return bands';
    for (const one of [outlook, versions[0]]) {
      expect(one?.skill).toEqual({ brier: null, logarithmic: null, rankedProbability: null });
      expect(one?.missing).toContainEqual({ pointer: '/skill/brier', reason });
    }
  });
});
