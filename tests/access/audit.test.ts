import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSession, refusal } from '../support/plain-sql.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook } from '../support/requests.ts';

const URL = `/v1/outlooks/${SLUG}`;
const numbers = { bear: 0.35, base: 0.4, bull: 0.25 };

let ledger: TestLedger;
beforeEach(async () => {
  ledger = await startLedger();
});
afterEach(() => ledger.close());

type Entry = Record<string, unknown> & { id: number; path: string; times: number };
type Page = { items: Entry[]; nextCursor: string | null };
const read = async (query = '') =>
  (await ledger.call({ url: `/v1/audit${query}`, as: 'admin' })).json<Page>();
const idOf = async (role: string) => {
  const { rows } = await ledger.pool.query(
    `select k.id, a.id as analyst from api_keys k join analysts a on a.id = k.analyst_id
      where a.name = $1`,
    [`${role} desk`],
  );
  return rows[0] as { id: string; analyst: string };
};

describe('a write', () => {
  test('is recorded: who, what, when, from where, and by which request', async () => {
    const sent = { probabilities: numbers, rationale: 'Never in the trail.' };
    const answer = await ledger.revise(sent, { 'x-request-id': 'mine-1' });
    expect(answer.statusCode).toBe(201);
    const [entry] = (await read('?limit=1')).items;
    const key = await idOf('analyst');
    expect(entry).toEqual({
      id: expect.any(Number) as number,
      recordedAt: '2026-11-20T16:00:00.000Z',
      kind: 'write',
      analyst: { id: key.analyst, name: 'analyst desk' },
      role: 'analyst',
      credential: key.id,
      method: 'POST',
      path: `${URL}/revisions`,
      status: 201,
      subject: `${URL}/versions/2`,
      summary: 'Published the version',
      problem: null,
      detail: null,
      address: '127.0.0.1',
      requestId: 'mine-1',
      times: 1,
    });
  });

  const WRITES: [method: 'POST' | 'PUT' | 'PATCH', url: string, body: object, type?: string][] = [
    ['POST', `${URL}/revisions`, { probabilities: numbers, rationale: 'R' }],
    ['PATCH', `${URL}/framework`, { summary: 'Another.', rationale: 'R' }, 'merge-patch+json'],
    ['PUT', `${URL}/views/me`, { probabilities: numbers, rationale: 'R' }],
    ['POST', `${URL}/resolution`, { outcome: 'bear', reason: 'R' }],
    ['POST', '/v1/instruments', { symbol: 'NEW', name: 'N', kind: 'index' }],
    ['PATCH', '/v1/instruments/RUT', { closes: 'rut-close' }, 'merge-patch+json'],
    ['POST', '/v1/keys', { name: 'Another', role: 'feed' }],
    [
      'POST',
      '/v1/series/rut-close/observations',
      { observations: [{ date: '2026-11-19', value: 9 }] },
    ],
  ];
  test.for(WRITES)('%s %s is recorded once; refused or replayed it is not', async (write) => {
    const [method, url, body, type = 'json'] = write;
    const before = (await read('?kind=write')).items.length;
    const send = (payload: object, key = 'another') =>
      ledger.call({
        method,
        url,
        as: 'admin',
        payload: JSON.stringify(payload),
        headers: {
          'content-type': `application/${type}`,
          'idempotency-key': key,
        },
      });
    expect((await send({ ...body, colour: 'red' })).statusCode).toBe(422);
    expect([200, 201]).toContain((await send(body, 'the-one')).statusCode);
    const again = method === 'PUT' ? [] : [await send(body, 'the-one')];
    expect(again.every(({ statusCode }) => [200, 201].includes(statusCode))).toBe(true);
    const { items } = await read('?kind=write');
    expect(items.length).toBe(before + 1);
    expect(items[0]).toMatchObject({ method, path: url, role: 'admin' });
  });

  test('that cites evidence is recorded', async () => {
    const added = await ledger.call({
      method: 'POST',
      url: `${URL}/evidence`,
      as: 'analyst',
      payload: {
        headline: 'H',
        summary: 'S',
        publisher: 'P',
        publishedAt: '2026-11-20T15:00:00Z',
      },
    });
    const evidence = [added.json<{ id: string }>().id];
    const before = (await read('?kind=write')).items.length;
    const cited = await ledger.revise({ probabilities: numbers, rationale: 'R', evidence });
    expect(cited.statusCode).toBe(201);
    expect((await read('?kind=write')).items.length).toBe(before + 1);
  });

  test('that revokes a key is recorded', async () => {
    const { id } = await idOf('feed');
    await ledger.call({ method: 'DELETE', url: `/v1/keys/${id}`, as: 'admin' });
    expect((await read('?limit=1')).items[0]).toMatchObject({
      kind: 'write',
      method: 'DELETE',
      path: `/v1/keys/${id}`,
      status: 204,
    });
  });

  test('has a record if and only if it is committed', async () => {
    await ledger.pool.query(`
      create function refuse_all() returns trigger language plpgsql as $$ begin
        raise exception 'no' using errcode = '55000'; end $$;
      create trigger refuse_all before insert on audit_entries execute function refuse_all()`);
    expect((await ledger.revise({ probabilities: numbers, rationale: 'R' })).statusCode).toBe(500);
    expect((await createOutlook(ledger, { slug: 'another' })).statusCode).toBe(500);
    await ledger.pool.query('drop trigger refuse_all on audit_entries');
    expect((await ledger.call({ url: URL })).json()).toMatchObject({ version: 1 });
    expect((await ledger.call({ url: '/v1/outlooks/another' })).statusCode).toBe(404);
  });

  test('each of many at once is recorded', async () => {
    const before = (await read('?kind=write&limit=100')).items.length;
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        ledger.revise({
          probabilities: { bear: (10 + index) / 100, base: 0.5, bull: (40 - index) / 100 },
          rationale: 'R',
        }),
      ),
    );
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([201]));
    const { items } = await read('?kind=write&limit=100');
    expect(items.length).toBe(before + 30);
    const ids = new Set(answers.map(({ headers }) => headers['x-request-id']));
    expect(new Set(items.slice(0, 30).map(({ requestId }) => requestId))).toEqual(ids);
  });
});

