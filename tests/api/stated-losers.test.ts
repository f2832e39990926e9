import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSkills } from '../../src/ledger/forecast-sums.ts';
import { BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const at = (time: string) => void (ledger.clock.now = new Date(time));
const horizon = { from: '2026-11-21', to: '2027-11-21' };
const probabilities = { bear: 0.05, base: 0.05, bull: 0.9 };

test('nobody leaves losers out of their own skill by stating them early', async () => {
  const winner = await BandedOutlook.create(ledger, { horizon, probabilities });
  const loser = await BandedOutlook.create(ledger, { horizon, probabilities });
  for (const outlook of [winner, loser]) await outlook.observe({ '2026-11-20': 100 });
  at('2027-11-19T12:00:00.000Z');
  await loser.resolve({ outcome: 'bear', reason: 'It crashed.' });
  at('2027-11-21T00:00:00.000Z');
  await winner.observe({ '2027-11-20': 130 });
  await winner.resolve();
  const { author } = await winner.read<{ author: { id: string } }>();
  const open = await BandedOutlook.create(ledger, {
    horizon: { from: '2026-11-21', to: '2030-01-01' },
  });
  at('2027-11-21T00:00:00.000Z');
  const url = `/v1/outlooks/${open.slug}`;
  await send(ledger, 'PUT', `${url}/views/me`, { probabilities, rationale: 'R' });
  const consensus = async () =>
    (await ledger.call({ url: `${url}/consensus?weights=skill`, as: 'feed' })).statusCode;
  const skill = async () =>
    (await readSkills(ledger.pool, [author.id], null)).get(author.id)?.skill;
  // Against uniform thirds, whose Brier score is 2/3: the winner has 0.05² + 0.05² + 0.1² = 0.015.
  expect(await skill()).toBeCloseTo(1 - 0.015 / (2 / 3), 10);

  expect(await consensus()).toBe(200);

  await loser.observe({ '2027-11-20': 60 });
  // The loser has 0.95² + 0.05² + 0.9² = 1.715, over 363.5 of 365 days.
  const share = 363.5 / 365;
  expect(await skill()).toBeCloseTo(1 - (0.015 + share * 1.715) / ((1 + share) * (2 / 3)), 10);
  // No event reports the close, and the consensus is not served from before it: no view has any weight now.
  expect(await consensus()).toBe(409);
});

test('instruments with the same closes are one cluster', async () => {
  const outlook = await BandedOutlook.create(ledger, { horizon, probabilities });
  await outlook.observe({ '2026-11-20': 100 });
  const twin = { symbol: 'TWIN', name: 'N', kind: 'index', closes: outlook.series };
  expect((await send(ledger, 'POST', '/v1/instruments', twin)).statusCode).toBe(201);
  const created = await createOutlook(ledger, { slug: 'twin', instrument: 'TWIN', horizon });
  expect(created.statusCode, created.body).toBe(201);
  const clusters = async (query = '') => {
    const answer = await ledger.call({ url: `/v1/track-record?${query}` });
    return answer.json<{ clusters: number }>().clusters;
  };
  const before = await clusters();
  at('2027-11-21T00:00:00.000Z');
  await outlook.observe({ '2027-11-20': 130 });
  await outlook.resolve();
  expect(await clusters()).toBe(before + 1);
  await send(ledger, 'POST', '/v1/outlooks/twin/resolution', { outcome: 'bull' });
  expect(await clusters('instrument=TWIN')).toBe(1);
  expect(await clusters()).toBe(before + 1);
});
