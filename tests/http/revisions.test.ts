import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

test('a sum of 1.05 is refused as the contract words it', async () => {
  const response = await ledger.revise({
    probabilities: { bear: 0.35, base: 0.45, bull: 0.25 },
    rationale: 'Yields jumped.',
  });
  expect(response.statusCode).toBe(422);
  expect(response.headers['content-type']).toBe('application/problem+json');
  expect(response.json()).toEqual({
    type: '/problems/probability-sum',
    title: 'Probabilities must sum to 1',
    status: 422,
    detail: 'bear 0.35 + base 0.45 + bull 0.25 = 1.05, which is 0.05 too much.',
    instance: '/v1/outlooks/russell-2000-downside/revisions',
    sum: 1.05,
    excess: 0.05,
    errors: [{ pointer: '/probabilities', detail: 'sums to 1.05; take 0.05 away' }],
  });
});
