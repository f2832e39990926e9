import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seed } from '../../bench/seed.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { openSession } from '../support/plain-sql.ts';
import { cleanUp } from '../support/service.ts';
import {
  byScript,
  excessesOf,
  measureHarm,
  memoryOf,
  startTarget,
  type Target,
} from '../support/victims.ts';

const ATTACKER = fileURLToPath(new URL('attackers/hungry-reads.mjs', import.meta.url));
const MEBIBYTE = 2 ** 20;

/** The largest heap that the service may use, in MiB: less than its caches and what is being rendered may take together. */
const HEAP = 160;
const LARGE_OUTLOOKS = 30;
const SMALL_OUTLOOKS = 2_000;

let target: Target;
beforeAll(async () => {
  target = await startTarget({
    NODE_OPTIONS: `--max-old-space-size=${HEAP}`,
    RATE_LIMIT_PER_ADDRESS: '0',
  });
  for (let number = 1; number <= LARGE_OUTLOOKS; number += 1) await createLarge(number);
  const owner = await openSession(String(target.pool.options.connectionString));
  await seed(owner, [{ prefix: 'small', count: SMALL_OUTLOOKS, versions: 1 }], () => {});
  await owner.end();
});
afterAll(async () => {
  await cleanUp();
  await target.pool.end();
});

/** Creates an outlook of about 0.9 MB. */
async function createLarge(number: number): Promise<void> {
  const answer = 'Nobody reads as much as this. '.repeat(600);
  const faqs = Array.from({ length: 50 }, (_, index) => ({
    question: `Question ${index}?`,
    answer,
  }));
  const response = await fetch(`${target.service.origin}/v1/outlooks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${target.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...SAMPLE_OUTLOOK, slug: `large-${number}`, faqs }),
  });
  expect(response.status).toBe(201);
}

/** Sends reads of a kind as fast as they are answered, and measures by how many bytes the memory rises at most. */
async function riseWith(kind: string, count: number): Promise<number> {
  const { pid } = target.service;
  const before = memoryOf(pid);
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, memoryOf(pid))), 20);
  const child = fork(ATTACKER, [String(target.port), kind, String(count)], { execArgv: [] });
  const [code] = await once(child, 'exit');
  clearInterval(watch);
  expect(code).toBe(0);
  return peak - before;
}

test.each([
  ['unknown-slugs', 5_240],
  ['large-batches', 100],
  ['spellings', 6_000],
  ['headers', 7_000],
  ['read-once', SMALL_OUTLOOKS],
])('%s in great numbers leave the service alive, and its memory bounded', async (kind, count) => {
  const rise = await riseWith(kind, count);
  process.stdout.write(`${count} × ${kind}: memory +${Math.round(rise / MEBIBYTE)} MiB\n`);
  expect(rise).toBeLessThan((64 + 150) * MEBIBYTE);
  expect((await fetch(`${target.service.origin}/readyz`)).status).toBe(200);
});

test.each([
  ['unknown-slugs', 'batches of 100 slugs that do not exist'],
  ['many-slugs', 'batches of 100 outlooks'],
  ['large-batches', 'batches of 30 outlooks of 0.9 MB'],
  ['unread-batches', 'batches of 3.6 MB that are not read'],
  ['unread-times', 'an outlook of 0.9 MB at different times, not read'],
  ['spellings', 'URLs of 7 KB for the same chart'],
  ['headers', 'Accept headers of 14 KB'],
  ['read-once', 'outlooks, each read once'],
])('%s harm no other client, and take no more memory than is bounded', async (kind, name) => {
  const harm = await measureHarm(target, byScript('hungry-reads.mjs', kind), 5);
  expect(excessesOf(name, harm)).toEqual([]);
});
