import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

type Key = { id: string; key: string; analystId: string };
const me = (authorization?: string) =>
  ledger.call({ url: '/v1/me', headers: { ...(authorization && { authorization }) } });

test.each(['analyst', 'feed', 'admin'] as const)(
  'a key of the role %s says whose it is',
  async (role) => {
    const answer = await ledger.call({ url: '/v1/me', as: role });
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.json()).toEqual({
      analyst: { id: expect.any(String), name: `${role} desk` },
      roles: [role],
      desks: ['*'],
      key: {
        id: expect.any(String),
        hint: ledger.keys[role].slice(0, 8),
        createdAt: '2026-11-20T16:00:00.000Z',
        expiresAt: null,
        lastUsedAt: '2026-11-20T16:00:00.000Z',
      },
      token: null,
    });
    expect(answer.headers['cache-control']).toBe('no-store');
  },
);

test('names the analyst that versions name, and the key that admins see', async () => {
  const body = { name: 'Ada', role: 'analyst', expiresAt: '2027-01-01T00:00:00Z' };
  const issued = (await send(ledger, 'POST', '/v1/keys', body, { as: 'admin' })).json<Key>();
  const answer = (await me(`Bearer ${issued.key}`)).json();
  expect(answer).toMatchObject({
    analyst: { id: issued.analystId, name: 'Ada' },
    key: { id: issued.id, expiresAt: '2027-01-01T00:00:00.000Z' },
  });
  const gone = await ledger.call({ method: 'DELETE', url: `/v1/keys/${issued.id}`, as: 'admin' });
  expect(gone.statusCode).toBe(204);
  const refused = await me(`Bearer ${issued.key}`);
  expect([refused.statusCode, refused.json<{ detail: string }>().detail]).toEqual([
    401,
    expect.stringContaining('was revoked'),
  ]);
});

test('needs a key, and takes no parameter', async () => {
  for (const authorization of [undefined, 'Bearer olk_unknown', 'Basic eDp5']) {
    const refused = await me(authorization);
    expect([authorization, refused.statusCode]).toEqual([authorization, 401]);
    expect(String(refused.headers['www-authenticate'])).toContain('Bearer');
    expect(String(refused.headers['www-authenticate'])).not.toContain('Basic');
  }
  expect((await ledger.call({ url: '/v1/me?verbose=1', as: 'feed' })).statusCode).toBe(422);
});
