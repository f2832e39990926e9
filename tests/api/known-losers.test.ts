import { afterAll, beforeAll, expect, test } from 'vitest';
import { BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

test('nobody leaves a loser out of their own skill by an earlier knownAt', async () => {
  const horizon = { from: '2026-11-21', to: '2027-11-21' };
  const outlook = await BandedOutlook.create(ledger, { horizon });
  await outlook.observe({ '2026-11-20': 100 });
  ledger.clock.now = new Date('2027-11-21T00:00:00.000Z');
  await outlook.observe({ '2027-11-20': 200 });
  const resolved = await outlook.resolve({
    outcome: 'bull',
    reason: 'It was obvious.',
    knownAt: '2026-11-21T00:00:01.000Z',
  });
  expect(resolved.statusCode, resolved.body).toBe(201);
  const { rows } = await ledger.pool.query(
    `select f.source, f.bull_share as share, f.attainable
       from forecast_sums f join outlooks o on o.id = f.outlook_id
      where o.slug = $1 and f.analyst_id is not null order by 1`,
    [outlook.slug],
  );
  const second = 1 / (365 * 86_400);
  expect(rows).toEqual([
    { source: 'combined', share: 1, attainable: 1 },
    { source: 'version', share: second, attainable: second },
  ]);
});
