import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fractionsOf, sameProbabilities, SCENARIO_NAMES } from '../../src/domain/probabilities.ts';
import { scoresOf } from '../../src/domain/scoring.ts';
import { startLedger } from '../support/ledger.ts';
import { send } from '../support/requests.ts';
import {
  type Case,
  FORECASTERS,
  type Forecaster,
  randomNumbers,
  SAYS,
  simulateCases,
} from '../support/simulation.ts';

type Bucket = {
  from: number;
  n: number;
  weight: number;
  predictedMean: number;
  realisedRate: number;
  interval: { low: number; high: number };
};
type Mean = { mean: number; standardError: number; skill: number; skillError: number };
type Parts = Record<'reliability' | 'resolution' | 'uncertainty' | 'withinBuckets', number>;
type TrackRecord = {
  analyst: { id: string; name: string } | null;
  n: number;
  nEffective: number;
  clusters: number;
  isSmall: boolean;
  coverage: number;
  attainableCoverage: number;
  counts: object;
  scores: { brier: Mean; logarithmic: Mean; rankedProbability: Mean };
  missing: { pointer: string; reason: string }[];
  calibration: Record<'bear' | 'base' | 'bull' | 'overall', Bucket[]>;
  decomposition: { overall: Parts } & Record<string, Parts>;
  leadTimes: { lead: number; n: number; brier: { mean: number }; decomposition: Parts }[];
};

const DAY = 86_400_000;
const near = (value: number) => expect.closeTo(value, 10);

/** A ledger with a key for each name, and functions to write with them. */
async function startDesks<Name extends string>(names: readonly Name[]) {
  const ledger = await startLedger();
  const keys = new Map<Name, { id: string; authorization: string }>();
  for (const name of names) {
    const issued = await send(
      ledger,
      'POST',
      '/v1/keys',
      { name, role: 'analyst' },
      { as: 'admin' },
    );
    const { key, analystId } = issued.json<{ key: string; analystId: string }>();
    keys.set(name, { id: analystId, authorization: `Bearer ${key}` });
  }
  const headers = (name: Name) => ({ authorization: keys.get(name)?.authorization ?? '' });
  const write = async (
    name: Name,
    method: 'POST' | 'PUT',
    url: string,
    body: object,
  ): Promise<void> => {
    const answer = await send(ledger, method, url, body, { headers: headers(name) });
    expect([200, 201], answer.body).toContain(answer.statusCode);
  };
  const record = async (path: string): Promise<TrackRecord> => {
    const answer = await ledger.call({ url: path, as: 'feed' });
    expect(answer.statusCode, answer.body).toBe(200);
    return answer.json<TrackRecord>();
  };
  const recordOf = (name: Name, query = '') =>
    record(`/v1/analysts/${keys.get(name)?.id}/track-record${query}`);
  return { ledger, headers, write, record, recordOf };
}

