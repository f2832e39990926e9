import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, outlookBody, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

let count = 0;
let slug = '';
beforeEach(() => {
  count += 1;
  slug = `case-${count}`;
  ledger.clock.now = new Date('2026-11-20T00:00:00.000Z');
});

const HORIZON = { from: '2026-12-01', to: '2026-12-11' };
const at = (day: number) =>
  void (ledger.clock.now = new Date(Date.UTC(2026, 11, 1) + day * 86_400_000));
const create = async (change: object = {}) => {
  const usual = {
    slug,
    horizon: HORIZON,
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
    invalidationConditions: [],
  };
  const created = await createOutlook(ledger, { ...usual, ...change });
  expect(created.statusCode, created.body).toBe(201);
};
const post = async (path: string, body: object, method: 'POST' | 'PATCH' = 'POST') => {
  const answer = await send(ledger, method, `/v1/outlooks/${slug}${path}`, body);
  expect([answer.statusCode, answer.body]).toEqual([201, answer.body]);
};
const revise = (bear: number, base: number, bull: number) =>
  post('/revisions', { probabilities: { bear, base, bull }, rationale: 'R' });
const resolve = (outcome: string, more: object = {}) =>
  post('/resolution', { outcome, reason: 'R', ...more });

type Named = { brier: number | null; logarithmic: number | null; rankedProbability: number | null };
type Scores = {
  resolution: object | null;
  outlook: {
    coverage: number | null;
    skillCoverage: number | null;
    timeWeighted: Named;
    mean: Named;
    skill: Named;
    missing: object[];
  };
  versions: {
    version: number;
    share: number | null;
    outcome: string | null;
    scores: Named;
    skill: Named;
    missing: { pointer: string; reason: string }[];
  }[];
};
async function scores(query = ''): Promise<Scores> {
  const answer = await ledger.call({ url: `/v1/outlooks/${slug}/scores${query}` });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Scores>();
}
const near = (value: number) => expect.closeTo(value, 12);

describe('the scores', () => {
  test('of a version are those of its forecast, with skill against uniform thirds', async () => {
    await create();
    at(10);
    await resolve('base');
    expect((await scores()).versions).toEqual([
      {
        version: 1,
        publishedAt: '2026-11-20T00:00:00.000Z',
        probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
        share: 1,
        outcome: 'base',
        scores: {
          brier: near(0.455),
          logarithmic: near(-Math.log(0.45)),
          rankedProbability: near(0.1525),
        },
        skill: {
          brier: near(0.3175),
          logarithmic: near(1 - Math.log(0.45) / Math.log(1 / 3)),
          rankedProbability: near(0.31375),
        },
        missing: [],
      },
    ]);
  });

  test('of one version that was current throughout are exactly its own', async () => {
    await create();
    at(10);
    await resolve('bear');
    const { outlook, versions } = await scores();
    // By hand: 0.7² + 0.45² + 0.25², and 0.7² + 0.25².
    const own = { brier: 0.755, logarithmic: 1.203972804325936, rankedProbability: 0.5525 };
    expect(versions[0]?.scores).toEqual(own);
    expect(outlook).toMatchObject({
      coverage: 1,
      timeWeighted: own,
      mean: own,
      skill: { brier: -0.1325, rankedProbability: 0.0055 },
      skillCoverage: 1,
    });
  });

  test('of an outlook weigh each version by how long it was current', async () => {
    await create();
    at(2);
    await revise(0.5, 0.3, 0.2);
    at(5);
    await revise(0.1, 0.6, 0.3);
    at(12);
    await resolve('bear');
    const { outlook, versions } = await scores();
    expect(versions.map(({ share }) => share)).toEqual([near(0.2), near(0.3), near(0.5)]);
    const briers = [0.755, 0.25 + 0.09 + 0.04, 0.81 + 0.36 + 0.09];
    const mean = 0.2 * (briers[0] ?? 0) + 0.3 * (briers[1] ?? 0) + 0.5 * (briers[2] ?? 0);
    expect(versions.map((one) => one.scores.brier)).toEqual(briers.map(near));
    expect(outlook).toMatchObject({
      coverage: near(1),
      timeWeighted: { brier: near(mean) },
      mean: { brier: near(mean) },
      skill: { brier: near(1 - mean / (2 / 3)) },
    });
  });

  test('of a version that was current for a part of the horizon come with that part', async () => {
    at(4);
    await create();
    at(10);
    await resolve('bull');
    const { outlook } = await scores();
    expect(outlook).toMatchObject({
      coverage: near(0.6),
      timeWeighted: { brier: near(0.6 * 0.855) },
      mean: { brier: near(0.855) },
    });
  });

  test('of an outlook that is resolved early end there', async () => {
    await create();
    at(3);
    await resolve('bear');
    const { outlook } = await scores();
    expect(outlook).toMatchObject({
      coverage: near(0.3),
      attainableCoverage: near(0.3),
      mean: { brier: near(0.755) },
    });
  });

  test('of an outlook that had no version within its horizon are null', async () => {
    await create();
    at(-1);
    await resolve('bear');
    const { outlook, versions } = await scores();
    expect(outlook).toMatchObject({
      coverage: 0,
      attainableCoverage: 0,
      mean: { brier: null },
      missing: expect.arrayContaining([
        { pointer: '/mean/brier', reason: 'no version was current during the horizon' },
      ]),
    });
    expect(versions[0]?.scores.brier).toEqual(near(0.755));
  });
});

