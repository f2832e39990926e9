import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SCENARIO_NAMES } from '../../src/domain/probabilities.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { send } from '../support/requests.ts';

const DAY = 86_400_000;
const START = Date.UTC(2027, 0, 1);
const near = (value: number) => expect.closeTo(value, 10);

type Scores = { brier: { mean: number; standardError: number | null; skill: number | null } };
type TrackRecord = {
  n: number;
  nEffective: number;
  clusters: number;
  isSmall: boolean;
  coverage: number;
  attainableCoverage: number;
  outcomes: { closes: number; stated: number };
  scores: Scores;
  missing: { pointer: string; reason: string }[];
};

let ledger: TestLedger;
let keys: Record<string, { id: string; headers: { authorization: string } }> = {};
let count = 0;

beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

/** Analysts whom no test before knows. */
beforeEach(async () => {
  keys = {};
  for (const name of ['Ada', 'Ben', 'Mallory']) {
    const body = { name: `${name} ${(count += 1)}`, role: 'analyst' };
    const issued = await send(ledger, 'POST', '/v1/keys', body, { as: 'admin' });
    const { key, analystId } = issued.json<{ key: string; analystId: string }>();
    keys[name] = { id: analystId, headers: { authorization: `Bearer ${key}` } };
  }
});

const at = (day: number) => void (ledger.clock.now = new Date(START + day * DAY));
const dayOf = (day: number) => new Date(START + day * DAY).toISOString().slice(0, 10);
const odds = (bear: number, base: number, bull: number) => ({ bear, base, bull });

async function write(name: string, method: 'POST' | 'PUT', url: string, body: object) {
  const answer = await send(ledger, method, url, body, { headers: keys[name]?.headers ?? {} });
  expect([200, 201], answer.body).toContain(answer.statusCode);
}

async function instrument(): Promise<string> {
  const symbol = `H${(count += 1)}`;
  await send(ledger, 'POST', '/v1/instruments', { symbol, name: 'N', kind: 'index' });
  return symbol;
}

/** An outlook over 100 days, unless others are given. Returns its URL. */
async function create(
  name: string,
  probabilities: object,
  { symbol, days = 100 }: { symbol?: string; days?: number } = {},
): Promise<string> {
  const slug = `honest-${(count += 1)}`;
  const from = Math.floor((ledger.clock.now.getTime() - START) / DAY);
  await write(name, 'POST', '/v1/outlooks', {
    slug,
    instrument: symbol ?? (await instrument()),
    title: 'T',
    summary: 'S',
    rationale: 'R',
    horizon: { from: dayOf(from), to: dayOf(from + days) },
    probabilities,
    scenarios: Object.fromEntries(
      SCENARIO_NAMES.map((scenario) => [
        scenario,
        { title: scenario, outcome: 'O', conditions: 'C' },
      ]),
    ),
  });
  return `/v1/outlooks/${slug}`;
}

const view = (name: string, url: string, probabilities: object) =>
  write(name, 'PUT', `${url}/views/me`, { probabilities, rationale: 'R' });
const resolve = (name: string, url: string, outcome: string) =>
  write(name, 'POST', `${url}/resolution`, { outcome, reason: 'R' });

async function recordOf(name: string, query = ''): Promise<TrackRecord> {
  const url = `/v1/analysts/${keys[name]?.id}/track-record?${query}`;
  const answer = await ledger.call({ url, as: 'feed' });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<TrackRecord>();
}

/** The skill weights of a consensus by analyst id, or the problem if nobody has one. */
async function weightsOf(url: string): Promise<Record<string, number> | string> {
  const answer = await ledger.call({ url: `${url}/consensus?weights=skill`, as: 'feed' });
  if (answer.statusCode !== 200) return answer.json<{ type: string }>().type;
  const { views } = answer.json<{ views: { analyst: { id: string }; weight: number }[] }>();
  return Object.fromEntries(views.map(({ analyst, weight }) => [analyst.id, weight]));
}

/** An honest outlook of Ada's over its whole horizon, which another resolves: Brier 0.38 against 2/3. */
async function honest(): Promise<void> {
  const url = await create('Ada', odds(0.5, 0.3, 0.2), { days: 10 });
  ledger.clock.now = new Date(ledger.clock.now.getTime() + 10 * DAY);
  await resolve('Ben', url, 'bear');
}

