import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, patchFramework, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const label = (key: string, minDepth: number | null, speed: object | null = null) => ({
  key,
  label: key,
  minDepth,
  speed,
  typicalCause: 'C',
  implication: 'I',
});
const LABELS = [
  label('correction', 0.1),
  label('bear-market', 0.2),
  label('crash', null, { depth: 0.3, days: 5 }),
];

let symbols = 0;
/** An outlook of its own on an instrument of its own, whose closes start before its horizon. */
async function prepare({ closes = true, monthly = false } = {}): Promise<{
  slug: string;
  series: string;
}> {
  const n = (symbols += 1);
  const [slug, series, symbol] = [`outlook-${n}`, `closes-${n}`, `I${n}`];
  const period = monthly ? { frequency: 'monthly', dated: 'start' } : { frequency: 'daily' };
  const body = { key: series, name: 'N', unit: 'points', source: 'S', ...period };
  await send(ledger, 'POST', '/v1/series', body, { as: 'feed' });
  const instrument = { symbol, name: 'N', kind: 'index', closes: closes ? series : null };
  expect((await send(ledger, 'POST', '/v1/instruments', instrument)).statusCode).toBe(201);
  const created = await createOutlook(ledger, { slug, instrument: symbol, drawdownLabels: LABELS });
  expect(created.statusCode, created.body).toBe(201);
  return { slug, series };
}

async function observe(series: string, closes: Record<string, number | null>): Promise<void> {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + 1000);
  const observations = Object.entries(closes).map(([date, value]) => ({ date, value }));
  const url = `/v1/series/${series}/observations`;
  const answer = await send(ledger, 'POST', url, { observations }, { as: 'feed' });
  expect(answer.statusCode, answer.body).toBe(200);
}

type Answer = Record<string, unknown> & {
  label: { key: string } | null;
  episodes: { peakDate: string }[];
};
async function read(slug: string, query = ''): Promise<Answer> {
  const answer = await ledger.call({ url: `/v1/outlooks/${slug}/drawdown?${query}` });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Answer>();
}

async function labelEvents(slug: string): Promise<unknown[]> {
  const { rows } = await ledger.pool.query<{ data: unknown }>(
    `select e.data from events e join outlooks o on o.id = e.outlook_id
      where o.slug = $1 and e.kind = 'drawdown.label.changed' order by e.id`,
    [slug],
  );
  return rows.map(({ data }) => data);
}

