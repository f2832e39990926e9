import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { READS } from '../support/operations.ts';
import { outlookBody, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

type Issued = { name: string; issuedWith: string };
type Key = { id: string; key: string; analystId: string; hint: string; createdAt: string };
const ask = (body: unknown) => send(ledger, 'POST', '/v1/keys', body, { as: 'admin' });
const issue = async (body: object) =>
  (await ask({ name: 'Desk', role: 'analyst', ...body })).json<Key>();
const admin = (url: string, method: 'GET' | 'DELETE' = 'GET') =>
  ledger.call({ method, url, as: 'admin' });
/** The key that issues the others: a command issued it. */
const issuer = async () => {
  const { items } = (await admin('/v1/keys?limit=100')).json<{ items: (Key & Issued)[] }>();
  return (
    items.find(({ name, issuedWith }) => name === 'admin desk' && issuedWith === 'LOCAL') ??
    expect.fail()
  );
};
const withKey = (key: string, url = '/v1/keys') =>
  ledger.app.inject({ url, headers: { authorization: `Bearer ${key}` } });

describe('issuing', () => {
  test.for(['analyst', 'feed', 'admin'])(
    'answers a key of the role %s, this once',
    async (role) => {
      const answer = await ask({ name: 'Small-cap desk', role });
      expect(answer.statusCode).toBe(201);
      expect(answer.headers['cache-control']).toBe('no-store');
      const { key, ...known } = answer.json<Key>();
      const { id: issuedWith, analystId } = await issuer();
      expect(key).toMatch(/^olk_[A-Za-z0-9_-]{43}$/);
      expect(known).toEqual({
        id: known.id,
        name: 'Small-cap desk',
        analystId: known.analystId,
        role,
        desks: ['*'],
        hint: key.slice(0, 8),
        createdAt: ledger.clock.now.toISOString(),
        expiresAt: '2027-11-20T16:00:00.000Z',
        revokedAt: null,
        lastUsedAt: null,
        issuedBy: { id: analystId, name: 'admin desk' },
        issuedWith,
      });
      expect(answer.headers.location).toBe(`/v1/keys/${known.id}`);
      expect((await admin(String(answer.headers.location))).json()).toEqual(known);
    },
  );

  test('stores the SHA-256 of a key and nothing that it could be made from', async () => {
    const { key, id } = await issue({});
    const { rows } = await ledger.pool.query('select * from api_keys where id = $1', [id]);
    expect(rows).toMatchObject([{ hash: createHash('sha256').update(key).digest() }]);
    const dump = await ledger.pool.query<{ row: string }>(
      `select (k.*)::text || (a.*)::text as row from api_keys k join analysts a on a.id = analyst_id`,
    );
    expect(dump.rows.map(({ row }) => row).join()).not.toContain(key.slice(8));
  });

  test('to the same name is to the same analyst, and so to the same author', async () => {
    const [first, second] = [await issue({ name: 'One desk' }), await issue({ name: 'One desk' })];
    expect(second.analystId).toBe(first.analystId);
    for (const [index, { key }] of [first, second].entries()) {
      const headers = { authorization: `Bearer ${key}` };
      const body = outlookBody({ slug: `one-desk-${index}` });
      const created = await send(ledger, 'POST', '/v1/outlooks', body, { headers });
      expect(created.json()).toMatchObject({ author: { id: first.analystId, name: 'One desk' } });
    }
  });

  test('of the same name at once makes one analyst', async () => {
    const keys = await Promise.all(Array.from({ length: 10 }, () => issue({ name: 'Rush desk' })));
    expect(new Set(keys.map(({ analystId }) => analystId)).size).toBe(1);
  });

  test.for([
    ['2027-01-31T00:00:00Z', '2027-01-31T00:00:00.000Z'],
    ['2027-01-31T00:00:00.123+02:00', '2027-01-30T22:00:00.123Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ] as const)('with an expiry at %s tells it in UTC', async ([expiresAt, shown]) => {
    expect(await issue({ expiresAt })).toMatchObject({ expiresAt: shown });
  });

  const LINE =
    'must be one line without control or invisible characters and without leading or trailing space';
  const MOMENT = 'must be a timestamp such as 2027-01-31T00:00:00Z';
  test.for<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['no name', { name: undefined }, { '/name': 'is required' }],
    ['a blank name', { name: '' }, { '/name': 'must not be blank' }],
    ['a name that looks like another', { name: 'Desk\u200b' }, { '/name': LINE }],
    ['an unknown role', { role: 'root' }, { '/role': 'must be one of analyst, feed, admin' }],
    ['a day for its expiry', { expiresAt: '2027-01-31' }, { '/expiresAt': MOMENT }],
    ['a local expiry', { expiresAt: '2027-01-31T00:00:00' }, { '/expiresAt': MOMENT }],
    ['an expiry on no day', { expiresAt: '2027-02-30T00:00:00Z' }, { '/expiresAt': MOMENT }],
    ['a number for its expiry', { expiresAt: 1_800_000_000 }, { '/expiresAt': MOMENT }],
    [
      'an expiry beyond what timestamps can write',
      { expiresAt: '9999-12-31T23:59:59-01:00' },
      { '/expiresAt': 'must be before the year 10000' },
    ],
    [
      'an expiry at this very moment',
      { expiresAt: '2026-11-20T16:00:00.000Z' },
      { '/expiresAt': 'must be in the future; the server time is 2026-11-20T16:00:00.000Z' },
    ],
    [
      'a key of its own',
      { key: 'olk_mine' },
      { '/key': 'unknown property "key"; allowed here: name, role, expiresAt, desks' },
    ],
  ])('with %s is refused', async ([, change, faults]) => {
    const before = await stored(ledger);
    const refused = await ask({ name: 'Desk', role: 'analyst', ...change });
    expect(refused.statusCode).toBe(422);
    const { errors } = refused.json<{ errors: { pointer: string; detail: string }[] }>();
    expect(Object.fromEntries(errors.map(({ pointer, detail }) => [pointer, detail]))).toEqual(
      faults,
    );
    expect(await stored(ledger)).toEqual(before);
  });
});