describe('no record looks better than it was', () => {
  test('by outlooks that are resolved at once', async () => {
    at(0);
    for (let turn = 0; turn < 5; turn += 1) {
      const url = await create('Mallory', odds(0.98, 0.01, 0.01), { days: 365 });
      ledger.clock.now = new Date(ledger.clock.now.getTime() + 126);
      await resolve('Mallory', url, 'bear');
    }
    const record = await recordOf('Mallory');
    // 126 ms of 365 days, five times.
    expect(record.nEffective).toBeCloseTo((5 * 126) / (365 * DAY), 11);
    expect(record).toMatchObject({ n: 5, isSmall: true, outcomes: { closes: 0, stated: 5 } });
    expect(record.scores.brier.skill).toBeNull();
    expect(record.missing).toContainEqual({
      pointer: '/scores/brier/skill',
      reason: 'less than one whole horizon was forecast, too little for skill',
    });
    at(1);
    for (let turn = 0; turn < 2; turn += 1) await honest();
    const pooled = await create('Ben', odds(0.4, 0.3, 0.3));
    await view('Mallory', pooled, odds(0.98, 0.01, 0.01));
    await view('Ada', pooled, odds(0.3, 0.4, 0.3));
    expect(await weightsOf(pooled)).toEqual({
      [keys['Ada']?.id ?? '']: 1,
      [keys['Mallory']?.id ?? '']: 0,
    });
  });

  test('by a view a second before the end', async () => {
    at(0);
    const losing = await create('Ben', odds(0.4, 0.3, 0.3));
    await view('Mallory', losing, odds(0.2, 0.3, 0.5));
    const won = await create('Ben', odds(0.4, 0.3, 0.3));
    ledger.clock.now = new Date(START + 100 * DAY - 1_000);
    await view('Mallory', won, odds(1, 0, 0));
    at(100);
    for (const url of [losing, won]) await resolve('Ben', url, 'bear');
    const { n, nEffective, scores } = await recordOf('Mallory', 'source=view');
    const second = 1_000 / (100 * DAY);
    expect([n, nEffective]).toEqual([2, near(1 + second)]);
    // 0.8² + 0.3² + 0.5² = 0.98 for the whole horizon, and 0 for a second.
    expect(scores.brier.mean).toEqual(near(0.98 / (1 + second)));
  });

  test('by a forecast after the event was known', async () => {
    at(0);
    const url = await create('Ada', odds(0.5, 0.3, 0.2));
    at(50);
    await view('Mallory', url, odds(1, 0, 0));
    at(55);
    await write('Ada', 'POST', `${url}/revisions`, {
      probabilities: odds(1, 0, 0),
      rationale: 'R',
    });
    at(60);
    await write('Ben', 'POST', `${url}/resolution`, {
      outcome: 'bear',
      reason: 'The delisting was announced ten days before the view.',
      knownAt: new Date(START + 40 * DAY).toISOString(),
    });
    expect(await recordOf('Mallory', 'source=view')).toMatchObject({ n: 0, nEffective: 0 });
    // Ada's first version alone, for the 40 days until the outcome was known: 0.5² + 0.3² + 0.2².
    const { n, nEffective, scores } = await recordOf('Ada');
    expect([n, nEffective, scores.brier.mean]).toEqual([1, 0.4, near(0.38)]);
    const { versions } = (await ledger.call({ url: `${url}/scores` })).json<{
      versions: { share: number }[];
    }>();
    expect(versions.map(({ share }) => share)).toEqual([0.4, 0]);
  });

  test('by a typo that stood three milliseconds, for better or worse', async () => {
    at(0);
    const url = await create('Ada', odds(0, 0, 1));
    ledger.clock.now = new Date(START + 3);
    await write('Ada', 'POST', `${url}/revisions`, {
      probabilities: odds(1, 0, 0),
      rationale: 'R',
    });
    at(100);
    await resolve('Ben', url, 'bear');
    const { scores, nEffective } = await recordOf('Ada');
    expect(nEffective).toBe(1);
    expect(scores.brier.mean).toEqual(near((2 * 3) / (100 * DAY)));
  });

  test('by a version and a view of the same outlook', async () => {
    at(0);
    // Ada says the same twice, Ben once; both once more on another instrument.
    const both = await create('Ada', odds(0.5, 0.3, 0.2));
    await view('Ada', both, odds(0.5, 0.3, 0.2));
    await view('Ben', both, odds(0.5, 0.3, 0.2));
    at(100);
    await resolve('Mallory', both, 'bear');
    const other = await create('Ada', odds(0.5, 0.3, 0.2));
    await view('Ben', other, odds(0.5, 0.3, 0.2));
    at(200);
    await resolve('Mallory', other, 'bear');
    const pooled = await create('Mallory', odds(0.4, 0.3, 0.3));
    await view('Ada', pooled, odds(0.5, 0.3, 0.2));
    await view('Ben', pooled, odds(0.5, 0.3, 0.2));
    expect(Object.values((await weightsOf(pooled)) as object)).toEqual([near(0.5), near(0.5)]);
  });

  test('by asserting the outcome of an own forecast', async () => {
    at(0);
    for (const name of ['Mallory', 'Ada']) {
      for (let turn = 0; turn < 2; turn += 1) {
        const url = await create(name, odds(0.9, 0.05, 0.05), { days: 10 });
        ledger.clock.now = new Date(ledger.clock.now.getTime() + 10 * DAY);
        await resolve('Mallory', url, 'bear');
      }
    }
    // Both have the same record.
    expect((await recordOf('Mallory')).scores).toEqual((await recordOf('Ada')).scores);
    const pooled = await create('Ben', odds(0.4, 0.3, 0.3));
    await view('Mallory', pooled, odds(0.5, 0.3, 0.2));
    await view('Ada', pooled, odds(0.5, 0.3, 0.2));
    expect(await weightsOf(pooled)).toEqual({
      [keys['Ada']?.id ?? '']: 1,
      [keys['Mallory']?.id ?? '']: 0,
    });
  });

  test('by leaving a losing outlook', async () => {
    at(0);
    const losing = await create('Ada', odds(0.9, 0.05, 0.05));
    const winning = await create('Ada', odds(0.9, 0.05, 0.05));
    at(10);
    await write('Ada', 'POST', `${losing}/withdrawal`, { rationale: 'R' });
    at(100);
    await resolve('Ben', losing, 'bull');
    await resolve('Ben', winning, 'bear');
    // The record scores the time it stood: 1.715 for a tenth, 0.015 for a whole horizon.
    const { scores, nEffective } = await recordOf('Ada');
    expect([nEffective, scores.brier.mean]).toEqual([near(1.1), near((0.1 * 1.715 + 0.015) / 1.1)]);
    // The weight scores both to the end: a mean of 0.865, worse than uniform thirds.
    const pooled = await create('Ben', odds(0.4, 0.3, 0.3));
    await view('Ada', pooled, odds(0.5, 0.3, 0.2));
    expect(await weightsOf(pooled)).toContain('no-weights');
  });
});

