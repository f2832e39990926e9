import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { EventClient } from '../support/event-client.ts';
import { issueOldKey, nextRelease, releaseAt } from '../support/releases.ts';
import { cleanUp, freePort, run, type Service, until } from '../support/service.ts';
import { keepWriting, publish, type Target, versionsOf } from '../support/writers.ts';

const SLUGS = ['one', 'two', 'three'];
const [READERS, WRITERS, STREAMS] = [6, 4, 3];
/** How long a 503 may last for a client that retries, in milliseconds. */
const LONGEST_REFUSAL = 1_000;
/** How long a backup holds its snapshot after the migration began to wait, in milliseconds. */
const SNAPSHOT = 4_000;
/** The last commit of the release before: that of migration 0033. */
const RELEASE_BEFORE = 'fed8a7ea';

const URLS = [
  ...SLUGS.flatMap((slug) =>
    ['', '/probabilities', '/versions', '/scores'].map((of) => slug + of),
  ).map((of) => `/v1/outlooks/${of}`),
  '/v1/outlooks?limit=20',
  '/v1/series',
];

let url = '';
let pool: pg.Pool;
/** The instances that take requests, as a load balancer knows them. */
let live: Service[] = [];
let target: Target;

beforeEach(async () => {
  url = await createDatabase({ empty: true });
  pool = openDatabase(url, 2);
  live = [];
});
afterEach(async () => {
  await cleanUp();
  await pool.end();
});

/** Starts an instance of a release, this one unless given. */
async function launch(dist?: string): Promise<Service> {
  const port = String(await freePort());
  const settings = {
    DATABASE_URL: serviceUrl(url),
    DATABASE_MIGRATION_URL: url,
    DATABASE_POOL_MAX: '5',
    LOAD_SAMPLES: 'true',
    PORT: port,
  };
  return { ...run('server.js', [], settings, dist), origin: `http://127.0.0.1:${port}` };
}

async function isReady({ origin }: Service): Promise<boolean> {
  return fetch(`${origin}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function start(dist?: string): Promise<Service> {
  const service = await launch(dist);
  await until(() => isReady(service));
  return service;
}

/** Adds an instance once it is ready, and then takes the oldest away, as a rolling deploy does. */
async function replaceOne(next: Service): Promise<void> {
  await until(() => isReady(next));
  live.push(next);
  const old = live.shift();
  await delay(200); // until the balancer sends it nothing more
  old?.kill('SIGTERM');
  expect(await old?.ended).toEqual({ code: 0, signal: null });
}

type Load = { isOver: boolean; reads: number; refused: number; longest: number; faults: string[] };

/** Sends a read to one instance after the other, as a balancer does, until one answers other than 503. */
async function read(path: string, load: Load): Promise<void> {
  let refusedSince: number | null = null;
  for (let turn = randomInt(2); !load.isOver; turn += 1) {
    const instance = live[turn % live.length];
    let response: Response;
    try {
      response = await fetch(`${instance?.origin}${path}`, { signal: AbortSignal.timeout(10_000) });
    } catch (error) {
      if ((error as Error).name === 'TimeoutError') load.faults.push(`${path}: no answer in 10 s`);
      await delay(20); // that instance is gone
      continue;
    }
    const text = await response.text();
    if (response.status !== 503) {
      if (response.status !== 200) load.faults.push(`${path}: ${response.status} ${text}`);
      if (refusedSince !== null) {
        load.longest = Math.max(load.longest, performance.now() - refusedSince);
      }
      load.reads += 1;
      return;
    }
    refusedSince ??= performance.now();
    load.refused += 1;
    const { type } = JSON.parse(text) as { type: string };
    if (type !== '/problems/unavailable') load.faults.push(`${path}: ${text}`);
    await delay(100);
  }
}

async function keepReading(load: Load): Promise<void> {
  while (!load.isOver) {
    await read(URLS[randomInt(URLS.length)] ?? '', load);
    // One that no cache answers.
    await read(`/v1/outlooks/one?asOf=${new Date().toISOString()}`, load);
    await delay(10);
  }
}

/** Reads one stream after the other, each from a live instance, until nothing more is to come. */
async function keepListening(client: EventClient, load: Load): Promise<void> {
  while (!load.isOver) {
    const instance = live[randomInt(Math.max(1, live.length))];
    try {
      await client.connect(`${instance?.origin}/v1/events`);
      await client.end;
    } catch {
      await delay(50); // that instance is gone
    }
  }
}

/** What a backup holds: a snapshot, and the lock of a reader on every table. */
async function holdSnapshot(): Promise<{ release: () => Promise<void> }> {
  const client = new pg.Client({ connectionString: url, application_name: 'pg_dump' });
  await client.connect();
  await client.query('begin isolation level repeatable read, read only');
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'drizzle')`,
  );
  for (const { name } of rows) await client.query(`lock table ${name} in access share mode`);
  return { release: () => client.end() };
}

