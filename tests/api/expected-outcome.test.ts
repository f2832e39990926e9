import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, outlookBody, patchFramework } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

type Scenarios = Record<'bear' | 'base' | 'bull', object>;
const texts = outlookBody()['scenarios'] as Scenarios;
const SCENARIOS = {
  bear: { ...texts.bear, returnBand: { min: -1.2, max: -0.1 }, centralReturn: -0.25 },
  base: { ...texts.base, returnBand: { min: -0.1, max: 0.15 }, centralReturn: 0.02 },
  bull: { ...texts.bull, returnBand: { min: 0.15, max: 0.7 }, centralReturn: 0.2 },
};
const create = (slug: string, scenarios: object = SCENARIOS) =>
  createOutlook(ledger, {
    slug,
    scenarios,
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
  });
const read = async (slug: string) =>
  (await ledger.call({ url: `/v1/outlooks/${slug}/expected-outcome` })).json<object>();

test('stated bounds and central returns give an expected return', async () => {
  const created = await create('stated');
  expect(created.json()).toMatchObject({ scenarios: SCENARIOS });
  // By hand: 0.3 · −1.2 + 0.45 · −0.1 + 0.25 · 0.15; 0.3 · −0.1 + 0.45 · 0.15 + 0.25 · 0.7;
  // 0.3 · −0.25 + 0.45 · 0.02 + 0.25 · 0.2.
  expect(await read('stated')).toMatchObject({
    expectedReturn: { min: -0.3675, max: 0.2125, central: -0.016 },
    missing: [],
  });
});

test('a patch takes a bound or a central return away, and the diff shows it', async () => {
  await create('patched');
  const scenarios = { bear: { returnBand: { min: null } }, bull: { centralReturn: null } };
  const patched = await patchFramework(ledger, { rationale: 'R', scenarios }, { slug: 'patched' });
  expect(patched.statusCode, patched.body).toBe(201);
  expect(await read('patched')).toMatchObject({
    expectedReturn: { min: null, max: 0.2125, central: null },
    missing: [
      { pointer: '/expectedReturn/min', reason: 'the bear band is open below' },
      {
        pointer: '/expectedReturn/central',
        reason: 'the bull scenario has no central return',
      },
    ],
  });
  const diff = await ledger.call({ url: '/v1/outlooks/patched/versions/2/diff' });
  expect(diff.json<{ fields: object[] }>().fields).toEqual([
    expect.objectContaining({ pointer: '/scenarios/bear/returnBand' }),
    { pointer: '/scenarios/bull/centralReturn', before: 0.2, after: null },
  ]);
});

test('faults of bounds and central returns are reported all at once', async () => {
  const refused = await create('refused', {
    bear: { ...SCENARIOS.bear, returnBand: { min: 0, max: -0.1 } },
    base: { ...SCENARIOS.base, centralReturn: 0.15 },
    bull: { ...SCENARIOS.bull, returnBand: { min: 0.15, max: 0.1 }, centralReturn: 2000 },
  });
  expect(refused.statusCode).toBe(422);
  expect(faultsOf(refused.json())).toEqual({
    '/scenarios/bear/returnBand/min': 'must be less than -0.1, where the bear band ends',
    '/scenarios/bear/centralReturn': "must be at least 0, where the scenario's return band starts",
    '/scenarios/base/centralReturn':
      "must be less than 0.15, where the scenario's return band ends",
    '/scenarios/bull/returnBand/max': 'must be greater than 0.15, where the bull band starts',
    '/scenarios/bull/centralReturn': 'must be at most 1000',
  });
});
