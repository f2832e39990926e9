import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { expect } from 'vitest';
import { percentiles } from '../../bench/figures.ts';
import { issueKey } from '../../src/access/api-keys.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { createDatabase, databaseSettings, openDatabase } from './database.ts';
import { SLUG } from './http-client.ts';
import { type Service, type Settings, startService } from './service.ts';

/** A built service that is to be attacked, on a database of its own with the sample in it. */
export type Target = {
  service: Service;
  port: number;
  /** An admin's. */
  key: string;
  /** Its database, for what an attack needs there. */
  pool: pg.Pool;
};

/** Attacks the service at a port of 127.0.0.1; resolves, with what ends the attack, once it is under way. */
export type Attack = (port: number) => Promise<() => Promise<void>>;

/** Latencies in milliseconds; `failed` counts requests that were refused, broke off or got no answer in time. */
export type Latency = { count: number; failed: number; p50: number; p99: number };
type Load = { reads: Latency; writes: Latency };

export type Harm = {
  without: Load;
  during: Load;
  /** By how many bytes the memory of the service rose at most above what it was without the attack. */
  memory: number;
  /** After how many milliseconds requests were as quick as before, once the attack was over. */
  recovery: number;
};

/** Linux answers all of 127.0.0.0/8, so that victims and attackers have addresses of their own. */
export const VICTIM = '127.0.0.2';
export const ATTACKER = '127.0.0.3';

const MEGABYTE = 1_048_576;
const READERS = 8;
const WRITERS = 4;
/** How often each of them sends, in milliseconds. */
const READ_EVERY = 20;
const WRITE_EVERY = 80;
/** When a request counts as failed, in milliseconds. */
const ANSWER_WITHIN = 10_000;

const agent = new Agent({ keepAlive: true, localAddress: VICTIM });

/** Starts a service for {@link measureHarm}. The caller ends it with `cleanUp` and `target.pool.end()`. */
export async function startTarget(settings: Settings = {}): Promise<Target> {
  const url = await createDatabase({ empty: true });
  const service = await startService({
    ...databaseSettings(url),
    LOAD_SAMPLES: 'true',
    LOG_LEVEL: 'warn',
    ...settings,
  });
  const pool = openDatabase(url, 2);
  const request = { name: 'Victim', role: 'admin', expiresAt: null } as const;
  const { key } = await inTransaction(pool, (session) => issueKey(session, request, new Date()));
  const target = { service, port: Number(new URL(service.origin).port), key, pool };
  for (let writer = 0; writer < WRITERS; writer += 1) {
    const { status } = await send(target, 'POST', '/v1/outlooks', outlookOf(writer));
    expect(status).toBe(201);
  }
  return target;
}

/** An attack by a script in `tests/faults/attackers`, as a process of its own: it gets the port and these arguments. */
export function byScript(name: string, ...args: string[]): Attack {
  const file = fileURLToPath(new URL(`../faults/attackers/${name}`, import.meta.url));
  return async (port) => {
    const child = fork(file, [String(port), ...args], { execArgv: [] });
    const ended = once(child, 'exit');
    await Promise.race([once(child, 'message'), ended]); // it sends a message once it attacks
    if (child.exitCode !== null) throw new Error(`${name} ended by itself`);
    return async () => {
      child.kill('SIGKILL');
      await ended;
    };
  };
}

/**
 * Measures what others notice of an attack: cached reads and revisions from another address, without it, during it, and
 * after it.
 * @param seconds the length of each measurement
 */
export async function measureHarm(target: Target, attack: Attack, seconds = 8): Promise<Harm> {
  await loadFor(target, 2); // compiles the code
  const without = await loadFor(target, seconds);
  const before = memoryOf(target.service.pid);
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, memoryOf(target.service.pid))), 50);
  const stop = await attack(target.port);
  await delay(500);
  const during = await loadFor(target, seconds);
  await stop();
  const recovery = await untilNormal(target, without);
  clearInterval(watch);
  return { without, during, memory: peak - before, recovery };
}

/**
 * Prints the figures, and compares them with what one attacker may do to others.
 * @returns the bounds that were exceeded
 */
