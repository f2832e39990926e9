import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG } from '../support/http-client.ts';
import { cleanUp } from '../support/service.ts';
import { byScript, excessesOf, measureHarm, startTarget, type Target } from '../support/victims.ts';

let target: Target;
beforeAll(async () => void (target = await startTarget()));
afterAll(async () => {
  await cleanUp();
  await target.pool.end();
});

test('one connection that pipelines kept reads takes turns with the others', async () => {
  const attack = byScript('pipelined-reads.mjs', `/v1/outlooks/${SLUG}`);
  const harm = await measureHarm(target, attack);
  expect(excessesOf('pipelined kept reads', harm)).toEqual([]);
});