describe('a simulated history of 240 outlooks, posted through the API', () => {
  const CASES = simulateCases(240, randomNumbers(20_261_125));
  let desks: Awaited<ReturnType<typeof startDesks<Forecaster>>>;
  const start = Date.UTC(2026, 11, 1);
  // An outlook a day, each over 20 days: none overlaps another on its instrument.
  const INSTRUMENTS = 24;

  beforeAll(async () => {
    desks = await startDesks(FORECASTERS);
    for (let number = 0; number < INSTRUMENTS; number += 1) {
      const instrument = { symbol: `I${number}`, name: 'N', kind: 'index' };
      await send(desks.ledger, 'POST', '/v1/instruments', instrument);
    }
    for (const [index, one] of CASES.entries()) await post(index, one);
  });
  afterAll(() => desks.ledger.close());

  async function post(index: number, { outcome, known }: Case): Promise<void> {
    const { ledger, write, headers } = desks;
    const from = start + index * DAY;
    const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10);
    const slug = `case-${index}`;
    const url = `/v1/outlooks/${slug}`;
    const author = FORECASTERS[index % 3] ?? 'uniform';
    ledger.clock.now = new Date(from);
    const created = await send(
      ledger,
      'POST',
      '/v1/outlooks',
      {
        slug,
        instrument: `I${index % INSTRUMENTS}`,
        title: `Case ${index}`,
        summary: 'Simulated.',
        horizon: { from: dayOf(from), to: dayOf(from + 20 * DAY) },
        rationale: 'What is known.',
        probabilities: fractionsOf(SAYS[author](known[0])),
        scenarios: Object.fromEntries(
          SCENARIO_NAMES.map((name) => [name, { title: name, outcome: 'O', conditions: 'C' }]),
        ),
      },
      { headers: headers(author) },
    );
    expect(created.statusCode, created.body).toBe(201);
    for (const [half, then] of known.entries()) {
      ledger.clock.now = new Date(from + half * 10 * DAY);
      for (const name of FORECASTERS) {
        const probabilities = fractionsOf(SAYS[name](then));
        await write(name, 'PUT', `${url}/views/me`, { probabilities, rationale: 'R' });
        const isNews = !sameProbabilities(SAYS[name](then), SAYS[name](known[0]));
        if (name === author && isNews) {
          await write(name, 'POST', `${url}/revisions`, { probabilities, rationale: 'R' });
        }
      }
    }
    ledger.clock.now = new Date(from + 20 * DAY);
    await write(author, 'POST', `${url}/resolution`, { outcome });
  }

  const all = async (query: string) => ({
    calibrated: await desks.recordOf('calibrated', query),
    overconfident: await desks.recordOf('overconfident', query),
    uniform: await desks.recordOf('uniform', query),
  });

  test('ranks the analysts by their expected scores', async () => {
    const records = await all('?source=view');
    // Each of the two forecasts is current for half the time, and uses what is known of the true distribution then.
    const expected = (name: Forecaster) =>
      CASES.flatMap(({ known }) => known).reduce((sum, truth) => {
        const said = fractionsOf(SAYS[name](truth));
        const score = SCENARIO_NAMES.reduce(
          (total, outcome) => total + truth[outcome] * scoresOf(said, outcome).brier,
          0,
        );
        return sum + score / (2 * CASES.length);
      }, 0);
    const ranked = (of: (name: Forecaster) => number) =>
      [...FORECASTERS].sort((a, b) => of(a) - of(b));
    expect(ranked(expected)[0]).toBe('calibrated');
    for (const score of ['brier', 'rankedProbability'] as const) {
      expect(ranked((name) => records[name].scores[score].mean)).toEqual(ranked(expected));
    }
    for (const name of FORECASTERS) {
      const { n, nEffective, clusters, isSmall, scores } = records[name];
      expect([n, nEffective, clusters, isSmall]).toEqual([240, 240, 240, false]);
      const { mean, standardError } = scores.brier;
      // A mean strays from what is expected by three standard errors once in four hundred.
      expect(Math.abs(mean - expected(name))).toBeLessThan(3 * standardError);
    }
    const { skill, skillError } = records.calibrated.scores.brier;
    expect(skill).toBeGreaterThan(3 * skillError);
    expect(Math.abs(records.uniform.scores.brier.skill)).toBeLessThan(1e-3);
  });

  test('shows who is calibrated: that curve lies within its error bars, the other does not', async () => {
    const records = await all('?source=view');
    const outside = (name: Forecaster) =>
      records[name].calibration.overall.filter(
        ({ predictedMean, interval }) =>
          predictedMean < interval.low || predictedMean > interval.high,
      );
    expect(records.calibrated.calibration.overall).toHaveLength(10);
    expect(outside('calibrated')).toEqual([]);
    const strayed = outside('overconfident');
    expect(strayed.length).toBeGreaterThanOrEqual(2);
    // Outcomes that are forecast as certain happen less often, those that are ruled out more often.
    for (const { predictedMean, realisedRate } of strayed) {
      expect(Math.sign(realisedRate - predictedMean)).toBe(predictedMean < 1 / 3 ? 1 : -1);
    }
    const reliability = (name: Forecaster) => records[name].decomposition.overall.reliability;
    expect(reliability('calibrated')).toBeLessThan(reliability('overconfident') / 2);
    expect(records.uniform.decomposition.overall.resolution).toBeCloseTo(0, 10);
  });

  test('shows that knowledge at half-time discriminates better', async () => {
    const { calibrated } = await all('?source=view');
    const at = (lead: number) => calibrated.leadTimes.find((one) => one.lead === lead);
    expect(calibrated.leadTimes.map(({ lead }) => lead)).toEqual([
      1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0,
    ]);
    expect(at(0.2)?.decomposition.resolution).toBeGreaterThan(
      1.2 * (at(0.8)?.decomposition.resolution ?? NaN),
    );
    expect(at(0.2)?.brier.mean).toBeLessThan(at(0.8)?.brier.mean ?? NaN);
  });

  test('scores versions by author, and outlooks as a whole', async () => {
    const records = await all('');
    for (const name of FORECASTERS) {
      expect(records[name]).toMatchObject({
        n: 80,
        source: 'version',
        counts: { open: 0, resolved: 80, void: 0, withdrawn: 0 },
      });
    }
    const whole = await desks.record('/v1/track-record');
    expect(whole.n).toBe(240);
    const mean = FORECASTERS.reduce((sum, name) => sum + records[name].scores.brier.mean / 3, 0);
    expect(whole.scores.brier.mean).toEqual(near(mean));
    const of = await desks.record('/v1/instruments/I0/track-record');
    expect(of).toMatchObject({ n: 10, clusters: 10, instrument: 'I0' });
  });

  test('agrees with the scores of its outlooks', async () => {
    const means: number[] = [];
    for (let index = 0; index < 30; index += 1) {
      const { body } = await desks.ledger.call({ url: `/v1/outlooks/case-${index}/scores` });
      means.push((JSON.parse(body) as { outlook: { mean: { brier: number } } }).outlook.mean.brier);
    }
    const to = new Date(start + 50 * DAY).toISOString().slice(0, 10);
    const record = await desks.record(`/v1/track-record?to=${to}`);
    expect(record.n).toBe(30);
    expect(record.scores.brier.mean).toEqual(near(means.reduce((a, b) => a + b, 0) / 30));
  });

  test('is stored as a fixture', async () => {
    const records = await all('?source=view');
    for (const record of Object.values(records)) delete (record.analyst as { id?: string }).id;
    const rounded = JSON.stringify(
      records,
      (_, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(9)) + 0 : value),
      1,
    );
    await expect(`${rounded}\n`).toMatchFileSnapshot('../vectors/track-records.json');
  });
});