export function excessesOf(
  name: string,
  { without, during, memory, recovery }: Harm,
  {
    cacheMaxBytes = 64 * MEGABYTE,
    times: most = 5,
  }: { cacheMaxBytes?: number; times?: number } = {},
): string[] {
  const kinds = (['reads', 'writes'] as const).map((kind) => {
    const [quiet, loud] = [without[kind], during[kind]];
    const times = loud.p99 / quiet.p99;
    const figures =
      `${kind} p50 ${quiet.p50.toFixed(1)} → ${loud.p50.toFixed(1)} ms, ` +
      `p99 ${quiet.p99.toFixed(1)} → ${loud.p99.toFixed(1)} ms (${times.toFixed(1)} ×), ` +
      `${loud.failed} of ${loud.count} failed`;
    return { figures, isTooMuch: times > most || loud.failed > 0 };
  });
  const all = [
    ...kinds,
    {
      figures: `memory +${Math.round(memory / MEGABYTE)} MiB`,
      isTooMuch: memory > cacheMaxBytes + 150 * MEGABYTE,
    },
    { figures: `normal ${Math.round(recovery)} ms after`, isTooMuch: recovery > 5_000 },
  ];
  process.stdout.write(`${name}: ${all.map(({ figures }) => figures).join('; ')}\n`);
  return all.filter(({ isTooMuch }) => isTooMuch).map(({ figures }) => figures);
}

/** The memory of a process, in bytes; only on Linux. */
export function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

/** Reads and writes for some seconds. */
async function loadFor(target: Target, seconds: number): Promise<Load> {
  const end = performance.now() + 1_000 * seconds;
  const readers = Array.from({ length: READERS }, () =>
    repeat(end, READ_EVERY, () => send(target, 'GET', `/v1/outlooks/${SLUG}`)),
  );
  const writers = Array.from({ length: WRITERS }, (_, writer) =>
    repeat(end, WRITE_EVERY, () => revise(target, writer)),
  );
  const [reads, writes] = await Promise.all([Promise.all(readers), Promise.all(writers)]);
  return { reads: latencyOf(reads.flat()), writes: latencyOf(writes.flat()) };
}

type Sent = { status: number; took: number };

async function repeat(end: number, every: number, once: () => Promise<Sent>): Promise<Sent[]> {
  const all: Sent[] = [];
  for (let at = performance.now() + Math.random() * every; at < end; at += every) {
    await delay(at - performance.now());
    all.push(await once());
    at = Math.max(at, performance.now() - every); // one after another
  }
  return all;
}

function latencyOf(all: readonly Sent[]): Latency {
  const failed = all.filter(({ status }) => status < 200 || status > 299).length;
  return { count: all.length, failed, ...percentiles(all.map(({ took }) => took)) };
}

function send(
  { port, key }: Target,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<Sent> {
  const began = performance.now();
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  return new Promise((resolve) => {
    const done = (status: number) => resolve({ status, took: performance.now() - began });
    const signal = AbortSignal.timeout(ANSWER_WITHIN);
    const options = { host: '127.0.0.1', port, path, method, agent, signal };
    const sending = request({ ...options, ...(body && { headers }) }, (response) => {
      response.resume().once('end', () => done(response.statusCode ?? 0));
      response.once('error', () => done(0));
    });
    sending.once('error', () => done(0)).end(body && JSON.stringify(body));
  });
}

function outlookOf(writer: number): object {
  return { ...SAMPLE_OUTLOOK, slug: `victim-${writer}` };
}

let revisions = 0;
/** A revision that differs from the one before; each writer has an outlook of its own. */
function revise(target: Target, writer: number): Promise<Sent> {
  revisions += 1;
  const bear = (1_000 + (revisions % 5_000)) / 10_000;
  const probabilities = { bear, base: Number((0.75 - bear).toFixed(4)), bull: 0.25 };
  const body = { probabilities, rationale: `Revision ${revisions}.` };
  return send(target, 'POST', `/v1/outlooks/victim-${writer}/revisions`, body);
}

/** Waits until reads and writes are about as quick as they were. */
async function untilNormal(target: Target, { reads, writes }: Load): Promise<number> {
  const began = performance.now();
  const areQuick = async (most: number, ask: () => Promise<Sent>) => {
    const all: Sent[] = [];
    for (let turn = 0; turn < 20; turn += 1) all.push(await ask());
    const { failed, p50 } = latencyOf(all);
    return failed === 0 && p50 <= most;
  };
  for (;;) {
    const at = performance.now() - began;
    const isNormal =
      (await areQuick(5 * reads.p50, () => send(target, 'GET', `/v1/outlooks/${SLUG}`))) &&
      (await areQuick(5 * writes.p50, () => revise(target, 0)));
    if (isNormal || at > 60_000) return at;
  }
}