describe('revoking', () => {
  test('refuses the key from the next request on, for good, and says when', async () => {
    const { key, id } = await issue({ role: 'admin' });
    expect((await withKey(key)).statusCode).toBe(200);
    const revoked = await admin(`/v1/keys/${id}`, 'DELETE');
    expect([revoked.statusCode, revoked.body]).toEqual([204, '']);
    const refused = await withKey(key);
    expect(refused.statusCode).toBe(401);
    expect(refused.json()).toMatchObject({ detail: `The key ${key.slice(0, 8)}… was revoked.` });

    const at = ledger.clock.now.toISOString();
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 5000);
    expect((await admin(`/v1/keys/${id}`, 'DELETE')).statusCode).toBe(204);
    expect((await admin(`/v1/keys/${id}`)).json()).toMatchObject({ revokedAt: at });
  });

  test('leaves the other keys of the name in force', async () => {
    const [old, fresh] = [await issue({ role: 'admin' }), await issue({ role: 'admin' })];
    await admin(`/v1/keys/${old.id}`, 'DELETE');
    expect((await withKey(fresh.key)).statusCode).toBe(200);
  });

  test.for(['00000000-0000-4000-8000-000000000000', 'nowhere', '%00'])(
    'or reading %s finds nothing',
    async (id) => {
      for (const method of ['GET', 'DELETE'] as const) {
        expect((await admin(`/v1/keys/${id}`, method)).statusCode).toBe(404);
      }
    },
  );
});

describe('reading', () => {
  test('lists keys newest first, without the keys themselves, by pages of any size', async () => {
    for (let index = 0; index < 3; index += 1) {
      ledger.clock.now = new Date(ledger.clock.now.getTime() + 1000);
      await Promise.all([issue({}), issue({})]); // two at the same time
    }
    const all = (await admin('/v1/keys?limit=100')).json<{ items: Key[] }>().items;
    expect(all.map(({ createdAt }) => createdAt)).toEqual(
      all
        .map(({ createdAt }) => createdAt)
        .toSorted()
        .toReversed(),
    );
    for (const limit of [1, 2, 3]) {
      const seen: Key[] = [];
      let url = `/v1/keys?limit=${limit}`;
      while (url !== '') {
        const answer = await admin(url);
        seen.push(...answer.json<{ items: Key[] }>().items);
        url = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? '';
      }
      // Reading touches lastUsedAt of the reader's key only.
      expect(seen.map(({ id }) => id)).toEqual(all.map(({ id }) => id));
    }
  });

  test('says when a key was last used, to the minute', async () => {
    const { key, id } = await issue({ role: 'admin' });
    const used = async () =>
      (await admin(`/v1/keys/${id}`)).json<{ lastUsedAt: string | null }>().lastUsedAt;
    expect(await used()).toBeNull();
    const start = ledger.clock.now.getTime();
    const useAt = async (milliseconds: number) => {
      ledger.clock.now = new Date(start + milliseconds);
      expect((await withKey(key)).statusCode).toBe(200);
      return used();
    };
    expect(await useAt(0)).toBe(new Date(start).toISOString());
    expect(await useAt(59_999)).toBe(new Date(start).toISOString());
    expect(await useAt(60_001)).toBe(new Date(start + 60_001).toISOString());
    expect(await useAt(61_000)).toBe(new Date(start + 60_001).toISOString());
  });

  test('shows no key, anywhere', async () => {
    const issued = await issue({ role: 'admin', name: 'Shy desk' });
    const known = [issued.key, ...Object.values(ledger.keys)];
    for (const { url } of [...READS, { url: `/v1/keys/${issued.id}` }, { url: '/docs' }]) {
      const { body, headers } = await withKey(issued.key, url);
      for (const key of known) expect(body + JSON.stringify(headers)).not.toContain(key.slice(8));
    }
    const refused = await withKey(`${issued.key.slice(0, -1)}!`);
    expect(refused.body).not.toContain(issued.key.slice(8, -1));
  });
});

test('a client that sends a Content-Type with every request may revoke without a body', async () => {
  const { id } = await issue({});
  const revoked = await ledger.call({
    method: 'DELETE',
    url: `/v1/keys/${id}`,
    as: 'admin',
    headers: { 'content-type': 'application/json' },
  });
  expect(revoked.statusCode).toBe(204);
});