describe('skill', () => {
  test('against the previous version is null for the first one', async () => {
    await create();
    at(5);
    await revise(0.5, 0.3, 0.2);
    at(10);
    await resolve('bear');
    const { outlook, versions } = await scores('?reference=previous');
    expect(versions.map((one) => one.skill.brier)).toEqual([null, near(1 - 0.38 / 0.755)]);
    expect(versions[0]?.missing).toContainEqual({
      pointer: '/skill/brier',
      reason: 'the first version has no previous version',
    });
    expect(outlook.skill.brier).toEqual(near(1 - 0.38 / 0.755));
    // The mean is that of both versions, (0.755 + 0.38) ÷ 2; the skill compares the second half.
    expect(outlook).toMatchObject({ mean: { brier: 0.5675 }, coverage: 1, skillCoverage: 0.5 });
  });

  test('against a fixed distribution', async () => {
    await create();
    at(10);
    await resolve('bear');
    const { outlook } = await scores('?reference=0.5,0.3,0.2');
    expect(outlook.skill.brier).toEqual(near(1 - 0.755 / 0.38));
    const perfect = await scores('?reference=1,0,0');
    expect(perfect.outlook.skill.brier).toBeNull();
    expect(perfect.outlook.missing).toContainEqual({
      pointer: '/skill/brier',
      reason: 'the reference has a perfect score, so skill is undefined',
    });
  });

  test.each([
    [
      'chance',
      'must be uniform, previous, climatology or three fractions for bear, base and bull, such as 0.3,0.45,0.25',
    ],
    [
      '0.5,0.5',
      'must be uniform, previous, climatology or three fractions for bear, base and bull, such as 0.3,0.45,0.25',
    ],
    ['0.5,0.3,0.3', 'sums to 1.1; take 0.1 away'],
    [
      '0.33333,0.33333,0.33334',
      'bull has more than four decimals; write 0.3334, so that the three sum to 1: 0.3333 + 0.3333 + 0.3334',
    ],
    ['5,3,2', 'bear probabilities are fractions: 5 % is 0.05'],
  ])('against %s is refused', async (reference, detail) => {
    await create();
    const url = `/v1/outlooks/${slug}/scores?reference=${reference}`;
    const answer = await ledger.call({ url });
    expect(answer.json<{ errors: object[] }>().errors).toContainEqual({
      pointer: '/reference',
      detail,
      in: 'query',
    });
  });
});