describe('a drawdown', () => {
  test('is computed from the closes since the horizon began, and named by the outlook', async () => {
    const { slug, series } = await prepare();
    // The first close is eleven days old when the horizon begins: too old for a return, and for a drawdown.
    await observe(series, { '2026-03-20': 500, '2026-04-01': 100, '2026-04-06': 120 });
    await observe(series, { '2026-04-09': 90, '2026-04-10': 96, '2026-04-20': 102 });
    expect(await read(slug)).toEqual({
      instrument: { symbol: expect.any(String), name: 'N' },
      series,
      since: '2026-03-31',
      base: null,
      last: { date: '2026-04-20', value: 102 },
      peak: { date: '2026-04-06', value: 120 },
      depth: 0.15,
      label: LABELS[0],
      current: {
        peakDate: '2026-04-06',
        peakValue: 120,
        troughDate: '2026-04-09',
        troughValue: 90,
        recoveryDate: null,
        depth: 0.25,
        daysToTrough: 3,
        daysUnderWater: 14,
      },
      deepest: expect.objectContaining({ peakDate: '2026-04-06' }),
      episodes: [expect.objectContaining({ peakDate: '2026-04-06' })],
    });
    expect(await read(slug, 'since=2026-01-01')).toMatchObject({
      since: '2026-01-01',
      peak: { date: '2026-03-20', value: 500 },
      label: { key: 'bear-market' },
    });
    expect(await read(slug, 'since=2026-04-20')).toMatchObject({
      depth: 0,
      label: null,
      current: null,
    });
  });

  test('counts from the close before the horizon, as the return does', async () => {
    const { slug, series } = await prepare();
    await observe(series, { '2026-03-27': 90, '2026-03-30': 100 });
    await observe(series, { '2026-04-01': 80, '2026-04-02': 80 });
    // By hand: 1 − 80 / 100, as the return from the same close is −20 %.
    expect(await read(slug)).toMatchObject({
      since: '2026-03-31',
      base: { date: '2026-03-30', value: 100 },
      peak: { date: '2026-03-30', value: 100 },
      depth: 0.2,
      label: { key: 'bear-market' },
      current: { peakDate: '2026-03-30', troughDate: '2026-04-01', daysUnderWater: 3 },
    });
    expect(await read(slug, 'since=2026-03-31')).toMatchObject({ base: null, depth: 0 });
    expect(await labelEvents(slug)).toEqual([
      { label: 'bear-market', previous: null, depth: 0.2, day: '2026-04-02' },
    ]);
    const chart = await ledger.call({ url: `/v1/outlooks/${slug}/chart.svg?kind=drawdown` });
    expect(chart.body).toMatch(/20.{0,12}%.{0,12}below 100/);
    const then = ledger.clock.now.toISOString();
    await observe(series, { '2026-03-30': 80 });
    expect(await read(slug)).toMatchObject({ base: { value: 80 }, depth: 0, label: null });
    expect(await read(slug, `asOf=${then}`)).toMatchObject({ base: { value: 100 }, depth: 0.2 });
  });

  test('by speed counts from the close before the horizon, too', async () => {
    const { slug, series } = await prepare();
    await observe(series, { '2026-03-30': 100, '2026-03-31': 70 });
    expect((await read(slug)).label?.key).toBe('crash');
  });

  test('leaves retracted closes out, and has no label without a close', async () => {
    const { slug, series } = await prepare();
    await observe(series, { '2026-04-01': 100, '2026-04-02': 70 });
    expect((await read(slug)).label?.key).toBe('crash');
    await observe(series, { '2026-04-02': null });
    expect(await read(slug)).toMatchObject({ last: { date: '2026-04-01' }, depth: 0, label: null });
    await observe(series, { '2026-04-02': 80 });
    await observe(series, { '2026-04-01': null, '2026-04-02': null });
    expect(await read(slug)).toMatchObject({ last: null, label: null });
    expect((await labelEvents(slug)).at(-1)).toEqual({
      label: null,
      previous: 'bear-market',
      depth: 0,
      day: '2026-04-02',
    });
  });

  test('of closes that are dated by the start of their month counts from their last day', async () => {
    const { slug, series } = await prepare({ monthly: true });
    await observe(series, { '2026-02-01': 100, '2026-03-01': 80, '2026-04-01': 90 });
    expect(await read(slug)).toMatchObject({
      base: { date: '2026-02-28', value: 100 },
      last: { date: '2026-04-30', value: 90 },
      deepest: { troughDate: '2026-03-31' },
    });
    expect(await read(slug, `asOf=${ledger.clock.now.toISOString()}`)).toMatchObject({
      base: { date: '2026-02-28', value: 100 },
      deepest: { troughDate: '2026-03-31', depth: 0.2 },
    });
  });

  test('lists its episodes that are as deep as asked for', async () => {
    const { slug, series } = await prepare();
    await observe(series, {
      '2026-04-01': 100,
      '2026-04-02': 95,
      '2026-04-03': 100,
      '2026-04-07': 90,
      '2026-04-08': 101,
      '2026-04-09': 99,
    });
    const peaks = async (query: string) =>
      (await read(slug, query)).episodes.map(({ peakDate }) => peakDate);
    expect(await peaks('')).toEqual(['2026-04-03']);
    expect(await peaks('minDepth=0.05')).toEqual(['2026-04-01', '2026-04-03']);
    expect(await peaks('minDepth=0.01')).toEqual(['2026-04-01', '2026-04-03', '2026-04-08']);
    expect(await peaks('minDepth=1')).toEqual([]);
  });

  test('lists an episode of exactly the depth, as its label says', async () => {
    const { slug, series } = await prepare();
    await observe(series, { '2026-04-01': 33.3, '2026-04-02': 29.97 });
    const found = await read(slug, 'minDepth=0.1');
    expect(found).toMatchObject({ depth: 0.1, label: { key: 'correction' } });
    expect(found.episodes).toMatchObject([{ peakDate: '2026-04-01', depth: 0.1 }]);
  });

  test('as of a given time uses the closes and labels known then', async () => {
    const { slug, series } = await prepare();
    await observe(series, { '2026-04-01': 100, '2026-04-02': 70 });
    const then = ledger.clock.now.toISOString();
    await observe(series, { '2026-04-02': 99, '2026-04-03': 89 });
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 1000);
    const renamed = [label('dip', 0.05)];
    const body = { rationale: 'R', drawdownLabels: renamed };
    expect((await patchFramework(ledger, body, { slug })).statusCode).toBe(201);
    expect(await read(slug)).toMatchObject({ last: { value: 89 }, label: { key: 'dip' } });
    expect(await read(slug, `asOf=${then}`)).toMatchObject({
      last: { date: '2026-04-02', value: 70 },
      label: { key: 'crash' },
    });
  });

  test('is null without a close', async () => {
    const { slug } = await prepare();
    expect(await read(slug)).toMatchObject({
      last: null,
      peak: null,
      depth: null,
      label: null,
      current: null,
      deepest: null,
      episodes: [],
    });
  });

  test('is refused until the instrument names its closes', async () => {
    const { slug, series } = await prepare({ closes: false });
    const url = `/v1/outlooks/${slug}/drawdown`;
    const refused = await ledger.call({ url });
    expect(refused.statusCode).toBe(409);
    expect(refused.json()).toMatchObject({ type: '/problems/no-closes' });
    await observe(series, { '2026-04-01': 100 });
    const named = await send(ledger, 'PATCH', `/v1/instruments/I${symbols}`, { closes: series });
    expect(named.statusCode, named.body).toBe(200);
    expect(named.json()).toMatchObject({ closes: series });
    expect(await read(slug)).toMatchObject({ last: { value: 100 }, depth: 0 });
    const again = await send(ledger, 'PATCH', `/v1/instruments/I${symbols}`, { closes: series });
    expect(again.body).toBe(named.body);
    const other = await send(ledger, 'PATCH', `/v1/instruments/I${symbols}`, {
      closes: 'rut-close',
    });
    expect(other.statusCode).toBe(409);
    expect(other.json()).toMatchObject({ type: '/problems/closes-named' });
    const unknown = await send(ledger, 'PATCH', `/v1/instruments/I${symbols}`, {
      closes: 'nonsense',
    });
    expect(faultsOf(unknown.json())).toEqual({
      '/closes': '"nonsense" is unknown; create it with POST /v1/series',
    });
  });

  test('is refused for a missing outlook, and for odd queries', async () => {
    const { slug } = await prepare();
    expect((await ledger.call({ url: '/v1/outlooks/nowhere/drawdown' })).statusCode).toBe(404);
    const faults = async (query: string) =>
      faultsOf((await ledger.call({ url: `/v1/outlooks/${slug}/drawdown?${query}` })).json());
    expect(await faults('since=yesterday&minDepth=10&asOf=now')).toEqual({
      '/since': 'must be a valid date, such as 2026-03-31',
      '/minDepth': 'must be a fraction in 0.01–1, such as 0.1',
      '/asOf': 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z',
    });
  });
});