/** Runs work under load, and checks what clients saw. */
async function underLoad(name: string, work: () => Promise<void>): Promise<void> {
  const load: Load = { isOver: false, reads: 0, refused: 0, longest: 0, faults: [] };
  const streams = Array.from({ length: STREAMS }, () => new EventClient('', { lastEventId: '0' }));
  const listening = streams.map((client) => keepListening(client, load));
  const readers = Array.from({ length: READERS }, () => keepReading(load));
  // Writers go to one instance at a time, and to the next after a failure or a refusal.
  const balanced = {
    key: target.key,
    get origin() {
      return live[randomInt(Math.max(1, live.length))]?.origin ?? '';
    },
  };
  const writers = Array.from({ length: WRITERS }, () =>
    keepWriting(balanced, SLUGS, () => load.isOver),
  );
  try {
    await delay(1_000);
    await work();
    await delay(1_000);
  } finally {
    load.isOver = true;
  }
  const written = await Promise.all(writers);
  await Promise.all(readers);
  const { rows } = await pool.query<{ last: number }>('select max(position) as last from events');
  const last = rows[0]?.last ?? 0;
  const numberOf = ({ id }: { id: string }) => Number.parseInt(id, 10);
  // Those that were between two instances connect for the rest.
  const [instance] = live;
  for (const client of streams) {
    await client.leave();
    await client.connect(`${instance?.origin}/v1/events`);
  }
  await until(() =>
    streams.every(({ events }) => events.some((event) => numberOf(event) === last)),
  );
  await Promise.all(streams.map((client) => client.leave()));
  await Promise.all(listening);

  const acknowledged = written.flatMap((one) => one.acknowledged);
  const retries = written.reduce((sum, one) => sum + one.retries, 0);
  process.stdout.write(
    `${name}: ${load.reads} reads, ${load.refused} answered 503 first, the longest for ${Math.round(load.longest)} ms; ` +
      `${acknowledged.length} revisions acknowledged after ${retries} retries; ${last} events on ${STREAMS} streams\n`,
  );
  expect(load.faults).toEqual([]);
  expect(load.longest).toBeLessThan(LONGEST_REFUSAL);
  for (const { events } of streams) {
    const ids = events.map(numberOf);
    expect(ids).toEqual(ids.map((_, index) => (ids[0] ?? 0) + index));
  }
  for (const slug of SLUGS) {
    const versions = await versionsOf({ ...target, origin: instance?.origin ?? '' }, slug);
    const rationales = versions.map(({ rationale }) => rationale).slice(0, -1);
    expect(new Set(rationales).size).toBe(rationales.length);
    for (const one of acknowledged.filter((each) => each.slug === slug)) {
      expect(versions[versions.length - one.version]?.rationale).toBe(one.id);
    }
  }
}

/** Starts two instances of a release on the empty database, and publishes what the load revises. */
async function firstInstances(dist?: string): Promise<void> {
  live = [await start(dist), await start(dist)];
  target = { origin: live[0]?.origin ?? '', key: await issueOldKey(pool, 'Desk', 'admin') };
  for (const slug of SLUGS) await publish(target, slug);
}

/** Replaces the first instance by one of another release while a backup holds its snapshot. */
async function migrateDespiteBackup(dist?: string): Promise<string> {
  const backup = await holdSnapshot();
  const next = await launch(dist);
  // A migration that needs no lock of a table does not wait.
  await until(async () => /"msg":"(waiting|building)/.test(next.stdout()) || (await isReady(next)));
  await delay(SNAPSHOT);
  await backup.release();
  await replaceOne(next);
  return next.stdout();
}

const RUNS = '-- Runs with the release of migration 0015 and later.';
const NEXT = [
  `${RUNS}\nALTER TABLE outlooks ADD COLUMN note text;--> statement-breakpoint\nALTER TABLE outlook_versions ADD COLUMN note text;`,
  `${RUNS}\n-- Runs outside a transaction.\nDROP INDEX CONCURRENTLY IF EXISTS outlooks_of_note;--> statement-breakpoint\nCREATE INDEX CONCURRENTLY outlooks_of_note ON outlooks (note);`,
];

test('this release gives way to the next, and comes back, while a backup runs', async () => {
  await firstInstances();
  const next = nextRelease(NEXT);
  await underLoad('forwards and backwards', async () => {
    const log = await migrateDespiteBackup(next);
    expect(log).toMatch(/waiting for a lock that is held by process \d+ \(pg_dump, /);
    process.stdout.write(`${waits(log)}\n`);
    await replaceOne(await launch(next));
    const { rowCount } = await pool.query(
      `select from pg_index where indisvalid and indexrelid = 'outlooks_of_note'::regclass`,
    );
    expect(rowCount).toBe(1);
    const back = await launch();
    await replaceOne(back);
    expect(back.stdout()).toContain('a newer release has migrated the database; this one works');
    await replaceOne(await launch());
  });
});

test('the release before gives way to this one while a backup runs', async (context) => {
  const before = releaseAt(RELEASE_BEFORE);
  if (before === null) {
    console.warn(`SKIPPED: the history has no commit ${RELEASE_BEFORE}, the release before`);
    context.skip();
    return;
  }
  await firstInstances(before);
  await underLoad('from the release before', async () => {
    const log = await migrateDespiteBackup();
    process.stdout.write(`${waits(log)}\n`);
    expect(log).not.toContain('"level":50');
    await replaceOne(await launch());
  });
});

/** What the migration waited for, and how often. */
function waits(log: string): string {
  const lines = log.match(/"msg":"(waiting|building)[^"]*"/g) ?? [];
  return `the migration waited ${lines.length} times, last: ${lines.at(-1) ?? 'never'}`;
}
