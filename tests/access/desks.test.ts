import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { faultsOf, send, stored, withOneRecord } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

type Problem = { type: string; errors?: { pointer: string; detail: string }[] };
type Key = { id: string; key: string; desks: string[] };
const add = (slug: string, name: string) =>
  send(ledger, 'POST', '/v1/desks', { slug, name }, { as: 'admin' });
const rename = (slug: string, name: unknown) =>
  send(ledger, 'PATCH', `/v1/desks/${slug}`, { name }, { as: 'admin' });
const ask = (body: object) =>
  send(ledger, 'POST', '/v1/keys', { name: 'Ada', role: 'analyst', ...body }, { as: 'admin' });
const me = async (key: string) =>
  (await ledger.call({ url: '/v1/me', headers: { authorization: `Bearer ${key}` } })).json<{
    desks: string[];
  }>();

/** Asks for something that is refused, and makes sure that nothing was stored. */
async function refused(request: () => ReturnType<typeof add>) {
  const before = await stored(ledger);
  const answer = await request();
  expect([before, withOneRecord(before)]).toContainEqual(await stored(ledger));
  return { status: answer.statusCode, ...answer.json<Problem>() };
}

describe('a ledger starts with one desk', () => {
  test('which everyone can read', async () => {
    const { items } = (await ledger.call({ url: '/v1/desks' })).json<{ items: object[] }>();
    const main = { slug: 'main', name: 'Main desk', createdAt: expect.any(String) };
    expect(items).toEqual([main]);
    expect((await ledger.call({ url: '/v1/desks/main' })).json()).toEqual(main);
  });

  test('and a new key acts for it, and for all that come, unless it names desks', async () => {
    const issued = (await ask({})).json<Key>();
    expect(issued.desks).toEqual(['*']);
    expect((await ask({ desks: ['main'] })).json<Key>().desks).toEqual(['main']);
    expect((await me(issued.key)).desks).toEqual(['*']);
  });
});

describe('an admin adds desks', () => {
  test('for good, each with a leaf in the log', async () => {
    const added = await add('rates', 'Rates desk');
    expect([added.statusCode, added.headers.location]).toEqual([201, '/v1/desks/rates']);
    expect(added.json()).toEqual({
      slug: 'rates',
      name: 'Rates desk',
      createdAt: '2026-11-20T16:00:00.000Z',
    });
    await add('credit', 'Credit desk');
    const { rows } = await ledger.pool.query(
      `select data from events where kind = 'desk.added' order by id desc limit 1`,
    );
    expect(rows).toEqual([{ data: { subject: '/v1/desks/credit' } }]);
    const csv = await ledger.call({ url: '/v1/desks?format=csv' });
    expect(csv.body).toMatch(/^slug,name,createdAt\r\ncredit,Credit desk,.*\r\nmain,.*\r\nrates,/);
    const page = await ledger.call({ url: '/v1/desks?limit=1' });
    expect(page.json()).toMatchObject({
      items: [{ slug: 'credit' }],
      nextCursor: expect.any(String),
    });
  });

  test.each([
    ['a slug that is taken', 'rates', 'Another desk', 409, { '/slug': /^is taken/ }],
    ['a name that is taken', 'other', 'Rates desk', 409, { '/name': /looks like.*"rates"/ }],
    ['a name that looks the same', 'other', 'Rаtes desk', 409, { '/name': /"rates"/ }],
    ['no name that a reader sees', 'other', 'Desk\u{e0041}', 422, { '/name': /U\+E0041/ }],
    ['the name of all desks', 'other', '*', 422, { '/name': /stands for all desks/ }],
    ['the slug of all desks', '*', 'Other', 422, { '/slug': /words of lower-case/ }],
    ['a blank name', 'other', ' ', 422, { '/name': /must be one line/ }],
  ])('not with %s', async (_, slug, name, status, faults) => {
    const answer = await refused(() => add(slug, name));
    expect(answer.status).toBe(status);
    for (const [pointer, fault] of Object.entries(faults)) {
      expect(faultsOf(answer)[pointer]).toMatch(fault);
    }
  });

  test('of the same slug at once only one', async () => {
    const answers = await Promise.all(['One desk', 'Two desk'].map((name) => add('rush', name)));
    expect(answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)).toEqual([
      201, 409,
    ]);
  });

  test('and renames them', async () => {
    const renamed = await rename('credit', 'Credit and loans');
    expect([renamed.statusCode, renamed.json()]).toMatchObject([200, { name: 'Credit and loans' }]);
    expect((await rename('credit', 'Credit and loans')).statusCode).toBe(200);
    expect((await refused(() => rename('credit', 'RATES desk'))).type).toBe('/problems/desk-taken');
    expect((await refused(() => rename('nowhere', 'Nowhere'))).status).toBe(404);
    expect((await refused(() => rename('credit', 1))).status).toBe(422);
  });

  test('and nobody else does', async () => {
    for (const as of ['analyst', 'feed'] as const) {
      const body = { slug: 'own', name: 'Own' };
      expect((await send(ledger, 'POST', '/v1/desks', body, { as })).statusCode).toBe(403);
      expect(
        (await send(ledger, 'PATCH', '/v1/desks/main', { name: 'M' }, { as })).statusCode,
      ).toBe(403);
    }
  });
});