describe('the label of a drawdown', () => {
  test('is reported whenever it changes, by new or revised closes', async () => {
    const { slug, series } = await prepare();
    await observe(series, { '2026-04-01': 100, '2026-04-02': 95 });
    expect(await labelEvents(slug)).toEqual([]);
    await observe(series, { '2026-04-07': 88 });
    await observe(series, { '2026-04-08': 89 });
    await observe(series, { '2026-04-09': 79 });
    await observe(series, { '2026-04-09': 92 });
    expect(await labelEvents(slug)).toEqual([
      { label: 'correction', previous: null, depth: 0.12, day: '2026-04-07' },
      { label: 'bear-market', previous: 'correction', depth: 0.21, day: '2026-04-09' },
      { label: null, previous: 'bear-market', depth: 0.08, day: '2026-04-09' },
    ]);
  });

  test('is reported to a stream', async () => {
    const { slug, series } = await prepare();
    await observe(series, { '2026-04-01': 100, '2026-04-02': 65 });
    const { rows } = await ledger.pool.query<{ data: object }>(
      `select e.kind, e.version from events e join outlooks o on o.id = e.outlook_id
        where o.slug = $1 order by e.id`,
      [slug],
    );
    expect(rows).toEqual([
      { kind: 'outlook.created', version: 1 },
      { kind: 'drawdown.label.changed', version: 1 },
    ]);
    expect((await read(slug)).label?.key).toBe('crash');
  });
});
