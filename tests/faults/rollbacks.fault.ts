import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { loadSamples } from '../../src/first-start.ts';
import { eventIdOf } from '../../src/domain/events.ts';
import { verifyLedger } from '../../src/ledger/verification.ts';
import { ChangeFeed } from '../../src/postgres/change-feed.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { newestPlace, readEvents } from '../../src/postgres/outbox.ts';
import { connect } from '../../src/postgres/pool.ts';
import { type Outlook, recomputedHashes } from '../support/chain.ts';
import { exchange } from '../support/http-client.ts';
import { Receiver } from '../support/receiver.ts';
import { oneOf, random, SEED } from '../support/seeded.ts';
import { until } from '../support/service.ts';
import { StreamFollower } from '../support/stream-follower.ts';
import { SwappedPostgres } from '../support/swapped-postgres.ts';
import { publish } from '../support/writers.ts';

// The ledger of two running instances goes back to an earlier copy, again and again, under readers, writers, streams and
// a webhook. Set ROLLBACKS to another number, and SEED to repeat a run's choices.

const ROLLBACKS = Number(process.env['ROLLBACKS'] ?? 100);
const SLUGS = ['one', 'two', 'three'];
const [READERS, WRITERS, STREAMS] = [4, 3, 4];
/** How many earlier copies there are to go back to. */
const COPIES = 4;
const ALL = '/v1/events';

type Instance = {
  app: FastifyInstance;
  feed: ChangeFeed;
  pool: pg.Pool;
  origin: string;
  /** When it last noticed that the ledger went back, by `performance.now()`. */
  resetAt: number;
  resets: number;
};

const postgres = new SwappedPostgres();
/** How far the instances' clock is ahead, in milliseconds: leases of lost instances end at once. */
let ahead = 0;
let instances: Instance[] = [];
let owner: pg.Pool;
let receiver: Receiver;
let key = '';
/** The position after which the webhook gets all events. */
let subscribedAt = 0;
const faults: string[] = [];
const statuses = new Map<number, number>();

beforeAll(async () => {
  await postgres.start();
  owner = connect({ connectionString: postgres.urlFor('postgres'), max: 4 }, () => {});
  const service = connect({ connectionString: postgres.urlFor('service'), max: 1 }, () => {});
  await migrateToLatest(owner, service);
  await service.end();
  await loadSamples(owner, new Date());
  const issued = { name: 'Desk', role: 'admin' as const, expiresAt: null };
  ({ key } = await issueKey(owner, issued, new Date()));
  instances = await Promise.all([startInstance(), startInstance()]);
  receiver = await new Receiver().open();
  const [{ origin }] = instances as [Instance];
  for (const slug of SLUGS) await publish({ origin, key }, slug);
  const webhook = await send('POST', `${origin}/v1/webhooks`, { url: receiver.url });
  if (webhook.status !== 201) throw new Error(webhook.text);
  const { rows } = await owner.query<{ position: number }>('select position from webhooks');
  subscribedAt = rows[0]?.position ?? 0;
}, 120_000);
afterAll(async () => {
  for (const { app, feed, pool } of instances) {
    await app.close();
    await feed.close();
    await pool.end();
  }
  await owner.end();
  await receiver.kill();
  await postgres.remove();
});

async function startInstance(): Promise<Instance> {
  const pool = connect({ connectionString: postgres.urlFor('service'), max: 8 }, () => {});
  const feed = new ChangeFeed(pool, () => {});
  const instance = { feed, pool, resetAt: 0, resets: 0 };
  const settings = {
    WEBHOOK_PRIVATE_ADDRESSES: 'true',
    STREAMS_PER_ADDRESS: '100',
    RATE_LIMIT_PER_ADDRESS: '0',
    RATE_LIMIT_PER_KEY: '0',
    WORK_PER_ADDRESS: '0',
    WORK_PER_KEY: '0',
  };
  await feed.start();
  const app = await buildApp({
    config: readConfig(settings),
    pool,
    feed,
    now: () => new Date(Date.now() + ahead),
    logger: pino({ level: 'silent' }),
  });
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  const running = Object.assign(instance, { app, origin });
  feed.follow({
    onReset: () => {
      running.resetAt = performance.now();
      running.resets += 1;
    },
  });
  return running;
}

