import { afterAll, beforeAll, expect, test } from 'vitest';
import { bandedScenarios, BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { patchFramework, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

test('bands that moved after a view was recorded do not decide its outcome', async () => {
  const outlook = await BandedOutlook.create(ledger);
  const url = `/v1/outlooks/${outlook.slug}/views/me`;
  const body = { name: 'Vera', role: 'analyst' };
  const issued = await send(ledger, 'POST', '/v1/keys', body, { as: 'admin' });
  const { key, analystId } = issued.json<{ key: string; analystId: string }>();
  const view = { probabilities: { bear: 0, base: 0, bull: 1 }, rationale: 'R' };
  await send(ledger, 'PUT', url, view, { headers: { authorization: `Bearer ${key}` } });
  await outlook.observe({ '2026-03-30': 100 });
  ledger.clock.now = new Date('2027-03-30T23:59:00.000Z');
  await outlook.observe({ '2027-03-30': 98 });
  // −2 % lies in the band [−0.1, 0.15) of the view, and is bull by the bands of the last minute.
  const scenarios = bandedScenarios({ low: -0.5, high: -0.2 });
  const moved = await patchFramework(ledger, { scenarios, rationale: 'R' }, outlook);
  expect(moved.statusCode, moved.body).toBe(201);
  ledger.clock.now = new Date('2027-03-31T00:00:00.000Z');
  const resolved = await outlook.resolve();
  expect(resolved.json()).toMatchObject({ resolution: { outcome: 'bull', decidedBy: 'closes' } });
  const record = await ledger.call({
    url: `/v1/analysts/${analystId}/track-record?source=view`,
    as: 'feed',
  });
  // Bull 1 with the outcome base: 1² + 1² = 2.
  expect(record.json()).toMatchObject({ n: 1, scores: { brier: { mean: 2 } } });
});