describe('once there are several desks, a new key', () => {
  test('says which it acts for', async () => {
    const issued = (await ask({ desks: ['rates', 'credit'] })).json<Key>();
    expect(issued.desks).toEqual(['credit', 'rates']);
    const read = await ledger.call({ url: `/v1/keys/${issued.id}`, as: 'admin' });
    expect(read.json<Key>().desks).toEqual(['credit', 'rates']);
    expect((await me(issued.key)).desks).toEqual(['credit', 'rates']);
    const audit = await ledger.call({ url: '/v1/audit?limit=1&kind=write', as: 'admin' });
    expect(audit.json()).toMatchObject({
      items: [{ summary: 'Issued to "Ada" with the role analyst for the desks credit, rates' }],
    });
  });

  test.each(['*', ['*']])('may act for all: %j', async (desks) => {
    expect((await ask({ desks })).json<Key>().desks).toEqual(['*']);
  });

  test('of an admin acts for all', async () => {
    expect((await ask({ role: 'admin' })).json<Key>().desks).toEqual(['*']);
    expect((await ask({ role: 'admin', desks: '*' })).json<Key>().desks).toEqual(['*']);
    const answer = await refused(() => ask({ role: 'admin', desks: ['rates'] }));
    expect(faultsOf(answer)).toEqual({
      '/desks': 'must be "*" or left out: an admin key acts for all desks',
    });
  });

  test.each([
    ['left out', undefined, '/desks', /^is required: send some of "credit", "main", "rates"/],
    ['of none', [], '/desks', /./],
    ['unknown', ['rates', 'nowhere'], '/desks/1', /^"nowhere" is unknown; send some of "credit"/],
    ['repeated', ['rates', 'rates'], '/desks', /each desk once/],
    ['all and one', ['*', 'rates'], '/desks', /only "\*"/],
    ['null', null, '/desks', /./],
    ['a slug', 'rates', '/desks', /./],
    ['no slugs', ['Rates Desk'], '/desks/0', /slug of a desk/],
    ['far too many', Array.from({ length: 10_000 }, (_, at) => `d-${at}`), '/desks', /1000/],
  ])('is refused with desks that are %s', async (_, desks, pointer, fault) => {
    const answer = await refused(() => ask({ desks }));
    expect([answer.status, faultsOf(answer)[pointer]]).toEqual([422, expect.stringMatching(fault)]);
  });

  test('does not act for desks that come later', async () => {
    const { key, id } = (await ask({ desks: ['rates'] })).json<Key>();
    await add('later', 'Later desk');
    expect((await me(key)).desks).toEqual(['rates']);
    const change = ledger.servicePool.query('update api_keys set desk_ids = null where id = $1', [
      id,
    ]);
    await expect(change).rejects.toThrow(/permission denied|keeps what it was issued with/);
  });
});

test('a desk that is added while a key without desks is issued counts, or comes after it', async () => {
  const own = await startLedger();
  const issue = () =>
    send(own, 'POST', '/v1/keys', { name: 'Ada', role: 'analyst' }, { as: 'admin' });
  const second = { slug: 'rates', name: 'Rates desk' };
  const session = await own.pool.connect();
  await session.query('begin');
  await session.query(`select pg_advisory_xact_lock(hashtextextended('outlook-ledger desks', 0))`);
  const issued = issue();
  await session.query('insert into desks (slug, name, created_at) values ($1, $2, now())', [
    second.slug,
    second.name,
  ]);
  await session.query('commit');
  session.release();
  expect((await issued).statusCode).toBe(422);
  await own.close();
});