async function send(method: 'POST' | 'PATCH', url: string, body: object) {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const response = await fetch(url, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': type,
      'idempotency-key': `"${randomUUID()}"`,
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

const fault = (text: string) => void faults.push(text.slice(0, 500));
const count = (status: number) => void statuses.set(status, (statuses.get(status) ?? 0) + 1);

/** A version that must be in the ledger if it was asked for, `since`, after a rollback. */
type Seen = { since: number; slug: string; version: number; hash: string };
let seen: Seen[] = [];

/** Checks what must hold of any response at any time: its hashes are those of its content. */
function checkWhole(outlook: Outlook, url: string): void {
  const { hash, frameworkHash } = recomputedHashes(outlook);
  if (hash !== outlook.hash || frameworkHash !== outlook.frameworkHash) {
    fault(`${url} mixes versions: ${outlook.title} ${outlook.version}`);
  }
}

async function keepReading(isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const { origin, resetAt } = oneOf(instances);
    const slug = oneOf(SLUGS);
    const path = oneOf([
      `/v1/outlooks/${slug}`,
      `/v1/outlooks/${slug}`,
      `/v1/outlooks/${slug}/versions/${1 + random(30)}`,
      `/v1/batch/outlooks?slugs=${SLUGS.join(',')}`,
    ]);
    const began = performance.now();
    const { status, text, headers } = await exchange('GET', origin + path, {});
    count(status);
    if (status === 200) {
      const body = JSON.parse(text) as Outlook & { items?: Outlook[] };
      // A stale response may be of before the rollback until the instance knows of it.
      const since = headers['age'] === undefined ? began : resetAt;
      for (const outlook of body.items ?? [body]) {
        checkWhole(outlook, path);
        const { hash, version } = outlook;
        seen.push({ since, slug: outlook.slug, version, hash });
      }
    } else if (![404, 503].includes(status)) fault(`${path} answered ${status}: ${text}`);
    await delay(random(6));
  }
}

async function keepWriting(isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const { origin } = oneOf(instances);
    const slug = oneOf(SLUGS);
    const began = performance.now();
    const bear = random(5_000) / 10_000;
    const base = Math.round(7_500 - bear * 10_000) / 10_000;
    const probabilities = { bear, base, bull: 0.25 };
    const write = oneOf(['revise', 'revise', 'reword', 'evidence']);
    const path = `/v1/outlooks/${slug}`;
    const { status, text } =
      write === 'revise'
        ? await send('POST', `${origin}${path}/revisions`, { probabilities, rationale: 'R' })
        : write === 'reword'
          ? await send('PATCH', `${origin}${path}/framework`, {
              title: `Title ${random(1_000_000)}`,
              rationale: 'R',
            })
          : await send('POST', `${origin}${path}/evidence`, {
              headline: `Headline ${random(1_000_000)}`,
              summary: 'S',
              publisher: 'P',
              publishedAt: '2026-01-02T12:00:00Z',
            });
    count(status);
    if (status === 201 && write !== 'evidence') {
      const outlook = JSON.parse(text) as Outlook;
      checkWhole(outlook, `${write} ${slug}`);
      const { version, hash } = outlook;
      seen.push({ since: began, slug, version, hash });
    } else if (![201, 409, 412, 422, 503].includes(status)) {
      fault(`${write} answered ${status}: ${text}`);
    }
    await delay(random(15));
  }
}

/** The ids of all events in order, and all versions as `slug version hash`. */
async function readLedger(): Promise<{ ids: string[]; versions: Set<string> }> {
  await newestPlace(owner);
  const events = await readEvents(owner, { from: 1, limit: 1_000_000, slug: null });
  const { rows } = await owner.query<{ slug: string; version: number; hash: string }>(
    `select o.slug, v.version, 'sha256:' || encode(v.hash, 'hex') as hash
       from outlook_versions v join outlooks o on o.id = v.outlook_id`,
  );
  const versions = new Set(rows.map(({ slug, version, hash }) => `${slug} ${version} ${hash}`));
  return { ids: events.map(eventIdOf), versions };
}

const gaps: number[] = [];