describe('a missing score', () => {
  test('is null and says that the outcome had probability 0', async () => {
    await create({ probabilities: { bear: 0, base: 0.5, bull: 0.5 } });
    at(10);
    await resolve('bear');
    const { outlook, versions } = await scores();
    expect(versions[0]?.scores).toEqual({
      brier: near(1.5),
      logarithmic: null,
      rankedProbability: near(1.25),
    });
    const reason =
      'the forecast gave the outcome probability 0, so the logarithmic score is infinite';
    expect(versions[0]?.missing).toEqual([
      { pointer: '/scores/logarithmic', reason },
      { pointer: '/skill/logarithmic', reason },
    ]);
    expect(outlook.mean.logarithmic).toBeNull();
    expect(outlook.mean.brier).toEqual(near(1.5));
  });

  test('is null before the outlook is resolved, and if it is void', async () => {
    await create();
    const open = await scores();
    expect(open).toMatchObject({ resolution: null, outlook: { coverage: null } });
    expect(open.versions[0]).toMatchObject({ share: null, outcome: null, scores: { brier: null } });
    expect(open.versions[0]?.missing[0]?.reason).toBe('the outlook is not resolved');
    at(10);
    await resolve('void');
    const closed = await scores();
    expect(closed).toMatchObject({
      resolution: { number: 1, outcome: 'void' },
      outlook: { coverage: near(1), mean: { brier: null } },
    });
    expect(closed.versions[0]?.missing[0]?.reason).toBe('the outlook is void');
  });
});

test('a superseding resolution changes the scores, but not those as of before', async () => {
  await create();
  at(10);
  await resolve('bear');
  at(11);
  await resolve('bull', { supersedes: 1 });
  expect((await scores()).outlook.mean.brier).toEqual(near(0.855));
  const before = await scores('?asOf=2026-12-11T12:00:00Z');
  expect(before).toMatchObject({
    resolution: { number: 1, outcome: 'bear' },
    outlook: { mean: { brier: near(0.755) } },
  });
  expect(await scores('?asOf=2026-12-10T23:59:59Z')).toMatchObject({ resolution: null });
  const never = await ledger.call({
    url: `/v1/outlooks/${slug}/scores?asOf=2026-11-19T00:00:00Z`,
  });
  expect(never.statusCode).toBe(404);
});

test('bands that moved after a version do not affect its score', async () => {
  const banded = (low: number, high: number) => {
    const scenarios = outlookBody()['scenarios'] as Record<'bear' | 'base' | 'bull', object>;
    return {
      bear: { ...scenarios.bear, returnBand: { max: low } },
      base: { ...scenarios.base, returnBand: { min: low, max: high } },
      bull: { ...scenarios.bull, returnBand: { min: high } },
    };
  };
  await create({ scenarios: banded(-0.1, 0.1) });
  at(5);
  await post('/framework', { rationale: 'R', scenarios: banded(-0.3, 0.1) }, 'PATCH');
  at(11);
  // By the current closes it is base; by the first ones, bear.
  await resolve('base', { realisedReturn: -0.2 });
  const { versions, outlook } = await scores();
  expect(versions.map(({ outcome }) => outcome)).toEqual(['bear', 'base']);
  expect(outlook.mean.brier).toEqual(near((0.755 + 0.455) / 2));
  const url =
    '/v1/track-record?from=2026-12-11&to=2026-12-12&asOf=' + ledger.clock.now.toISOString();
  const record = (await ledger.call({ url })).json<{ n: number }>();
  expect(record.n).toBeGreaterThan(0);
  // An outcome that contradicts the return applies to all versions.
  at(12);
  await resolve('bull', { realisedReturn: -0.2, supersedes: 1 });
  expect((await scores()).versions.map(({ outcome }) => outcome)).toEqual(['bull', 'bull']);
});
