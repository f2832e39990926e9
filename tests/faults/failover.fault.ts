import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { connect } from '../../src/postgres/pool.ts';
import {
  cutReplication,
  type Failover,
  failOver,
  KINDS,
  lastPosition,
  type Load,
  longestGap,
  storedRevisions,
  underLoad,
} from '../support/failover.ts';
import { type Cluster, CLUSTER_PROGRAMS, endClusters, startCluster } from '../support/patroni.ts';
import { missingPrograms } from '../support/programs.ts';
import { cleanUp, freePort, run, type Service, startService, until } from '../support/service.ts';
import { attempt, publish, type Target } from '../support/writers.ts';

const KILLS = 20;
const LOSSES = 5;
/** How soon every client is told of a loss after the new primary takes writes, in milliseconds. */
const TOLD_WITHIN = 1_000;
/** All clients have one address, that of the proxy. */
const UNLIMITED = { WORK_PER_ADDRESS: '0', WORK_PER_KEY: '0' };
const SLUGS = ['one', 'two', 'three', 'four', 'five'];

const isPossible = missingPrograms(CLUSTER_PROGRAMS).length === 0;

let cluster: Cluster;
let pool: pg.Pool;
let settings: Record<string, string> = {};
const services: Service[] = [];
let target: Target;
beforeAll(async () => {
  if (!isPossible) return;
  const instances = [await freePort(), await freePort()] as const;
  cluster = await startCluster({ instances });
  settings = { DATABASE_URL: cluster.serviceUrl, DATABASE_MIGRATION_URL: cluster.ownerUrl };
  for (const port of instances) {
    const own = { PORT: String(port), LOG_LEVEL: 'warn', LOAD_SAMPLES: 'true', ...UNLIMITED };
    services.push(await startService({ ...settings, ...own }));
  }
  pool = connect({ connectionString: cluster.ownerUrl, max: 2 }, () => {});
  const issued = await issueKey(pool, { name: 'Desk', role: 'admin', expiresAt: null }, new Date());
  target = { origin: cluster.origin, key: issued.key };
  for (const slug of SLUGS) await publish(target, slug);
}, 240_000);
afterAll(async () => {
  await pool?.end();
  await endClusters();
  await cleanUp();
}, 60_000);

