import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seed } from '../../bench/seed.ts';
import { openSession } from '../support/plain-sql.ts';
import { cleanUp } from '../support/service.ts';
import { memoryOf, startTarget, type Target } from '../support/victims.ts';

const MEBIBYTE = 2 ** 20;
const VERSIONS = 100_000;
/** How far the memory may rise, in MiB: less than any of the bodies has. */
const MOST = 32;
const URL = '/v1/outlooks/long-1/versions?format=csv';

let target: Target;
beforeAll(async () => {
  target = await startTarget({
    // So that memory is what is held, not what nobody has collected yet. A body of 80 MiB would not fit.
    NODE_OPTIONS: '--max-old-space-size=80 --max-semi-space-size=2',
    RATE_LIMIT_PER_ADDRESS: '0',
    WORK_PER_ADDRESS: '0',
  });
  const owner = await openSession(String(target.pool.options.connectionString));
  await seed(owner, [{ prefix: 'long', count: 1, versions: VERSIONS }], () => {});
  await owner.end();
});
afterAll(async () => {
  await cleanUp();
  await target.pool.end();
});

type Measured = { lines: number; bytes: number; last: string; seconds: number; rise: number };

async function open(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const sent = get(`${target.service.origin}${url}`, { agent: false, headers });
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

/** Reads a response to its end and counts its lines, while it watches the memory of the service. */
async function measure(url: string): Promise<Measured> {
  const { pid } = target.service;
  const before = memoryOf(pid);
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, memoryOf(pid))), 50);
  const began = performance.now();
  const response = await open(url);
  let [lines, bytes, last] = [0, 0, ''];
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    for (const byte of chunk) if (byte === 10) lines += 1;
    last = chunk.subarray(-200).toString();
  }
  clearInterval(watch);
  const seconds = (performance.now() - began) / 1000;
  const rise = Math.round((peak - before) / MEBIBYTE);
  process.stdout.write(
    `${url}: ${lines} lines, ${(bytes / MEBIBYTE).toFixed(1)} MiB in ${seconds.toFixed(1)} s; memory +${rise} MiB\n`,
  );
  return { lines, bytes, last, seconds, rise };
}

test('100,000 versions as CSV leave the memory flat', async () => {
  await measure(`${URL}&limit=100`);
  const first = await measure(URL);
  expect(first.lines).toBeGreaterThanOrEqual(VERSIONS + 1);
  const second = await measure(URL);
  expect(second.lines).toBe(first.lines);
  expect(second.rise).toBeLessThan(MOST);
  const history = await measure('/v1/outlooks/long-1/probabilities?format=csv');
  expect(history.lines).toBe(VERSIONS + 1);
  expect(history.rise).toBeLessThan(MOST);
});

test('the export of the ledger leaves the memory flat, and is whole', async () => {
  const { lines, last, rise } = await measure('/v1/export');
  expect(lines).toBeGreaterThan(VERSIONS);
  expect(JSON.parse(last.trimEnd().split('\n').at(-1) ?? '')).toEqual({
    type: 'end',
    records: lines - 2,
  });
  expect(rise).toBeLessThan(MOST);
});

test('a client that stops reading holds no connection to the database', async () => {
  const responses = await Promise.all([1, 2, 3, 4].map(() => open('/v1/export')));
  for (const response of responses) response.pause();
  await expect
    .poll(
      async () => {
        const { rows } = await target.pool.query<{ open: number }>(
          `select count(*)::int as open from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
              and application_name = 'outlook-ledger' and (state <> 'idle' or backend_xmin is not null)`,
        );
        return rows[0]?.open;
      },
      { timeout: 30_000, interval: 500 },
    )
    .toBe(0);
  // Others go on.
  expect((await fetch(`${target.service.origin}/v1/outlooks/long-1`)).status).toBe(200);
  expect((await fetch(`${target.service.origin}/v1/export`)).status).toBe(429);
  for (const response of responses) response.destroy();
});

test('a connection that the database loses in the middle ends the export without its last line', async () => {
  const response = await open('/v1/export');
  let text = '';
  let isTerminated = false;
  const read = async () => {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      text = (text + chunk.toString()).slice(-1_000);
      if (isTerminated) continue;
      isTerminated = true;
      await target.pool.query('alter table outlook_versions rename to moved');
    }
  };
  try {
    await expect(read()).rejects.toThrow('aborted');
  } finally {
    await target.pool.query('alter table moved rename to outlook_versions');
  }
  expect(text).not.toContain('"type":"end"');
});
