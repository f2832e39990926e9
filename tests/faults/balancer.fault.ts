import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { type Balancer, findHaproxy, startHaproxy } from '../support/haproxy.ts';
import { cleanUp, type Service, startService } from '../support/service.ts';
import { publish } from '../support/writers.ts';

// Reads one's own writes through a balancer that sends each request to another instance.

const INSTANCES = 3;
const WRITERS = 8;
const TRIES = 10_000;
const SLUGS = Array.from({ length: WRITERS }, (_, index) => `outlook-${index}`);

const program = findHaproxy();

let pool: pg.Pool;
let services: Service[];
let balancer: Balancer;
let key: string;
beforeAll(async () => {
  if (program === null) return;
  const url = await createDatabase();
  const settings = {
    ...databaseSettings(url),
    TRUSTED_PROXIES: 'loopback',
    RATE_LIMIT_PER_ADDRESS: '0',
    RATE_LIMIT_PER_KEY: '0',
    WORK_PER_ADDRESS: '0',
    WORK_PER_KEY: '0',
    LOAD_SAMPLES: 'true',
    LOG_LEVEL: 'error',
  };
  services = await Promise.all(Array.from({ length: INSTANCES }, () => startService(settings)));
  balancer = await startHaproxy(
    program,
    services.map(({ origin }) => origin),
  );
  pool = openDatabase(url, 1);
  const desk = { name: 'Desk', role: 'analyst' as const, expiresAt: null };
  ({ key } = await issueKey(pool, desk, new Date()));
  for (const slug of SLUGS) await publish({ origin: balancer.origin, key }, slug);
});
afterAll(async () => {
  await balancer?.stop();
  await cleanUp();
  await pool?.end();
});

type Tally = { tries: number; behind: number; broken: string[] };

/** Revises an outlook, and reads it back at once: first without, then with `minVersion`. */
async function keepTrying(slug: string, tally: Tally): Promise<void> {
  const url = `${balancer.origin}/v1/outlooks/${slug}`;
  for (let turn = 0; tally.tries < TRIES; turn += 1) {
    tally.tries += 1;
    const bear = 0.2 + (turn % 1_000) / 10_000;
    const probabilities = { bear, base: Number((0.75 - bear).toFixed(4)), bull: 0.25 };
    const written = await fetch(`${url}/revisions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ probabilities, rationale: `Turn ${turn}` }),
    });
    const { version, hash } = (await written.json()) as { version: number; hash: string };
    expect(written.status).toBe(201);
    const [plain, own] = await Promise.all([
      fetch(url).then((response) => response.json() as Promise<{ version: number }>),
      fetch(`${url}?minVersion=${version}`),
    ]);
    if (plain.version < version) tally.behind += 1;
    const read = (await own.json()) as { version: number; hash: string };
    // Only this writer revises the outlook.
    if (own.status !== 200 || read.version !== version || read.hash !== hash) {
      tally.broken.push(`${slug}@${version}: ${own.status} ${JSON.stringify(read).slice(0, 200)}`);
    }
  }
}

test.skipIf(program === null)(
  `${TRIES} reads of one's own write with minVersion see it on any of ${INSTANCES} instances`,
  async () => {
    const tally: Tally = { tries: 0, behind: 0, broken: [] };
    await Promise.all(SLUGS.map((slug) => keepTrying(slug, tally)));
    console.log(
      `${tally.tries} writes, each read back at once: ${tally.broken.length} reads with minVersion ` +
        `and ${tally.behind} without it were behind`,
    );
    expect(tally.broken).toEqual([]);
    // Each instance had its share of the writes.
    const counts = await Promise.all(services.map(({ origin }) => writesOf(origin)));
    for (const count of counts) expect(count).toBeGreaterThan(tally.tries / INSTANCES / 2);
  },
);

async function writesOf(origin: string): Promise<number> {
  const metrics = await (await fetch(`${origin}/metrics`)).text();
  const lines = metrics
    .split('\n')
    .filter((line) => /_count\{.*method="POST".*revisions/.test(line));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