describe('a record', () => {
  let desks: Awaited<ReturnType<typeof startDesks<'Ada' | 'Ben'>>>;
  let base = '';
  let count = 0;
  beforeAll(async () => {
    desks = await startDesks(['Ada', 'Ben']);
  });
  afterAll(() => desks.ledger.close());

  const at = (day: number) =>
    void (desks.ledger.clock.now = new Date(Date.UTC(2026, 11, 1) + day * DAY));
  const HORIZON = { from: '2026-12-01', to: '2026-12-11' };
  /** An outlook of Ada's on an instrument of its own. */
  async function create(change: object = {}, symbol = `I${(count += 1)}`): Promise<string> {
    await send(desks.ledger, 'POST', '/v1/instruments', { symbol, name: 'N', kind: 'index' });
    const slug = `of-${symbol.toLowerCase()}-${(count += 1)}`;
    base = `/v1/outlooks/${slug}`;
    await desks.write('Ada', 'POST', '/v1/outlooks', {
      slug,
      instrument: symbol,
      title: 'T',
      summary: 'S',
      rationale: 'R',
      horizon: HORIZON,
      probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
      scenarios: Object.fromEntries(
        SCENARIO_NAMES.map((name) => [name, { title: name, outcome: 'O', conditions: 'C' }]),
      ),
      ...change,
    });
    return symbol;
  }
  const revise = (name: 'Ada' | 'Ben', bear: number, base_: number, bull: number) =>
    desks.write(name, 'POST', `${base}/revisions`, {
      probabilities: { bear, base: base_, bull },
      rationale: 'R',
    });
  const resolve = (outcome: string, more: object = {}) =>
    desks.write('Ada', 'POST', `${base}/resolution`, { outcome, reason: 'R', ...more });
  const of = (symbol: string, query = '') =>
    desks.record(`/v1/instruments/${symbol}/track-record?${query}`);

  test('splits an outlook by the authors of its versions, each for the time they were current', async () => {
    at(-1);
    const symbol = await create();
    at(4);
    await revise('Ben', 0.5, 0.3, 0.2);
    at(7);
    await revise('Ada', 0.1, 0.6, 0.3);
    at(11);
    await resolve('bear');
    const [first, second, third] = [0.755, 0.38, 1.26];
    const query = `?instrument=${symbol}`;
    const ada = await desks.recordOf('Ada', query);
    expect(ada).toMatchObject({ n: 1, isSmall: true, coverage: near(0.7), instrument: symbol });
    expect(ada.scores.brier.mean).toEqual(near((0.4 * first + 0.3 * third) / 0.7));
    const ben = await desks.recordOf('Ben', query);
    expect([ben.coverage, ben.scores.brier.mean]).toEqual([near(0.3), near(second)]);
    const whole = await of(symbol);
    expect([whole.coverage, whole.scores.brier.mean]).toEqual([
      near(1),
      near(0.4 * first + 0.3 * second + 0.3 * third),
    ]);
    expect(ben.missing).toContainEqual({
      pointer: '/scores/brier/standardError',
      reason:
        'all outlooks are in one cluster of overlapping horizons, too few for a standard error',
    });
    expect((await desks.recordOf('Ben', `${query}&source=view`)).n).toBe(0);
  });

  test('of no outlook says so', async () => {
    at(0);
    const symbol = await create();
    const record = await of(symbol);
    expect(record).toMatchObject({
      n: 0,
      isSmall: true,
      coverage: null,
      counts: { open: 1, resolved: 0, void: 0, withdrawn: 0 },
      scores: { brier: { mean: null, skill: null } },
      decomposition: null,
      leadTimes: [],
    });
    expect(record.missing[0]).toEqual({
      pointer: '/scores/brier/mean',
      reason: 'no outlook is scored',
    });
  });

  test('counts the outlooks by status, and scores withdrawn ones', async () => {
    at(0);
    const symbol = await create();
    at(3);
    await desks.write('Ada', 'POST', `${base}/withdrawal`, { rationale: 'R' });
    await create({}, symbol);
    await resolve('void');
    await create({}, symbol);
    expect(await of(symbol)).toMatchObject({
      n: 0,
      counts: { open: 1, resolved: 0, void: 1, withdrawn: 1 },
    });
    await resolve('bull');
    base = `/v1/outlooks/${base.slice('/v1/outlooks/'.length)}`;
    expect(await of(symbol)).toMatchObject({
      n: 0,
      counts: { open: 0, resolved: 1, void: 1, withdrawn: 1 },
    });
  });

  test('scores a withdrawn outlook for the time it was open, once it is resolved', async () => {
    at(0);
    const symbol = await create();
    at(3);
    await desks.write('Ada', 'POST', `${base}/withdrawal`, { rationale: 'R' });
    expect((await of(symbol)).n).toBe(0);
    at(12);
    await resolve('bear');
    expect(await of(symbol)).toMatchObject({
      n: 1,
      coverage: near(0.3),
      scores: { brier: { mean: near(0.755) } },
      counts: { withdrawn: 1, resolved: 0 },
    });
  });

  test('as of a given time stays the same after later resolutions', async () => {
    at(0);
    const symbol = await create();
    at(11);
    await resolve('bear');
    const moment = desks.ledger.clock.now.toISOString();
    const paths = [
      `/v1/instruments/${symbol}/track-record?asOf=${moment}`,
      `/v1/track-record?asOf=${moment}`,
      `/v1/analysts/${(await desks.recordOf('Ada')).analyst?.id}/track-record?asOf=${moment}`,
    ];
    const read = () =>
      Promise.all(paths.map(async (url) => (await desks.ledger.call({ url })).body));
    const before = await read();
    expect(JSON.parse(before[0] ?? '')).toMatchObject({
      n: 1,
      scores: { brier: { mean: near(0.755) } },
    });
    at(12);
    await resolve('bull', { supersedes: 1 });
    expect((await of(symbol)).scores.brier.mean).toEqual(near(0.855));
    expect(await read()).toEqual(before);
    at(13);
    await resolve('void', { supersedes: 2 });
    expect(await of(symbol)).toMatchObject({ n: 0, counts: { void: 1, resolved: 0 } });
    at(14);
    await create({ horizon: { from: '2026-12-10', to: '2026-12-20' } }, symbol);
    expect(await read()).toEqual(before);
    expect(await of(symbol, 'asOf=2026-12-13T12:00:00Z')).toMatchObject({
      n: 1,
      scores: { brier: { mean: near(0.855) } },
    });
    at(10.5);
    expect(await of(symbol, 'asOf=2026-12-11T00:00:00Z')).toMatchObject({
      n: 0,
      counts: { open: 1, resolved: 0, void: 0 },
    });
  });

  test('can be limited to a period of due dates', async () => {
    at(0);
    const symbol = await create();
    await resolve('bear');
    for (const [query, n] of [
      ['from=2026-12-11', 1],
      ['from=2026-12-12', 0],
      ['to=2026-12-12', 1],
      ['to=2026-12-11', 0],
    ] as const) {
      const { counts } = await of(symbol, query);
      expect([query, counts]).toEqual([query, expect.objectContaining({ resolved: n })]);
    }
  });

  test('measures skill against a given reference', async () => {
    at(0);
    const symbol = await create();
    at(10);
    await resolve('bear');
    const record = await of(symbol, 'reference=0.5,0.3,0.2');
    expect(record).toMatchObject({
      reference: { name: 'fixed', probabilities: { bear: 0.5, base: 0.3, bull: 0.2 } },
      scores: { brier: { skill: near(1 - 0.755 / 0.38) } },
    });
  });

  test.each([
    ['/v1/track-record?reference=previous', '/reference'],
    ['/v1/track-record?from=2026-12-12&to=2026-12-11', '/from'],
    ['/v1/track-record?from=soon', '/from'],
    ['/v1/track-record?instrument=rut', '/instrument'],
    ['/v1/track-record?source=view', '/source'],
    ['/v1/track-record?asOf=2099-01-01T00:00:00Z', '/asOf'],
    ['/v1/instruments/RUT/track-record?instrument=RUT', '/instrument'],
  ])('%s is refused', async (url, pointer) => {
    const answer = await desks.ledger.call({ url });
    expect(answer.json()).toMatchObject({ status: 422, errors: [{ pointer, in: 'query' }] });
  });

  test('of a missing analyst or instrument is not found', async () => {
    const nobody = `/v1/analysts/00000000-0000-4000-8000-000000000000/track-record`;
    for (const url of [
      nobody,
      '/v1/analysts/me/track-record',
      '/v1/instruments/NONE/track-record',
    ]) {
      expect((await desks.ledger.call({ url })).statusCode).toBe(404);
    }
  });
});
