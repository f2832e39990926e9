import { afterEach, describe, expect, test } from 'vitest';
import { type ApiKey, issueKey, revokeKey } from '../../src/access/api-keys.ts';
import type { Role } from '../../src/domain/api-keys.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
afterEach(() => ledger.close());

const issue = async (name: string, expiresAt: Date | null = null): Promise<ApiKey> => {
  const request = { name, role: 'admin' as const, expiresAt };
  const { issued } = await inTransaction(ledger.pool, (session) =>
    issueKey(session, request, ledger.clock.now),
  );
  return issued;
};
const inMinutes = (minutes: number) => new Date(ledger.clock.now.getTime() + minutes * 60_000);
const ownId = async () => {
  const { items } = (await ledger.call({ url: '/v1/keys', as: 'admin' })).json<{
    items: { id: string; name: string }[];
  }>();
  return items.find(({ name }) => name === 'admin desk')?.id ?? '';
};
const revoke = (id: string) =>
  ledger.call({ method: 'DELETE', url: `/v1/keys/${id}`, as: 'admin' });
const tokens = (role: Role) => ({
  issuer: 'https://id.example',
  audience: 'https://ledger.example',
  algorithm: 'RS256',
  jwksUrl: null,
  rolesClaim: 'roles',
  desksClaim: null,
  roles: { theirs: role },
});

describe('the last admin key', () => {
  test('is not revoked by the API, which says what to do', async () => {
    ledger = await startLedger();
    const id = await ownId();
    const refused = await revoke(id);
    expect([refused.statusCode, refused.json()]).toMatchObject([
      409,
      {
        type: '/problems/last-admin-key',
        detail: `This is the last admin key. Issue another one first, or run "npm run keys -- revoke ${id}" on the machine of the service.`,
      },
    ]);
    expect((await ledger.call({ url: '/v1/keys', as: 'admin' })).statusCode).toBe(200);
    await issue('Another admin');
    expect((await revoke(id)).statusCode).toBe(204);
  });

  test.for([
    ['expired', -1, 409],
    ['expires within the hour', 60, 409],
    ['expires later', 61, 204],
  ] as const)('is so beside one that %s: %i minutes', async ([, minutes, status]) => {
    ledger = await startLedger();
    const at = ledger.clock.now;
    ledger.clock.now = new Date(at.getTime() - 3_600_000);
    await issue('Another admin', new Date(at.getTime() + minutes * 60_000));
    ledger.clock.now = at;
    expect((await revoke(await ownId())).statusCode).toBe(status);
  });

  test('is the last even if others exist that were revoked', async () => {
    ledger = await startLedger();
    const { id } = await issue('Another admin');
    expect((await revoke(id)).statusCode).toBe(204);
    expect((await revoke(await ownId())).statusCode).toBe(409);
    expect((await revoke(id)).statusCode).toBe(204);
  });

  test('does not keep other keys from being revoked', async () => {
    ledger = await startLedger();
    const short = await issue('Short admin', inMinutes(5));
    expect((await revoke(short.id)).statusCode).toBe(204);
    const { rows } = await ledger.pool.query<{ id: string }>(
      `select id from api_keys where role <> 'admin'`,
    );
    for (const { id } of rows) expect((await revoke(id)).statusCode).toBe(204);
  });

  test('of two that are revoked at once, one is kept', async () => {
    ledger = await startLedger();
    const ids = [await ownId(), (await issue('Another admin')).id];
    const outcomes = await Promise.allSettled(
      ids.map((id) =>
        inTransaction(ledger.pool, (session) =>
          revokeKey(session, id, ledger.clock.now, { keepsLastAdmin: true }),
        ),
      ),
    );
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const { rowCount } = await ledger.pool.query(
      `select from api_keys where role = 'admin' and revoked_at is null`,
    );
    expect(rowCount).toBe(1);
  });

  test('is revoked if tokens can have the role admin', async () => {
    ledger = await startLedger({ oidc: tokens('admin') });
    expect((await revoke(await ownId())).statusCode).toBe(204);
  });

  test('is kept if tokens can have other roles only', async () => {
    ledger = await startLedger({ oidc: tokens('analyst') });
    expect((await revoke(await ownId())).statusCode).toBe(409);
  });
});
