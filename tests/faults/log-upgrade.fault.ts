import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { EventClient } from '../support/event-client.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { Receiver } from '../support/receiver.ts';
import { issueOldKey, releaseAt } from '../support/releases.ts';
import { cleanUp, freePort, run, type Service, until } from '../support/service.ts';

// The release before the transparency log follows a ledger that has it: while instances are replaced, and after a roll-back.

/** The last commit without the log: that of migration 0026. */
const RELEASE_BEFORE = 'a8ebfcca';
const SLUG = 'russell-2000-downside';

let url = '';
let pool: pg.Pool;
let receiver: Receiver;
beforeEach(async () => {
  url = await createDatabase({ empty: true });
  pool = openDatabase(url, 2);
  receiver = await new Receiver().open();
});
afterEach(async () => {
  await cleanUp();
  await pool.end();
  await receiver.kill();
});

async function start(dist?: string): Promise<Service> {
  const port = String(await freePort());
  const settings = {
    DATABASE_URL: serviceUrl(url),
    DATABASE_MIGRATION_URL: url,
    DATABASE_POOL_MAX: '5',
    LOAD_SAMPLES: 'true',
    WEBHOOK_PRIVATE_ADDRESSES: 'true',
    PORT: port,
  };
  const origin = `http://127.0.0.1:${port}`;
  const service = { ...run('server.js', [], settings, dist), origin };
  const isReady = () =>
    fetch(`${origin}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(isReady);
  return service;
}

async function send(origin: string, key: string, path: string, body: object): Promise<void> {
  const response = await fetch(origin + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.status, await response.text()).toBeLessThan(300);
}

/** Waits for a condition, at most some seconds: what is checked next says what is missing. */
async function settled(check: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 15_000; !check() && Date.now() < deadline; await delay(50));
}

test('an instance of the previous release misses no event, sends each to webhooks, and sees no reset', async () => {
  const dist = releaseAt(RELEASE_BEFORE);
  if (dist === null) {
    console.warn(`skipped: the history has no commit ${RELEASE_BEFORE}`);
    return;
  }
  const old = await start(dist);
  const key = await issueOldKey(pool, 'A desk', 'admin');
  await send(old.origin, key, '/v1/webhooks', { url: receiver.url });
  const client = await new EventClient(`${old.origin}/v1/events`).connect();
  let published = 0;
  const act = async (origin: string) => {
    published += 1;
    await send(origin, key, `/v1/outlooks/${SLUG}/revisions`, distinctRevision(published));
    // Administrative events.
    const another = await issueOldKey(pool, `Desk ${published}`, 'feed');
    await send(origin, another, '/v1/series/rut-close/observations', {
      observations: [{ date: '2026-11-19', value: 2_400 + published / 10 }],
    });
  };
  for (let count = 0; count < 3; count += 1) await act(old.origin);
  const newer = await start();
  for (let count = 0; count < 20; count += 1)
    await act(count % 2 === 0 ? old.origin : newer.origin);
  newer.kill('SIGTERM');
  await newer.ended;
  for (let count = 0; count < 5; count += 1) await act(old.origin);
  const versionsIn = (kinds: readonly { event: string; data: unknown }[]) =>
    kinds
      .filter(({ event }) => event === 'outlook.version.published')
      .map(({ data }) => (data as { version: number }).version);
  const due = Array.from({ length: published }, (_, index) => index + 2);
  await settled(() => versionsIn(client.events).includes(published + 1));
  expect(versionsIn(client.events)).toEqual(due);
  expect(client.openings).toHaveLength(1);
  expect(client.events.map(({ event }) => event)).not.toContain('stream.reset');
  const sent = () =>
    receiver.accepted.map(({ payload }) => ({ event: payload.type, data: payload.data }));
  await settled(() => versionsIn(sent()).length >= published);
  expect(versionsIn(sent())).toEqual(due);
  await client.leave();
}, 300_000);
