import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { SLUG } from '../support/http-client.ts';
import { cleanUp } from '../support/service.ts';
import { byScript, excessesOf, measureHarm, startTarget, type Target } from '../support/victims.ts';

let target: Target;
beforeAll(async () => void (target = await startTarget()));
afterAll(async () => {
  await cleanUp();
  await target.pool.end();
});

async function issueToAttacker(): Promise<string> {
  const request = { name: 'Attacker', role: 'analyst', expiresAt: null } as const;
  const issued = await inTransaction(target.pool, (session) =>
    issueKey(session, request, new Date()),
  );
  return issued.key;
}

// Node.js parses all that one read brings, up to 64 KiB, before anyone can stop it: some 10 ms for each new connection. So
// clients notice more of this attack than of others, but nobody is refused.
const MOST_TIMES = 15;

test.each([
  ['a read that is kept', 'GET', `/v1/outlooks/${SLUG}`, false],
  ['a read that is not kept', 'GET', '/v1/series', false],
  ['a write without a key', 'POST', '/v1/outlooks', false],
  ['a write with a key', 'POST', '/v1/outlooks', true],
])('one attacker sends chunks of a byte with %s', async (name, method, path, hasKey) => {
  const keys = hasKey ? [await issueToAttacker()] : [];
  const attack = byScript('chunks.mjs', '1', method, path, ...keys);
  const harm = await measureHarm(target, attack);
  expect(excessesOf(name, harm, { times: MOST_TIMES })).toEqual([]);
});