/** Lets everyone work on the ledger for a while, and then compares what they got with it. */
async function runEpoch(followers: readonly StreamFollower[], startedAt: number): Promise<void> {
  let isOver = false;
  const over = () => isOver;
  const work = Promise.all([
    ...Array.from({ length: READERS }, () => keepReading(over)),
    ...Array.from({ length: WRITERS }, () => keepWriting(over)),
  ]);
  await until(() => instances.every(({ feed }) => feed.isCurrent));
  gaps.push(performance.now() - startedAt);
  await delay(150 + random(500));
  isOver = true;
  await work;
  const { ids, versions } = await readLedger();
  const newest = ids.at(-1);
  await until(() => followers.every(({ client }) => client.lastEventId === newest));
  for (const follower of followers) faults.push(...follower.faultsIn(ids));
  for (const { since, slug, version, hash } of seen) {
    if (since > startedAt && !versions.has(`${slug} ${version} ${hash}`)) {
      fault(`version ${version} of ${slug} was served and is not in the ledger`);
    }
  }
  const { faults: found } = await verifyLedger(owner);
  for (const { slug, version, fault: text } of found) fault(`${slug} ${version} ${text}`);
}

test(`${ROLLBACKS} rollbacks of a running ledger mix nothing up, and everyone is told`, async () => {
  process.stdout.write(`SEED=${SEED}\n`);
  const anyStream = () => oneOf(instances).origin + ALL;
  const followers = Array.from({ length: STREAMS }, () => new StreamFollower(anyStream).start());
  const copies: string[] = [];
  let lost = 0;
  await runEpoch(followers, performance.now());
  for (let turn = 0; turn < ROLLBACKS; turn += 1) {
    // Amid writes, so that some are open.
    let isOver = false;
    const work = Promise.all([
      ...Array.from({ length: WRITERS }, () => keepWriting(() => isOver)),
      ...Array.from({ length: READERS }, () => keepReading(() => isOver)),
    ]);
    await delay(50 + random(250));
    await postgres.kill();
    if (copies.length === 0 || random(2) === 0) copies.push(postgres.copy());
    if (copies.length > COPIES) postgres.drop(copies.splice(1, 1)[0] ?? '');
    const chosen = random(copies.length);
    postgres.goBackTo(copies[chosen] ?? '');
    for (const later of copies.splice(chosen + 1)) postgres.drop(later);
    for (const follower of followers) follower.mark();
    await postgres.start();
    const startedAt = performance.now();
    isOver = true;
    await work;
    seen = [];
    const resets = instances.map((instance) => instance.resets);
    await runEpoch(followers, startedAt);
    lost += instances.filter((instance, index) => instance.resets > (resets[index] ?? 0)).length;
    expect(faults).toEqual([]);
  }
  await expectDelivered();
  await Promise.all(followers.map((follower) => follower.stop()));
  const told = followers.flatMap(({ client }) =>
    client.events.filter(({ event }) => event === 'stream.reset'),
  ).length;
  gaps.sort((a, b) => a - b);
  process.stdout.write(
    `${ROLLBACKS} rollbacks; resets noticed ${instances.map(({ resets }) => resets).join(' and ')} times, ` +
      `${told} told to ${STREAMS} clients; both instances current after ${Math.round(gaps[gaps.length >> 1] ?? 0)} ms ` +
      `(most ${Math.round(gaps.at(-1) ?? 0)} ms); responses by status ${JSON.stringify([...statuses])}; ` +
      `${receiver.accepted.length} deliveries\n`,
  );
  expect(lost).toBeGreaterThan(ROLLBACKS / 3); // otherwise the test has shown nothing
});

/** Waits until every event since the webhook's creation was delivered. */
async function expectDelivered(): Promise<void> {
  ahead = 120_000; // the leases of attempts that a kill ended
  const rest = async () => {
    const { rows } = await owner.query<{ rest: number }>(
      `select (select count(*) from webhook_deliveries where delivered_at is null)
            + (select max(e.position) - min(w.position) from events e, webhooks w) as rest`,
    );
    return rows[0]?.rest;
  };
  await until(async () => (ahead += 5_000) > 0 && (await rest()) === 0);
  const { rows } = await owner.query<{ text: string }>(
    `select e.kind || ' ' || o.slug || ' ' || e.version || ' ' || extract(epoch from e.recorded_at) * 1000 as text
       from events e join outlooks o on o.id = e.outlook_id
      where e.position > $1`,
    [subscribedAt],
  );
  const delivered = new Set(
    receiver.accepted.map(
      ({ payload: { type, timestamp, data } }) =>
        `${type} ${data.slug} ${data.version} ${Date.parse(timestamp)}`,
    ),
  );
  const missing = rows
    .map(({ text }) => text.replace(/\.0+$/, ''))
    .filter((text) => !delivered.has(text));
  expect(missing).toEqual([]);
  expect(rows.length).toBeGreaterThan(SLUGS.length);
}
