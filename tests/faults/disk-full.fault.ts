import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  cleanUp,
  isAlive,
  keysShown,
  newFolder,
  run,
  type Service,
  startService,
} from '../support/service.ts';
import { keepWriting, publish, type Target, versionsOf } from '../support/writers.ts';

const MEGABYTE = 1_048_576;
/** The size of the disk: the cluster, and its log during the test. */
const DISK = 400 * MEGABYTE;
const SLUGS = ['one', 'two', 'three'];
/** How long the disk stays full, in milliseconds. */
const FULL = 20_000;

let disk = '';
let settings: Record<string, string> = {};
let service: Service;
let target: Target;
beforeAll(async () => {
  disk = newFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=0755`, 'tmpfs', disk]);
  } catch (error) {
    throw new Error('this takes a user who may mount a tmpfs, such as root', { cause: error });
  }
  chmodSync(disk, 0o755);
  settings = { DATA_DIR: path.join(disk, 'data'), LOG_LEVEL: 'warn' };
  service = await startService(settings);
  const [key = ''] = keysShown(service.stdout());
  target = { origin: service.origin, key };
  for (const slug of SLUGS) await publish(target, slug);
});
afterAll(async () => {
  service.kill('SIGTERM');
  await service.ended;
  execFileSync('umount', [disk]);
  await cleanUp();
});

const ballast = () => path.join(disk, 'ballast');

/** Fills the remaining space, to the last byte. */
function fill(): void {
  const file = openSync(ballast(), 'w');
  for (let block = MEGABYTE; block >= 1;) {
    try {
      writeSync(file, Buffer.alloc(block));
    } catch {
      block = Math.floor(block / 2);
    }
  }
  closeSync(file);
}

async function statusOf(url: string, init?: RequestInit): Promise<number> {
  const response = await fetch(target.origin + url, {
    ...init,
    signal: AbortSignal.timeout(30_000),
  });
  await response.text();
  return response.status;
}

test('a full disk refuses writes and loses nothing, and room is all that it takes to go on', async () => {
  const over = new AbortController();
  const isOver = () => over.signal.aborted;
  const writing = Promise.all(Array.from({ length: 8 }, () => keepWriting(target, SLUGS, isOver)));
  writing.catch(() => over.abort());
  await delay(3_000);
  const { pid } = service;
  const write = () =>
    statusOf(`/v1/outlooks/${SLUGS[0]}/evidence`, {
      method: 'POST',
      headers: { authorization: `Bearer ${target.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        headline: 'H',
        summary: 'S'.repeat(20_000),
        publisher: 'P',
        publishedAt: '2026-11-17T13:30:00Z',
      }),
    });
  const statuses = { read: new Set<number>(), write: new Set<number>(), health: new Set<number>() };
  let isFirstRefused = 0;
  const began = performance.now();
  while (performance.now() - began < FULL) {
    fill(); // what recycling gives back, too
    statuses.write.add(await write());
    if (isFirstRefused === 0 && statuses.write.has(503)) isFirstRefused = performance.now() - began;
    statuses.read.add(await statusOf(`/v1/outlooks/${SLUGS[0]}`));
    statuses.health.add(await statusOf('/healthz'));
    await delay(100);
  }
  const refusing = await write();
  rmSync(ballast());
  const freed = performance.now();
  while ((await write()) !== 201) await delay(50);
  const healing = performance.now() - freed;
  await delay(3_000);
  over.abort();
  const written = await writing;

  const acknowledged = written.flatMap((one) => one.acknowledged);
  process.stdout.write(
    `${acknowledged.length} revisions acknowledged; full for ${FULL / 1000} s, first refusal after ` +
      `${Math.round(isFirstRefused)} ms; writes answered ${[...statuses.write].join(', ')}, reads ` +
      `${[...statuses.read].join(', ')}; healed ${Math.round(healing)} ms after there was room\n`,
  );
  expect(refusing).toBe(503);
  expect(statuses.write.has(503)).toBe(true);
  expect([...statuses.write].every((status) => status === 201 || status === 503)).toBe(true);
  expect([...statuses.read].every((status) => status === 200 || status === 503)).toBe(true);
  expect(statuses.health).toEqual(new Set([200]));
  expect(healing).toBeLessThan(30_000);
  expect([service.pid, isAlive(pid)]).toEqual([pid, true]);
  for (const slug of SLUGS) {
    const rationales = (await versionsOf(target, slug))
      .slice(0, -1)
      .map(({ rationale }) => rationale);
    expect(new Set(rationales).size).toBe(rationales.length);
    const ours = acknowledged.filter((one) => one.slug === slug).map(({ id }) => id);
    expect(new Set(rationales)).toEqual(new Set(ours));
  }
  const verify = run('commands/verify.js', [], settings);
  expect([(await verify.ended).code, verify.stderr()]).toEqual([0, '']);
  process.stdout.write(verify.stdout());
});
