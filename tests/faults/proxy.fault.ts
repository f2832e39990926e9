import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { cleanUp, isAlive, run, type Service, startService } from '../support/service.ts';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { Proxy, type Weather } from '../support/proxy.ts';
import { keepWriting, publish, type Target, versionsOf } from '../support/writers.ts';

const SLUGS = ['one', 'two', 'three'];
const POOL = 5;
/** Longer than the limits for a connection and a statement together, in milliseconds. */
const LONGEST = 27_000;

let url = '';
let pool: pg.Pool;
let proxy: Proxy;
let service: Service;
let target: Target;
beforeAll(async () => {
  url = await createDatabase({ empty: true });
  proxy = new Proxy(url);
  service = await startService({
    DATABASE_URL: serviceUrl(await proxy.listen()),
    DATABASE_MIGRATION_URL: url,
    DATABASE_POOL_MAX: String(POOL),
    LOAD_SAMPLES: 'true',
    LOG_LEVEL: 'fatal',
  });
  pool = openDatabase(url, 2);
  const issued = await issueKey(pool, { name: 'Desk', role: 'admin', expiresAt: null }, new Date());
  target = { origin: service.origin, key: issued.key };
});
afterAll(async () => {
  await cleanUp();
  await pool.end();
  await proxy.close();
});

type Reading = { statuses: Map<number, number>; longest: number; stale: number; faults: string[] };

/** Reads the outlooks and reports faulty responses. */
async function keepReading(isOver: () => boolean): Promise<Reading> {
  const reading: Reading = { statuses: new Map(), longest: 0, stale: 0, faults: [] };
  const newest = new Map<string, number>();
  for (let turn = 0; !isOver(); turn += 1) {
    const slug = SLUGS[turn % SLUGS.length] ?? '';
    const began = performance.now();
    // Half of them have an `asOf` of their own, and so query the database.
    const query = turn % 2 === 0 ? '' : `?asOf=${new Date().toISOString()}`;
    const response = await fetch(`${target.origin}/v1/outlooks/${slug}${query}`);
    const text = await response.text();
    reading.longest = Math.max(reading.longest, performance.now() - began);
    reading.statuses.set(response.status, (reading.statuses.get(response.status) ?? 0) + 1);
    if (response.status === 200) {
      const answer = JSON.parse(text) as { slug: string; version: number; probabilities: object };
      const sum = Object.values(answer.probabilities).reduce((a: number, b: number) => a + b, 0);
      if (answer.slug !== slug || Math.abs(Number(sum) - 1) > 1e-9) reading.faults.push(text);
      const age = response.headers.get('age');
      if (age !== null) {
        reading.stale += 1;
        continue; // it is marked as stale
      }
      if (answer.version < (newest.get(slug) ?? 0)) reading.faults.push(`${slug} went back`);
      newest.set(slug, answer.version);
    } else if (
      ![429, 503].includes(response.status) ||
      response.headers.get('retry-after') === null
    ) {
      reading.faults.push(text);
    }
    await delay(5);
  }
  return reading;
}

const WEATHER: [weather: Weather, seconds: number][] = [
  ['calm', 2],
  ['cutting', 10],
  ['calm', 3],
  ['refusing', 8],
  ['slow', 10],
  ['frozen', 12],
  ['cutting', 5],
];

test('a way to the database that drops, delays and halves what passes breaks nothing', async () => {
  for (const slug of SLUGS) await publish(target, slug);
  let isOver = false;
  const over = () => isOver;
  const writers = Array.from({ length: 8 }, () => keepWriting(target, SLUGS, over));
  const readers = Array.from({ length: 8 }, () => keepReading(over));
  const work = Promise.all([Promise.all(writers), Promise.all(readers)]);
  work.catch(() => (isOver = true));
  for (const [weather, seconds] of WEATHER) {
    proxy.weather = weather;
    if (weather === 'refusing') proxy.cut();
    await delay(seconds * 1000);
  }
  proxy.weather = 'calm';
  proxy.cut();
  const healed = performance.now();
  const isReady = async () => {
    const response = await fetch(`${target.origin}/readyz`);
    return ((await response.json()) as { changeFeed?: string }).changeFeed === 'current';
  };
  while (!(await isReady())) await delay(50);
  const healing = performance.now() - healed;
  await delay(2_000);
  isOver = true;
  const [written, read] = await work;

  const acknowledged = written.flatMap((one) => one.acknowledged);
  const statuses = new Map<number, number>();
  for (const one of read) {
    for (const [status, count] of one.statuses) {
      statuses.set(status, (statuses.get(status) ?? 0) + count);
    }
  }
  const stale = read.reduce((total, one) => total + one.stale, 0);
  const longest = Math.max(...read.map((one) => one.longest));
  process.stdout.write(
    `${acknowledged.length} revisions acknowledged; reads by status ${JSON.stringify([...statuses])}, ${stale} of them stale, ` +
      `the longest ${Math.round(longest)} ms; healed within ${Math.round(healing)} ms\n`,
  );
  expect(read.flatMap((one) => one.faults)).toEqual([]);
  expect(longest).toBeLessThan(LONGEST);
  expect(healing).toBeLessThan(30_000);
  expect(acknowledged.length).toBeGreaterThan(100);
  expect(isAlive(service.pid)).toBe(true);
  // The pool, and the connection that listens.
  await delay(1_000);
  expect(proxy.open).toBeLessThanOrEqual(POOL + 1);
  for (const slug of SLUGS) {
    const rationales = (await versionsOf(target, slug))
      .slice(0, -1)
      .map(({ rationale }) => rationale);
    expect(new Set(rationales).size).toBe(rationales.length);
    const ours = acknowledged.filter((one) => one.slug === slug).map(({ id }) => id);
    expect(new Set(rationales)).toEqual(new Set(ours));
  }
  const verify = run('commands/verify.js', [], { DATABASE_URL: serviceUrl(url) });
  expect([(await verify.ended).code, verify.stderr()]).toEqual([0, '']);
});
