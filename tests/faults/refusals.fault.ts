import { afterEach, beforeEach, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';

// A gigabyte of requests in proportion: what one attacker sends in a day, each ten minutes' worth at once. SECURITY.md states
// these bounds for one instance.
const DAY = { unknown: { entries: 3_200, bytes: 2_000_000 }, caller: { entries: 320 } };

let ledger: TestLedger;
beforeEach(async () => {
  ledger = await startLedger();
});
afterEach(() => ledger.close());

const MINUTES = 10;
const STEPS = (24 * 60) / MINUTES;
const AT_ONCE = 100;

/** What one attacker sends at once: from many addresses, by several methods, to paths as long as they may be. */
async function flood(step: number, authorization?: string): Promise<number> {
  const requests = Array.from({ length: AT_ONCE }, async (_, index) => {
    const url = `/v1/keys/${'x'.repeat(150)}?${'y'.repeat(700)}=${step}-${index}`;
    const { statusCode } = await ledger.app.inject({
      url,
      method: index % 2 === 0 ? 'GET' : 'DELETE',
      remoteAddress: `2001:db8:aaaa:bbbb:cccc:dddd:${step.toString(16)}:${index.toString(16)}`,
      headers: {
        'x-request-id': `${step}-${index}-`.padEnd(100, 'z'),
        ...(authorization && { authorization }),
      },
    });
    expect([401, 403]).toContain(statusCode);
    return url.length;
  });
  return (await Promise.all(requests)).reduce((sum, length) => sum + length, 0);
}

const size = async () => {
  const { rows } = await ledger.pool.query<{ bytes: number }>(
    `select pg_total_relation_size('audit_entries') as bytes`,
  );
  return Number(rows[0]?.bytes);
};
const trail = async (query: string) =>
  (await ledger.call({ url: `/v1/audit?kind=refusal&${query}`, as: 'admin' })).json<{
    items: { path: string; times: number; status: number }[];
  }>().items;

/** Runs the ledger's clock through a day, with requests every ten minutes. */
async function throughTheDay(send: (step: number) => Promise<unknown>): Promise<void> {
  for (let step = 0; step < STEPS; step += 1) {
    await send(step);
    await trail('limit=1'); // writes what is due, as the timer does
    ledger.clock.now = new Date(ledger.clock.now.getTime() + MINUTES * 60_000);
  }
}

test('a day of refusals of unknown callers stays within the bound, and hides no known caller', async () => {
  const before = await size();
  let sent = 0;
  await throughTheDay(async (step) => {
    sent += await flood(step);
    if (step === STEPS / 2) await ledger.call({ url: '/v1/keys', as: 'feed' });
  });
  const { rows } = await ledger.pool.query<{ entries: number; times: number }>(
    `select count(*)::int as entries, sum(times)::int as times from audit_entries
      where kind = 'refusal' and credential is null`,
  );
  expect(rows[0]?.times).toBeGreaterThanOrEqual((STEPS - 1) * AT_ONCE);
  expect(rows[0]?.entries).toBeLessThan(DAY.unknown.entries);
  expect(await size()).toBeLessThan(before + DAY.unknown.bytes);
  expect(sent).toBeGreaterThan(3 * DAY.unknown.bytes);
  const { rows: desks } = await ledger.pool.query<{ id: string }>(
    `select id from analysts where name = 'feed desk'`,
  );
  expect(await trail(`analyst=${desks[0]?.id}`)).toMatchObject([
    { status: 403, path: '/v1/keys', times: 1 },
  ]);
});

test('a day of refusals of one known caller stays within the bound', async () => {
  await throughTheDay((step) => flood(step, `Bearer ${ledger.keys.feed}`));
  const { rows } = await ledger.pool.query<{ entries: number; times: number }>(
    `select count(*)::int as entries, sum(times)::int as times from audit_entries where kind = 'refusal'`,
  );
  expect(rows[0]?.entries).toBeLessThan(DAY.caller.entries);
  expect(rows[0]?.times).toBeGreaterThanOrEqual((STEPS - 1) * AT_ONCE);
});