async function verify(): Promise<void> {
  const verification = run('commands/verify.js', [], settings);
  expect([(await verification.ended).code, verification.stderr()]).toEqual([0, '']);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints what clients met, and fails if one of them got a response that it could not use. */
function report({ acknowledged, written, reads }: Load<unknown>): void {
  const retries = written.reduce((sum, one) => sum + one.retries, 0);
  const statuses: Record<number, number> = {};
  for (const [status, count] of reads.flatMap((one) => [...one.statuses])) {
    statuses[status] = (statuses[status] ?? 0) + count;
  }
  print(
    `${acknowledged.length} revisions acknowledged, ${retries} retries; ` +
      `reads by status: ${JSON.stringify(statuses)}`,
  );
  expect(reads.flatMap(({ faults }) => faults)).toEqual([]);
}

/** The positions of a stream between its resets. */
function segments(received: readonly (number | null)[]): number[][] {
  const parts: number[][] = [[]];
  for (const position of received) {
    if (position === null) parts.push([]);
    else parts.at(-1)?.push(position);
  }
  return parts;
}

const consecutive = (positions: readonly number[]) =>
  positions.map((_, index) => (positions[0] ?? 0) + index);

describe.skipIf(!isPossible)('with a synchronous standby', () => {
  test(`${KILLS} kills of the primary lose no acknowledged write`, async () => {
    const first = await lastPosition(pool);
    const load = await underLoad({ target, slugs: SLUGS, pool }, async () => {
      const failovers: (Failover & { until: number })[] = [];
      for (let kill = 0; kill < KILLS; kill += 1) {
        await cluster.standby();
        await delay(randomInt(500, 2_000));
        const failover = await failOver(cluster, KINDS[kill % KINDS.length] ?? 'postgres');
        failovers.push({ ...failover, until: performance.now() });
      }
      return failovers;
    });
    const { acknowledged, streams, last } = load;
    for (const { kind, at, promotedAt, until: to } of load.result) {
      const gap = longestGap(acknowledged, at, to + 1_000);
      print(
        `${kind} killed: new primary after ${Math.round(promotedAt - at)} ms, ` +
          `no acknowledged write for ${Math.round(gap)} ms`,
      );
    }
    report(load);

    const stored = await storedRevisions(pool, SLUGS);
    expect([...stored.values()].filter(({ count }) => count > 1)).toEqual([]);
    expect(new Set(stored.keys())).toEqual(new Set(acknowledged.map(({ id }) => id)));
    for (const { slug, version, id, hash } of acknowledged) {
      expect(stored.get(id)).toEqual({ slug, version, id, hash, count: 1 });
    }
    for (const { received } of streams) {
      // It starts after the last event that its instance knew by then.
      expect(received[0]).toBeLessThanOrEqual(first + 1);
      expect(received.at(-1)).toBe(last);
      expect(received).toEqual(consecutive(received as number[]));
    }
    await verify();
  });
});

describe.skipIf(!isPossible)('with asynchronous replication', () => {
  test(`what ${LOSSES} kills of the primary lose is told to everyone`, async () => {
    await cluster.configure({ synchronous_mode: false, maximum_lag_on_failover: 1_000_000_000 });
    const load = await underLoad({ target, slugs: SLUGS, pool }, async (streams) => {
      const losses: (Failover & { cutAt: number })[] = [];
      for (let loss = 0; loss < LOSSES; loss += 1) {
        await cluster.standby();
        await delay(randomInt(500, 2_000));
        await cutReplication(cluster);
        const cutAt = performance.now();
        const lastKept = await lastPosition(pool);
        await delay(randomInt(500, 1_500));
        // Each client has seen something that will be lost.
        await until(() => streams.every(({ received }) => (received.at(-1) ?? 0) > lastKept));
        losses.push({ ...(await failOver(cluster, 'machine')), cutAt });
        await until(() => streams.every(({ resetTimes }) => resetTimes.length > loss));
        await verify();
      }
      return losses;
    });
    report(load);
    const { acknowledged, reads, streams, result: losses } = load;
    const stored = await storedRevisions(pool, SLUGS);
    const lost = acknowledged.filter(({ id }) => !stored.has(id));
    const served = reads.flatMap((one) => [...one.served]);
    const hashes = new Set(await storedHashes());
    const seenAfter: string[] = [];
    const delays: number[] = [];
    for (const [index, { at, cutAt, promotedAt }] of losses.entries()) {
      const told = streams.map(({ resetTimes }) => (resetTimes[index] ?? Infinity) - promotedAt);
      const mine = lost.filter((one) => one.at > cutAt - 1_000 && one.at < at + 1_000);
      print(
        `${mine.length} acknowledged writes lost, new primary after ${Math.round(promotedAt - at)} ms; ` +
          `streams told ${told.map(Math.round).join(', ')} ms later`,
      );
      expect(mine.length).toBeGreaterThan(0);
      delays.push(...told);
      const toldAt = promotedAt + Math.max(...told);
      const next = losses[index + 1]?.cutAt ?? Infinity;
      for (const [hash, began] of served) {
        if (!hashes.has(hash) && began > toldAt && began < next - 1_000) seenAfter.push(hash);
      }
    }
    expect(seenAfter).toEqual([]);
    const median = delays.toSorted((a, b) => a - b)[Math.floor(delays.length / 2)] ?? 0;
    print(`told after ${Math.round(median)} ms in the median`);
    expect(Math.max(...delays)).toBeLessThan(TOLD_WITHIN);
    expect(streams.map(({ resetTimes }) => resetTimes.length)).toEqual(streams.map(() => LOSSES));
    for (const { received } of streams) {
      for (const positions of segments(received)) {
        expect(positions).toEqual(consecutive(positions));
      }
    }

    // A retry under the key of a lost write is a new write; of a stored one, it is not.
    for (const { slug, id, body } of lost) {
      expect((await attempt(target, slug, id, body))?.status).toBe(201);
    }
    const after = await storedRevisions(pool, SLUGS);
    expect(acknowledged.map(({ id }) => after.get(id)?.count ?? 0)).toEqual(
      acknowledged.map(() => 1),
    );
    await verify();
  });
});

async function storedHashes(): Promise<string[]> {
  const { rows } = await pool.query<{ hash: string }>(
    `select 'sha256:' || encode(hash, 'hex') as hash from outlook_versions`,
  );
  return rows.map(({ hash }) => hash);
}
