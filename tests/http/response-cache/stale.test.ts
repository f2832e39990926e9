import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSession } from '../../support/plain-sql.ts';
import { openDatabase } from '../../support/database.ts';
import { buildSilentApp, SLUG, startLedger, type TestLedger } from '../../support/ledger.ts';
import { Proxy } from '../../support/proxy.ts';

const URL = `/v1/outlooks/${SLUG}`;
const revision = { probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'Why.' };

let ledger: TestLedger;
let way: Proxy;
const start = async (settings: { serveStale?: boolean; requireKeyForReads?: boolean } = {}) => {
  ledger = await startLedger({
    ...settings,
    through: (url) => {
      way = new Proxy(url);
      return way.listen();
    },
  });
};
afterEach(async () => {
  way.block(); // what is frozen would be waited for
  await ledger.close();
  await way.close();
});

const get = (url = URL, headers: Record<string, string> = {}) => ledger.call({ url, headers });
const lose = async () => await expect.poll(() => ledger.feed.isCurrent).toBe(false);
const regain = async () => await expect.poll(() => ledger.feed.isCurrent).toBe(true);
const MARK = /^outlook-ledger; hit; ttl=-(\d+); detail=STALE$/;

describe('while Postgres is unavailable', () => {
  beforeEach(() => start());

  // Sooner than a frozen connection is given up.
  test.each(['refuses', 'is frozen'])(
    'and %s, what was read is answered as stale',
    { timeout: 15_000 },
    async (how) => {
      const before = await get();
      const [csv, list] = ['/probabilities?format=csv', '/versions'].map((part) => `${URL}${part}`);
      const others = [await get(csv), await get(list)];
      expect(before.headers).not.toHaveProperty('cache-status');
      expect(before.headers).not.toHaveProperty('age');
      if (how === 'refuses') way.block();
      else way.weather = 'frozen';
      await lose();
      const stale = await get();
      expect([stale.statusCode, stale.body]).toEqual([200, before.body]);
      expect(stale.headers.etag).toBe(before.headers.etag);
      const [, age] = MARK.exec(String(stale.headers['cache-status'])) ?? [];
      expect(age).toBe(stale.headers.age);
      expect(Number(age)).toBeGreaterThanOrEqual(1);
      expect(Number(age)).toBeLessThan(60);
      expect((await get(csv)).body).toBe(others[0]?.body);
      expect((await get(list)).headers['cache-status']).toMatch(MARK);

      const known = await get(URL, { 'if-none-match': String(before.headers.etag) });
      expect([known.statusCode, known.headers['cache-status']]).toEqual([
        304,
        expect.stringMatching(MARK),
      ]);
    },
  );

  test('uncached reads and writes are 503, and everything recovers by itself', async () => {
    await get();
    way.block();
    await lose();
    expect((await get(`${URL}/versions`)).statusCode).toBe(503);
    const refused = await ledger.revise(revision);
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '2']);
    expect((await get()).headers).toHaveProperty('age');
    const metrics = (await get('/metrics')).body;
    expect(metrics).toContain('outlook_ledger_stale_replies_served_total 1\n');
    expect(metrics).toMatch(/outlook_ledger_change_feed_age_seconds [\d.]+/);
    expect(metrics).toContain('outlook_ledger_problems_total{problem="unavailable"} 2\n');
    way.weather = 'calm';
    await regain();
    const healed = await get();
    expect(healed.headers).not.toHaveProperty('age');
    expect(healed.headers).not.toHaveProperty('cache-status');
    expect((await ledger.revise(revision)).statusCode).toBe(201);
    expect((await get()).json()).toMatchObject({ version: 2 });
  });

  test('nothing is served stale that this instance knows has changed', async () => {
    await get();
    await get(`${URL}/versions`);
    await ledger.feed.close();
    expect((await ledger.revise(revision)).statusCode).toBe(201);
    way.block();
    for (const url of [URL, `${URL}/versions`]) expect((await get(url)).statusCode).toBe(503);
  });

  test('nothing is served stale that a read found changed', async () => {
    await get(`${URL}/versions`);
    await ledger.feed.close();
    const { statusCode } = await publishElsewhere();
    expect(statusCode).toBe(201);
    expect((await get()).json()).toMatchObject({ version: 2 });
    way.block();
    expect((await get(`${URL}/versions`)).statusCode).toBe(503);
  });
});

test('cached reads do not query Postgres again and again', async () => {
  await start();
  await get();
  await ledger.feed.close();
  way.block();
  await get();
  const { attempts } = way;
  for (let turn = 0; turn < 5; turn += 1) expect((await get()).headers).toHaveProperty('age');
  expect(way.attempts).toBe(attempts);
});

test("a change during a read's wait is not served stale", async () => {
  await start();
  await get(`${URL}/evidence`);
  await ledger.feed.close();
  const owner = await openSession(ledger.url);
  // A revision doesn't wait for this table, but it does for that of evidence: the opening of an event may name an author.
  await owner.query('begin; lock table evidence_claims in access exclusive mode');
  const asking = get(`${URL}/evidence`);
  expect((await ledger.revise(revision)).statusCode).toBe(201);
  expect((await asking).statusCode).toBe(503);
  await owner.query('rollback');
  await owner.end();
});

test('once the database is back no older response is served, whatever the events report', async () => {
  await start();
  const before = await get();
  way.block();
  await lose();
  const owner = await openSession(ledger.url);
  await owner.query(`alter table analysts disable trigger user;
    update analysts set name = 'Renamed' where name = 'Sample desk'`);
  await owner.end();
  way.weather = 'calm';
  await regain();
  expect(before.json()).toMatchObject({ author: { name: 'Sample desk' } });
  expect((await get()).json()).toMatchObject({ author: { name: 'Renamed' } });
});

/** Another instance on the same database revises the outlook. */
async function publishElsewhere() {
  const pool = openDatabase(ledger.url);
  const other = await buildSilentApp(pool, { now: () => ledger.clock.now });
  try {
    return await other.inject({
      method: 'POST',
      url: `${URL}/revisions`,
      headers: { authorization: `Bearer ${ledger.keys.analyst}` },
      payload: revision,
    });
  } finally {
    await other.close();
    await pool.end();
  }
}

test('if the service is set to refuse instead, it does', async () => {
  await start({ serveStale: false });
  await get();
  way.block();
  await lose();
  expect((await get()).statusCode).toBe(503);
});

test("a client whose key can't be checked gets nothing", async () => {
  await start({ requireKeyForReads: true });
  expect((await ledger.call({ url: URL, as: 'analyst' })).statusCode).toBe(200);
  way.block();
  await lose();
  expect((await ledger.call({ url: URL, as: 'analyst' })).statusCode).toBe(503);
});