describe('a refusal', () => {
  const ask = (authorization?: string, url = '/v1/keys', remoteAddress = '192.0.2.7') =>
    ledger.call({
      url,
      remoteAddress,
      headers: authorization === undefined ? {} : { authorization },
    });

  test('because of its sender is recorded; equal ones share an entry', async () => {
    for (let turn = 0; turn < 3; turn += 1) await ask();
    await ask(`Bearer olk_${'a'.repeat(43)}`, '/v1/keys?secret=1');
    await ask(`Bearer ${ledger.keys.feed}`);
    const { items } = await read('?kind=refusal');
    const told = items.map((entry) =>
      ['status', 'problem', 'times', 'role', 'path', 'address', 'detail'].map(
        (name) => entry[name],
      ),
    );
    expect(items.map(({ analyst }) => analyst !== null)).toEqual([true, false, false]);
    const hint = ledger.keys.feed.slice(0, 8);
    const forbidden = `This requires a key with the role admin; ${hint}… has the role feed.`;
    const unsent = 'No key was sent. Send it as Authorization: Bearer olk_….';
    const where = ['/v1/keys', '192.0.2.7'];
    expect(told.toReversed()).toEqual([
      [401, 'unauthorized', 3, null, ...where, unsent],
      [401, 'unauthorized', 1, null, ...where, 'The key is unknown.'],
      [403, 'forbidden', 1, 'feed', ...where, forbidden],
    ]);
  });

  test('does not record a key in the URL', async () => {
    await ask(undefined, `/v1/keys/${ledger.keys.admin}`);
    const { rows } = await ledger.pool.query(
      'select audit_entries::text as entry from audit_entries',
    );
    await read();
    expect(JSON.stringify(rows)).not.toContain(ledger.keys.admin.slice(8));
  });

  test('for another reason is not recorded', async () => {
    await ledger.revise({ probabilities: { ...numbers, bear: 1 }, rationale: 'R' });
    await ledger.call({ url: '/v1/outlooks/nowhere' });
    expect((await read('?kind=refusal')).items).toEqual([]);
  });

  test('gets an entry of its own up to a limit; the rest is counted', async () => {
    for (let turn = 0; turn < 150; turn += 1)
      await ask(undefined, `/v1/keys?x=1`, `192.0.2.${turn}`);
    const { items } = await read('?kind=refusal&limit=100');
    const page = await read('?kind=refusal&limit=100');
    expect(page.items).toEqual(items);
    const all = [
      ...items,
      ...(await read(`?kind=refusal&limit=100&cursor=${page.nextCursor}`)).items,
    ];
    expect(all.length).toBe(101);
    expect(all.reduce((total, { times }) => total + times, 0)).toBe(150);
    expect(all.find(({ path }) => path === '…')).toMatchObject({ times: 50, address: null });
  });

  test('is written when the service stops, or later if the database is away', async () => {
    await ask();
    await ledger.pool.query('alter table audit_entries rename to elsewhere');
    expect((await ledger.call({ url: '/v1/audit', as: 'admin' })).statusCode).toBe(500);
    await ledger.pool.query('alter table elsewhere rename to audit_entries');
    await ledger.app.close();
    const { rows } = await ledger.pool.query(
      `select times from audit_entries where kind = 'refusal'`,
    );
    expect(rows).toEqual([{ times: 1 }]);
  });
});

