import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { EventClient } from '../support/event-client.ts';
import { exchange, SLUG } from '../support/http-client.ts';
import { cleanUp, type Service, startService } from '../support/service.ts';

const WRITERS = 20;
const REVISIONS = 2_000;
const SLUGS = [SLUG, 'one', 'two', 'three', 'four'];
/** Of the news that comes with the sample. */
const OTHER_EVENTS = 1;
const ALL = '/v1/events';
const ONE = '/v1/outlooks/two/events';

let pool: pg.Pool;
let services: Service[];
let key: string;
beforeAll(async () => {
  const url = await createDatabase({ empty: true });
  // How much work a request is depends on the machine.
  const unlimited = { WORK_PER_KEY: '0', WORK_PER_ADDRESS: '0' };
  const settings = { ...databaseSettings(url), LOAD_SAMPLES: 'true', ...unlimited };
  services = await Promise.all([startService(settings), startService(settings)]);
  pool = openDatabase(url, 1);
  const issued = { name: 'Desk', role: 'analyst' as const, expiresAt: null };
  ({ key } = await issueKey(pool, issued, new Date()));
  for (const slug of SLUGS.slice(1)) await post('/v1/outlooks', { ...SAMPLE_OUTLOOK, slug });
  for (const { origin } of services) {
    const client = await new EventClient(origin + ALL, { lastEventId: '0' }).connect();
    await client.received(SLUGS.length + OTHER_EVENTS);
    await client.leave();
  }
});
afterAll(async () => {
  await cleanUp();
  await pool.end();
});

/** One of the services, by turns or at random. */
const originOf = (turn = Math.floor(Math.random() * 2)) => services[turn % 2]?.origin ?? '';

async function post(path: string, body: object, turn = 0): Promise<void> {
  const headers = { authorization: `Bearer ${key}` };
  const { status, text } = await exchange('POST', originOf(turn) + path, headers, body);
  if (status !== 201) throw new Error(`${path} answered ${status}: ${text}`);
}

/** The position in an id such as `138-5f0c91ab`. */
const positionOf = (id: string) => Number(id.split('-')[0]);

type Followed = {
  client: EventClient;
  path: string;
  origins: Set<string>;
  /** How often it was cut off, and how often after it got an event since it reconnected. */
  cuts: { all: number; amidst: number };
};

/** Follows like a page that was loaded before anything is written. */
async function follow(path: string): Promise<Followed> {
  const origin = originOf();
  const client = await new EventClient(origin + path).connect();
  await expect.poll(() => positionOf(client.lastEventId)).toBe(SLUGS.length + OTHER_EVENTS);
  return { client, path, origins: new Set([origin]), cuts: { all: 0, amidst: 0 } };
}

/** Cuts a client off again and again; it reconnects to either service. */
async function disturb({ client, path, origins, cuts }: Followed, isOver: () => boolean) {
  let before = 0;
  while (!isOver()) {
    await delay(Math.random() * 150);
    await client.leave();
    cuts.all += 1;
    if (client.events.length > before) cuts.amidst += 1;
    before = client.events.length;
    const origin = originOf();
    origins.add(origin);
    await client.connect(origin + path);
  }
}

async function writeAll(): Promise<void> {
  const turns = REVISIONS / WRITERS;
  const write = async (_: unknown, writer: number) => {
    for (let turn = 0; turn < turns; turn += 1) {
      const slug = SLUGS[(writer + turn) % SLUGS.length] ?? '';
      const revision = distinctRevision(writer * turns + turn);
      await post(`/v1/outlooks/${slug}/revisions`, revision, writer + turn);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
}

test('clients that are cut off at random miss nothing and get nothing twice', async () => {
  const followed = await Promise.all([ALL, ALL, ONE, ONE].map(follow));
  let isOver = false;
  const disturbances = followed.map((one) => disturb(one, () => isOver));
  try {
    await writeAll();
  } finally {
    isOver = true;
    await Promise.all(disturbances);
  }

  const { rows } = await pool.query<{ position: number; slug: string; version: number }>(
    `select e.position, o.slug, e.version
       from events e join outlooks o on o.id = e.outlook_id order by e.position`,
  );
  expect(rows).toHaveLength(SLUGS.length + OTHER_EVENTS + REVISIONS);
  for (const { client, path, origins, cuts } of followed) {
    const due = rows
      .slice(SLUGS.length + OTHER_EVENTS)
      .filter(({ slug }) => path === ALL || path === `/v1/outlooks/${slug}/events`);
    const received = (await client.received(due.length)).map(({ id, data }) => {
      const { slug, version } = data as { slug: string; version: number };
      return { position: positionOf(id), slug, version };
    });
    expect(received).toEqual(due);
    for (const slug of SLUGS) {
      const versions = received
        .filter((event) => event.slug === slug)
        .map(({ version }) => version);
      expect(versions).toEqual(versions.map((_, index) => index + 2));
    }
    // Else nothing was disturbed, and the test has shown nothing.
    expect(cuts.all).toBeGreaterThan(10);
    expect(cuts.amidst).toBeGreaterThan(5);
    expect(origins.size).toBe(2);
  }
});

test('a stop ends streams in order', async () => {
  const clients = await Promise.all(
    services.map(({ origin }) => new EventClient(origin + ALL).connect()),
  );
  for (const { kill } of services) kill('SIGTERM');
  for (const { ended } of services) expect(await ended).toEqual({ code: 0, signal: null });
  for (const client of clients) expect(await client.end).toBe('ended');
});
