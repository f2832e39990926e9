import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KEY_BYTES, keyHash, keyText } from '../../src/domain/api-keys.ts';
import { verifyLedger } from '../../src/ledger/verification.ts';
import { verifyLog } from '../../src/log/verification/verify-log.ts';
import { BEGIN_SNAPSHOT } from '../../src/postgres/pool.ts';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { EventClient } from '../support/event-client.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { releaseAt } from '../support/releases.ts';
import { outlookBody } from '../support/requests.ts';
import { cleanUp, freePort, run, type Service, until } from '../support/service.ts';

// A ledger of the release before desks opens with this one, and both serve it for a while.

/** The last commit without desks: that of migration 0033. */
const RELEASE_BEFORE = 'fed8a7ea';
const SLUG = 'russell-2000-downside';

let url = '';
let pool: pg.Pool;
beforeEach(async () => {
  url = await createDatabase({ empty: true });
  pool = openDatabase(url, 3);
});
afterEach(async () => {
  await cleanUp();
  await pool.end();
});

async function start(dist?: string): Promise<Service> {
  const port = String(await freePort());
  const settings = {
    DATABASE_URL: serviceUrl(url),
    DATABASE_MIGRATION_URL: url,
    DATABASE_POOL_MAX: '5',
    LOAD_SAMPLES: 'true',
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

type Answer = Record<string, unknown>;
async function ask(origin: string, key: string, method: string, path: string, body?: object) {
  const response = await fetch(origin + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  expect(response.status, `${method} ${path} ${text}`).toBeLessThan(300);
  return JSON.parse(text) as Answer;
}

/** What the ledger says of things that the release before wrote. */
async function readAll(origin: string, key: string): Promise<Answer[]> {
  const paths = [
    `/v1/outlooks/${SLUG}`,
    `/v1/outlooks/${SLUG}/versions`,
    `/v1/outlooks/${SLUG}/evidence`,
    `/v1/outlooks/${SLUG}/views`,
    '/v1/outlooks',
    '/v1/series/rut-close',
    '/v1/keys',
    '/v1/webhooks',
    '/v1/audit',
  ];
  return Promise.all(paths.map((path) => ask(origin, key, 'GET', path)));
}

/** Uses all kinds of writes that the release before has. */
async function fill(origin: string, key: string): Promise<void> {
  const post = (path: string, body: object) => ask(origin, key, 'POST', path, body);
  await post(`/v1/outlooks/${SLUG}/revisions`, distinctRevision(1));
  await post(`/v1/outlooks/${SLUG}/evidence`, {
    headline: 'H',
    summary: 'S',
    publisher: 'P',
    publishedAt: '2026-01-05T00:00:00Z',
  });
  const probabilities = { bear: 0.4, base: 0.4, bull: 0.2 };
  await ask(origin, key, 'PUT', `/v1/outlooks/${SLUG}/views/me`, { probabilities, rationale: 'R' });
  await post('/v1/outlooks', outlookBody({ slug: 'early-case' }));
  const reason = 'The fund was wound up.';
  await post('/v1/outlooks/early-case/resolution', { outcome: 'bear', reason });
  await post('/v1/webhooks', { url: 'https://hooks.desk.example/ledger' });
  await post('/v1/keys', { name: 'A feed', role: 'feed' });
}

test('a ledger of the release before belongs to one desk, reads as before, and is verified', async () => {
  const dist = releaseAt(RELEASE_BEFORE);
  if (dist === null) {
    console.warn(`skipped: the history has no commit ${RELEASE_BEFORE}`);
    return;
  }
  const old = await start(dist);
  const key = await issueOld();
  await fill(old.origin, key);
  const before = await readAll(old.origin, key);

  const newer = await start();
  expect(await readAll(newer.origin, key)).toMatchObject(before);
  expect(await ask(newer.origin, key, 'GET', '/v1/desks')).toMatchObject({
    items: [{ slug: 'main', name: 'Main desk' }],
  });
  // The new release can be taken back: the one before starts on what it migrated.
  const again = await start(dist);
  expect(await readAll(again.origin, key)).toMatchObject(before);
  const one = await ask(newer.origin, key, 'GET', '/v1/outlooks/early-case');
  expect(one).toMatchObject({ desk: { slug: 'main' }, visibility: 'public' });

  const streams = await Promise.all(
    [old, newer].map(({ origin }) =>
      new EventClient(`${origin}/v1/events`, {
        headers: { authorization: `Bearer ${key}` },
      }).connect(),
    ),
  );
  const due: string[] = [];
  for (let count = 0; count < 10; count += 1) {
    for (const [index, { origin }] of [old, newer].entries()) {
      const slug = `case-${count}-${index}`;
      await ask(origin, key, 'POST', '/v1/outlooks', outlookBody({ slug }));
      await ask(origin, key, 'POST', `/v1/outlooks/${slug}/revisions`, distinctRevision(count + 2));
      const series = { key: slug, name: 'N', unit: 'u', frequency: 'daily', source: 'S' };
      await ask(origin, key, 'POST', '/v1/series', series);
      await ask(origin, key, 'POST', '/v1/keys', { name: `Desk ${slug}`, role: 'analyst' });
      due.push(`${slug} 1`, `${slug} 2`);
    }
  }
  const versionsIn = (client: EventClient) =>
    client.events
      .filter(({ event }) => ['outlook.created', 'outlook.version.published'].includes(event))
      .map(({ data }) => data as { slug: string; version: number })
      .map(({ slug, version }) => `${slug} ${version}`);
  const deadline = Date.now() + 15_000;
  while (streams.some((one) => versionsIn(one).length < due.length) && Date.now() < deadline)
    await delay(50);
  for (const stream of streams) {
    expect(versionsIn(stream)).toEqual(due);
    await stream.leave();
  }
  const { rows } = await pool.query(
    `select count(*) filter (where coalesce(desk_id, 1) <> 1 or internal_to is not null) as others, count(*) as n
       from (select desk_id, internal_to from outlooks union all select desk_id, internal_to from series) o`,
  );
  expect(rows).toMatchObject([{ others: 0 }]);
  old.kill('SIGTERM');
  await old.ended;
  newer.kill('SIGTERM');
  await newer.ended;
  await expectIntact();
}, 300_000);

async function expectIntact(): Promise<void> {
  const session = await pool.connect();
  try {
    await session.query(BEGIN_SNAPSHOT);
    expect((await verifyLog(session, null)).sentences).toEqual([]);
  } finally {
    await session.query('rollback');
    session.release();
  }
  expect((await verifyLedger(pool)).faults).toEqual([]);
}

/** Stores an admin's key as the release before does. */
async function issueOld(): Promise<string> {
  const key = keyText(randomBytes(KEY_BYTES));
  await pool.query(
    `with analyst as (insert into analysts (name, created_at) values ('A desk', now()) returning id)
     insert into api_keys (analyst_id, role, hash, hint, created_at) select id, 'admin', $1, $2, now() from analyst`,
    [keyHash(key), key.slice(0, 8)],
  );
  return key;
}
