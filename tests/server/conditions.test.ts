import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { SLUG } from '../support/http-client.ts';
import { cleanUp, type Service, startService } from '../support/service.ts';

const WRITERS = 20;
const BATCHES = 60;
const SERIES = 'us-30y-yield';

let pool: pg.Pool;
let services: Service[];
const keys = { analyst: '', feed: '' };
beforeAll(async () => {
  const url = await createDatabase({ empty: true });
  const settings = { ...databaseSettings(url), LOAD_SAMPLES: 'true' };
  services = await Promise.all([startService(settings), startService(settings)]);
  pool = openDatabase(url, 2);
  for (const role of ['analyst', 'feed'] as const) {
    const issued = { name: role, role, expiresAt: null };
    keys[role] = (await issueKey(pool, issued, new Date())).key;
  }
});
afterAll(async () => {
  await cleanUp();
  await pool.end();
});

/** Sends a body until the service has time for it: on a busy machine locks are waited for too long. */
async function post(index: number, role: keyof typeof keys, path: string, body: object) {
  for (;;) {
    const response = await fetch((services[index]?.origin ?? '') + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${keys[role]}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as { type?: string };
    if (response.status !== 503) return { status: response.status, body: answer };
  }
}

const observe = (date: string, value: number) =>
  post(0, 'feed', `/v1/series/${SERIES}/observations`, { observations: [{ date, value }] });

/** Whether the outlook is due, and whether it has something to answer, at one moment. */
async function owed(): Promise<{ due: boolean; open: boolean }> {
  const { rows } = await pool.query<{ due: boolean; open: boolean }>(
    `select o.review_reasons <> '{}' as due, exists (
        select from (select distinct on (c.key) c.* from condition_changes c
                      where c.outlook_id = o.id order by c.key, c.id desc) newest
         where newest.state = 'triggered'
           and not exists (select from condition_answers a where a.change_id = newest.id)) as open
       from outlooks o where o.slug = $1`,
    [SLUG],
  );
  const [row] = rows;
  if (!row) throw new Error('the outlook is missing');
  return row;
}

/** Four values a day: one arms an answered condition, and three trigger it, take that back and trigger it again. */
const VALUES = [4.5, 4, 4.5, 4];
const dayOf = (turn: number) =>
  new Date(Date.UTC(2026, 3, 3 + Math.floor(turn / VALUES.length))).toISOString().slice(0, 10);

/** Revises in turns: as it likes, with less weight for the bear scenario, or with a reason. */
async function revise(writer: number, turn: number): Promise<string> {
  const bear = (1_000 + ((writer * 37 + turn * 911) % 5_000)) / 10_000;
  const base = Number((0.75 - bear).toFixed(4));
  const acknowledges = [{ condition: 'rate-relief', reason: 'Seen.' }];
  const { status, body } = await post(1, 'analyst', `/v1/outlooks/${SLUG}/revisions`, {
    probabilities: { bear, base, bull: 0.25 },
    rationale: `Writer ${writer}, turn ${turn}.`,
    ...(turn % 3 === 2 && { acknowledges }),
  });
  return status === 201 ? 'accepted' : `${status} ${body.type}`;
}

test('no revision passes a trigger without answering it, and nothing is owed without a reason', async () => {
  for (const day of ['2026-04-01', '2026-04-02']) await observe(day, 4);
  const run = { isOver: false };
  const outcomes = new Map<string, number>();
  const writers = Array.from({ length: WRITERS }, async (_, writer) => {
    for (let turn = 0; !run.isOver; turn += 1) {
      const outcome = await revise(writer, turn);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  });
  let looks = 0;
  const watcher = (async () => {
    for (; !run.isOver; looks += 1) {
      const { due, open } = await owed();
      expect(due).toBe(open);
      await delay(2);
    }
  })();
  const accepted = () => outcomes.get('accepted') ?? 0;
  const unanswered = () => outcomes.get('422 /problems/condition-unanswered') ?? 0;
  // On a busy machine fewer other requests run between two batches.
  const isEnough = () => looks > 50 && accepted() > 20 && unanswered() > 2;
  for (let turn = 0; turn < BATCHES || !isEnough(); turn += 1) {
    const { status } = await observe(dayOf(turn), VALUES[turn % VALUES.length] ?? 4);
    expect(status).toBe(200);
    await delay(10);
  }
  run.isOver = true;
  await Promise.all([...writers, watcher]);

  const refused = ['422 /problems/condition-unanswered', '422 /problems/invalid-request'];
  for (const outcome of outcomes.keys()) {
    // The same numbers again are refused, too.
    expect(['accepted', '422 /problems/no-change', ...refused]).toContain(outcome);
  }

  const { rows } = await pool.query<{
    triggered: number;
    passed: number;
    answered: number;
  }>(
    `select count(*)::int as triggered,
        count(*) filter (where next.version is not null and answer.change_id is null
          and not exists (select from condition_changes later
                           where later.outlook_id = c.outlook_id and later.key = c.key
                             and later.id > c.id and later.version = c.version))::int as passed,
        count(answer.change_id)::int as answered
       from condition_changes c
       left join outlook_versions next
         on next.outlook_id = c.outlook_id and next.version = c.version + 1
       left join condition_answers answer on answer.change_id = c.id
      where c.state = 'triggered'`,
  );
  expect(rows).toEqual([
    { triggered: expect.any(Number), passed: 0, answered: expect.any(Number) },
  ]);
  expect(rows[0]?.triggered).toBeGreaterThan(5);
  expect(rows[0]?.answered).toBeGreaterThan(2);
  const { due, open } = await owed();
  expect(due).toBe(open);
});