test('the trail is read page by page, by kind and by analyst', async () => {
  for (const bear of [0.1, 0.2, 0.3]) {
    await ledger.revise({ probabilities: { bear, base: 0.5, bull: 0.5 - bear }, rationale: 'R' });
  }
  await ledger.call({ url: '/v1/keys', as: 'feed' });
  const whole = (await read()).items;
  const walked: Entry[] = [];
  let cursor = '';
  do {
    const page = await read(`?limit=2${cursor}`);
    walked.push(...page.items);
    cursor = page.nextCursor === null ? '' : `&cursor=${page.nextCursor}`;
  } while (cursor !== '');
  expect(walked).toEqual(whole);
  const { analyst } = await idOf('analyst');
  const { items } = await read(`?analyst=${analyst}&kind=write`);
  expect(items.map(({ path }) => path)).toEqual(Array(3).fill(`${URL}/revisions`));
  const bad = await ledger.call({ url: '/v1/audit?kind=odd&analyst=x', as: 'admin' });
  expect(
    bad.json<{ errors: { pointer: string }[] }>().errors.map(({ pointer }) => pointer),
  ).toEqual(['/kind', '/analyst']);
});

test.for([
  ['a write of nobody from afar', `'write', null, 'POST', '/', 201, null, null, '192.0.2.1', 1`],
  ['a write that was refused', `'write', null, 'POST', '/', 422, null, null, null, 1`],
  ['a write with a problem', `'write', null, 'POST', '/', 201, 'forbidden', 'd', null, 1`],
  ['a refusal of another kind', `'refusal', null, 'POST', '/', 422, 'p', 'd', null, 1`],
  ['a refusal that never was', `'refusal', null, 'POST', '/', 401, 'p', 'd', null, 0`],
  ['something else', `'rumour', null, 'POST', '/', 401, 'p', 'd', null, 1`],
])('Postgres refuses %s', async ([, values]) => {
  const owner = await openSession(ledger.url);
  const refused = await refusal(
    owner,
    `insert into audit_entries (recorded_at, kind, analyst_id, method, path, status, problem, detail,
       address, times) values (now(), ${values})`,
  );
  await owner.end();
  expect(refused).toBe('audit_entries_kind');
});