test('40 outlooks on one instrument and day are one cluster, without a standard error', async () => {
  at(0);
  const symbol = await instrument();
  const urls = [];
  for (let turn = 0; turn < 40; turn += 1) {
    urls.push(await create('Ada', odds(0.5 + turn / 1_000, 0.3, 0.2 - turn / 1_000), { symbol }));
  }
  at(100);
  for (const url of urls) await resolve('Ben', url, 'bear');
  const record = await recordOf('Ada');
  expect(record).toMatchObject({ n: 40, nEffective: 40, clusters: 1, isSmall: true });
  expect(record.scores.brier.standardError).toBeNull();
  // One more on another instrument: two clusters. Its score is 0.38; the 40 have a mean of Σ S / 40.
  const other = await create('Ada', odds(0.5, 0.3, 0.2));
  at(200);
  await resolve('Ben', other, 'bear');
  const scores = Array.from({ length: 40 }, (_, turn) => {
    const shift = turn / 1_000;
    return (0.5 - shift) ** 2 + 0.09 + (0.2 - shift) ** 2;
  });
  const sum = scores.reduce((a, b) => a + b, 0);
  const mean = (sum + 0.38) / 41;
  // The residuals of two clusters are opposite: √(2 / 1 · 2 e²) / 41.
  const two = await recordOf('Ada');
  expect(two.scores.brier.mean).toEqual(near(mean));
  expect(two.scores.brier.standardError).toEqual(near((2 * Math.abs(0.38 - mean)) / 41));
});

test('minCoverage leaves out what was forecast for less', async () => {
  at(0);
  const whole = await create('Ada', odds(0.5, 0.3, 0.2));
  const late = await create('Ben', odds(0.4, 0.3, 0.3));
  at(75);
  await write('Ada', 'POST', `${late}/revisions`, { probabilities: odds(1, 0, 0), rationale: 'R' });
  at(100);
  for (const url of [whole, late]) await resolve('Ben', url, 'bear');
  const of = async (query: string) => {
    const { n, nEffective, coverage, scores } = await recordOf('Ada', query);
    return [n, nEffective, coverage, scores.brier.mean];
  };
  expect(await of('')).toEqual([2, 1.25, 0.625, near(0.38 / 1.25)]);
  expect(await of('minCoverage=0.25')).toEqual(await of(''));
  expect(await of('minCoverage=0.26')).toEqual([1, 1, 1, 0.38]);
  for (const value of ['0', '1.1', 'half', '-1']) {
    const answer = await ledger.call({ url: `/v1/track-record?minCoverage=${value}` });
    expect(answer.json()).toMatchObject({ status: 422, errors: [{ pointer: '/minCoverage' }] });
  }
});

test('a record says how much could be covered where the outcome was known early', async () => {
  at(0);
  const url = await create('Ada', odds(0.5, 0.3, 0.2));
  at(40);
  await resolve('Ben', url, 'bear');
  expect(await recordOf('Ada')).toMatchObject({ coverage: 0.4, attainableCoverage: 0.4 });
});
