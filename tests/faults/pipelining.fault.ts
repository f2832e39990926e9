import autocannon from 'autocannon';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { SLUG } from '../support/http-client.ts';
import { cleanUp, logLines } from '../support/service.ts';
import { byScript, excessesOf, measureHarm, startTarget, type Target } from '../support/victims.ts';

const CACHED = `/v1/outlooks/${SLUG}`;
/** An outlook of 0.9 MB. */
const LARGE = 'large-outlook';

let target: Target;
beforeAll(async () => {
  target = await startTarget();
  const headwinds = Array.from({ length: 50 }, (_, index) => ({
    key: `headwind-${index}`,
    rank: index + 1,
    title: 'A headwind',
    description: 'x'.repeat(18_000),
  }));
  const created = await fetch(`${target.service.origin}/v1/outlooks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${target.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...SAMPLE_OUTLOOK, slug: LARGE, headwinds }),
  });
  if (!created.ok) throw new Error(await created.text());
});
afterAll(async () => {
  await cleanUp();
  await target.pool.end();
});

const metric = async (name: string) => {
  const text = await (await fetch(`${target.service.origin}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );
};

test.each([
  ['as many cached reads as it can', 'flood', 1, [CACHED]],
  ['cached reads, 16 at a time', 'turns', 1, [CACHED]],
  ['cached reads on ten connections', 'turns', 10, [CACHED]],
  ['reads behind a stream, and leaves before the answers', 'leave', 2, ['/v1/series']],
  ['reads, and resets its connections', 'reset', 8, ['/v1/series', CACHED]],
  ['large cached reads, and reads no answer', 'unread', 20, [`/v1/outlooks/${LARGE}`]],
])('one attacker pipelines %s', async (name, how, connections, paths) => {
  const attack = byScript('pipeline.mjs', how, String(connections), ...paths);
  expect(excessesOf(name, await measureHarm(target, attack))).toEqual([]);
  await expect.poll(() => metric('outlook_ledger_event_streams')).toBe(0);
  expect((await fetch(`${target.service.origin}/readyz`)).status).toBe(200);
  expect(logLines(target.service.stdout())).toEqual([]);
});

test('an honest client may pipeline 16 requests', async () => {
  const result = await autocannon({
    url: target.service.origin + CACHED,
    connections: 10,
    pipelining: 16,
    amount: 40_000,
  });
  // It leaves without counting the last responses.
  expect(result['2xx']).toBeGreaterThan(39_000);
  expect([result.non2xx, result.errors, result.mismatches]).toEqual([0, 0, 0]);
});
