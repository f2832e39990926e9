import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { OPERATIONS } from '../support/operations.ts';
import { stored } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE'] as const;
const PATHS = [...new Set(OPERATIONS.map(({ path }) => path))].map(
  (path) => [path, OPERATIONS.filter((operation) => operation.path === path)] as const,
);

describe.each(PATHS)('%s', (_, operations) => {
  const url = operations[0]?.url ?? '';
  const taken = new Set<string>(operations.map(({ method }) => method));
  if (taken.has('GET')) taken.add('HEAD');
  const allow = [...taken, 'OPTIONS'].toSorted();
  const allowedBy = (headers: Record<string, unknown>) =>
    String(headers['allow']).split(', ').toSorted();

  test.for(METHODS.filter((method) => !taken.has(method)))('does not take %s', async (method) => {
    const before = await stored(ledger);
    const answer = await ledger.call({ method: method, url });
    expect(answer.statusCode).toBe(405);
    expect(allowedBy(answer.headers)).toEqual(allow);
    const saysAllowed = answer.body.includes(`"detail":"${method} is not allowed here; use `);
    expect(saysAllowed).toBe(method !== 'HEAD');
    expect(await stored(ledger)).toEqual(before);
  });

  test('answers OPTIONS with the allowed methods', async () => {
    const answer = await ledger.call({ method: 'OPTIONS', url });
    expect([answer.statusCode, answer.body]).toEqual([204, '']);
    expect(allowedBy(answer.headers)).toEqual(allow);
  });

  test('refuses another method before it checks the body, the key or the query', async () => {
    const answer = await ledger.call({
      method: (['PUT', 'DELETE', 'PATCH'] as const).find((one) => !taken.has(one)) ?? 'POST',
      url: `${url}?colour=red`,
      payload: '{',
      headers: {
        'content-type': 'application/json',
        authorization: 'nonsense',
      },
    });
    expect(answer.json()).toMatchObject({ type: '/problems/method-not-allowed', status: 405 });
  });
});

test('every path is documented with at least one operation', () => {
  expect(PATHS.length).toBeGreaterThan(10);
});

test.for(['/v1/outlooks/', '/v1/series/', '/v1/analysts//track-record'])(
  '%s, whose parameter is empty, does not exist',
  async (url) => {
    for (const method of ['GET', 'OPTIONS', 'PUT', 'DELETE'] as const) {
      const { statusCode, headers } = await ledger.call({ method, url });
      expect([method, statusCode, headers.allow]).toEqual([method, 404, undefined]);
    }
  },
);

test('OPTIONS of an unknown URL finds nothing', async () => {
  expect((await ledger.call({ method: 'OPTIONS', url: '/nowhere' })).statusCode).toBe(404);
});
