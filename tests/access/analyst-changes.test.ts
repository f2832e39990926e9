import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eraseName } from '../../src/access/erasure.ts';
import { refreshSearch } from '../../src/ledger/refresh-search.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { openSession, refusal } from '../support/plain-sql.ts';
import { faultsOf, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

let count = 0;
let name = '';
let id = '';
let key = '';
beforeEach(async () => {
  count += 1;
  name = `Person ${'ABCDEFGHJKMNPQRSTUVWXYZ'[count]}${count}`;
  ({ id, key } = await issue(name));
});

async function issue(of: string, role = 'analyst') {
  const issued = await send(ledger, 'POST', '/v1/keys', { name: of, role }, { as: 'admin' });
  expect(issued.statusCode, issued.body).toBe(201);
  const { analystId, ...rest } = issued.json<{ analystId: string; key: string; id: string }>();
  return { id: analystId, key: rest.key, keyId: rest.id };
}

const change = (body: object, of = id, headers = {}) =>
  send(ledger, 'PATCH', `/v1/analysts/${of}`, body, { as: 'admin', headers });
const by = (sent: string) => ({ authorization: `Bearer ${sent}` });
const revise = (bear: number) =>
  ledger.call({
    method: 'POST',
    url: `/v1/outlooks/${SLUG}/revisions`,
    headers: { ...by(key), 'content-type': 'application/json' },
    payload: JSON.stringify({
      probabilities: { bear, base: 0.4, bull: (6000 - bear * 10_000) / 10_000 },
      rationale: 'News.',
    }),
  });
const changesOf = async () =>
  (
    await ledger.pool.query(
      'select kind, old_name, new_name from analyst_changes where analyst_id = $1 order by id',
      [id],
    )
  ).rows;

describe('an analyst who is renamed', () => {
  test('has the new name everywhere at once, and the ledger keeps both', async () => {
    expect((await revise(0.31)).statusCode).toBe(201);
    const url = `/v1/outlooks/${SLUG}`;
    expect((await ledger.call({ url })).json()).toMatchObject({ author: { id, name } });
    const changed = await change({ name: `New ${name}` });
    expect([changed.statusCode, changed.json()]).toEqual([
      200,
      { id, name: `New ${name}`, active: true },
    ]);
    expect((await ledger.call({ url })).json()).toMatchObject({
      author: { id, name: `New ${name}` },
    });
    expect(await changesOf()).toEqual([
      { kind: 'renamed', old_name: name, new_name: `New ${name}` },
    ]);
    const { rows } = await ledger.pool.query(
      `select kind, data, o.content from events e join openings o on o.event_id = e.id
        where kind = 'analyst.renamed' and data->>'subject' = $1`,
      [`/v1/analysts/${id}`],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0].content).toContain('"name":"admin desk"');
    await refreshSearch(ledger.servicePool, () => false);
    const found = await ledger.call({
      url: `/v1/outlooks?q=${encodeURIComponent(`"New ${name}"`)}`,
    });
    expect(found.json<{ items: unknown[] }>().items).toHaveLength(1);
    const author = `/v1/outlooks?author=${encodeURIComponent(`New ${name}`)}`;
    expect((await ledger.call({ url: author })).json<{ items: unknown[] }>().items).toHaveLength(1);
  });

  test('keeps the earlier name for themselves', async () => {
    await change({ name: `New ${name}` });
    const taken = await send(
      ledger,
      'POST',
      '/v1/keys',
      { name: name.toUpperCase(), role: 'feed' },
      { as: 'admin' },
    );
    expect(taken.statusCode).toBe(409);
    expect(taken.json()).toMatchObject({
      type: '/problems/name-taken',
      detail: expect.stringContaining(
        `looks like an earlier name of the analyst "New ${name}"`,
      ) as string,
    });
    expect((await change({ name })).json()).toMatchObject({ name });
    expect(await changesOf()).toHaveLength(2);
  });

  test.each([
    ['that looks like another', { name: 'anaIyst desk' }, 409, 'name-taken'],
    ['that cannot be seen', { name: 'A\u200bB' }, 422, 'invalid-request'],
    ['that is empty', { name: '' }, 422, 'invalid-request'],
    ['of another type', { name: 3 }, 422, 'invalid-request'],
    ['and something unknown', { name: 'Good', role: 'admin' }, 422, 'invalid-request'],
    ['not at all', {}, 422, 'invalid-request'],
  ])('does not get a name %s', async (_, body, status, type) => {
    const answer = await change(body);
    expect([answer.statusCode, answer.json<{ type: string }>().type]).toEqual([
      status,
      `/problems/${type}`,
    ]);
    expect(await changesOf()).toEqual([]);
  });

  test('may get the same name in other letters, and the same one again changes nothing', async () => {
    expect((await change({ name: name.toUpperCase() })).json()).toMatchObject({
      name: name.toUpperCase(),
    });
    expect((await change({ name: name.toUpperCase(), active: true })).statusCode).toBe(200);
    expect(await changesOf()).toHaveLength(1);
  });

  test('by two at once: each name is stored, one after the other, and one of two analysts gets it', async () => {
    const other = await issue(`Other ${name}`);
    const wanted = `Wanted ${name}`;
    const answers = await Promise.all([
      change({ name: wanted }),
      change({ name: wanted }, other.id),
      change({ name: `${name} II` }),
    ]);
    const codes = answers.slice(0, 2).map(({ statusCode }) => statusCode);
    expect(new Set(codes)).toEqual(new Set([200, 409]));
    const { rows } = await ledger.pool.query(
      'select old_name, new_name from analyst_changes where analyst_id = $1 order by id',
      [id],
    );
    rows.forEach((row, index) => expect(row.old_name).toBe(rows[index - 1]?.new_name ?? name));
  });

  test('needs an admin, and an id that exists', async () => {
    const answer = await send(ledger, 'PATCH', `/v1/analysts/${id}`, { name: 'X' });
    expect(answer.statusCode).toBe(403);
    const missing = await change({ name: 'X' }, '016d28b9-0db9-42d9-ba83-9f320b0c00e5');
    expect(missing.statusCode).toBe(404);
  });
});

describe('an analyst who is deactivated', () => {
  test('is refused, stays the author, and comes back', async () => {
    expect((await revise(0.33)).statusCode).toBe(201);
    expect((await change({ active: false })).json()).toEqual({ id, name, active: false });
    const refused = await revise(0.34);
    expect(refused.statusCode).toBe(401);
    expect(refused.json()).toMatchObject({
      detail: expect.stringContaining('belongs to an analyst who is deactivated') as string,
    });
    expect((await ledger.call({ url: '/v1/me', headers: by(key) })).statusCode).toBe(401);
    expect((await ledger.call({ url: `/v1/outlooks/${SLUG}` })).json()).toMatchObject({
      author: { id, name },
    });
    const issued = await send(ledger, 'POST', '/v1/keys', { name, role: 'feed' }, { as: 'admin' });
    expect(issued.json()).toMatchObject({ status: 409, type: '/problems/analyst-deactivated' });
    expect((await change({ active: true })).json()).toEqual({ id, name, active: true });
    expect((await revise(0.34)).statusCode).toBe(201);
    expect((await changesOf()).map(({ kind }) => kind)).toEqual(['deactivated', 'reactivated']);
  });

  test('has no view in a consensus from then on, but still in one as of an earlier time', async () => {
    const hold = await ledger.call({
      method: 'PUT',
      url: `/v1/outlooks/${SLUG}/views/me`,
      headers: { ...by(key), 'content-type': 'application/json' },
      payload: JSON.stringify({
        probabilities: { bear: 0.5, base: 0.3, bull: 0.2 },
        rationale: 'Mine.',
      }),
    });
    expect(hold.statusCode).toBe(201);
    const names = async (query = '') => {
      const answer = await ledger.call({
        url: `/v1/outlooks/${SLUG}/consensus${query}`,
        as: 'feed',
      });
      if (answer.statusCode !== 200) return [answer.json<{ type: string }>().type];
      return answer
        .json<{ views: { analyst: { name: string } }[] }>()
        .views.map((one) => one.analyst.name);
    };
    expect(await names()).toContain(name);
    const then = ledger.clock.now.toISOString();
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 60_000);
    await change({ active: false });
    expect(await names()).not.toContain(name);
    expect(await names(`?asOf=${then}`)).toContain(name);
    const list = await ledger.call({ url: `/v1/outlooks/${SLUG}/views`, as: 'feed' });
    expect(list.body).not.toContain(id);
    const history = await ledger.call({ url: `/v1/outlooks/${SLUG}/views/${id}`, as: 'feed' });
    expect(history.json<{ items: unknown[] }>().items).toHaveLength(1);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 60_000);
    await change({ active: true });
    expect(await names()).toContain(name);
  });

  test('never has the last admin key, not even if two deactivate each other', async () => {
    const { rows } = await ledger.pool.query<{ id: string }>(
      `select id from analysts where name = 'admin desk'`,
    );
    const admin = rows[0]?.id ?? '';
    const alone = await change({ active: false }, admin);
    expect(alone.json()).toMatchObject({ status: 409, type: '/problems/last-admin-key' });
    const second = await issue(`Admin ${name}`, 'admin');
    const answers = await Promise.all([
      change({ active: false }, second.id),
      ledger.call({
        method: 'PATCH',
        url: `/v1/analysts/${admin}`,
        headers: { ...by(second.key), 'content-type': 'application/merge-patch+json' },
        payload: '{"active":false}',
      }),
    ]);
    const codes = answers.map(({ statusCode }) => statusCode);
    expect(codes.filter((code) => code === 200)).toHaveLength(1);
    await ledger.pool.query(
      `insert into analyst_changes (analyst_id, kind, recorded_at)
       select id, 'reactivated', now() from analysts where deactivated_at is not null and id = $1`,
      [admin],
    );
    const revoked = await ledger.call({
      method: 'DELETE',
      url: `/v1/keys/${second.keyId}`,
      as: 'admin',
    });
    expect(revoked.statusCode, revoked.body).toBeLessThan(300);
  });
});

test('an erasure covers every name that the analyst had', async () => {
  await revise(0.36);
  await change({ name: `Second ${name}` });
  await revise(0.37);
  await change({ name: `Third ${name}` });
  const erased = await eraseName(ledger.pool, { id, name: `Third ${name}` }, ledger.clock.now);
  expect(erased.openings).toBeGreaterThan(1);
  const { rows: tables } = await ledger.pool.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`,
  );
  for (const table of tables) {
    const { rows } = await ledger.pool.query(
      `select 1 from "${table.name}" t where position($1 in t::text) > 0 limit 1`,
      [name],
    );
    expect(rows, table.name).toEqual([]);
  }
  const again = await change({ name: 'Back again' });
  expect([again.statusCode, faultsOf(again.json())]).toEqual([
    422,
    { '/name': 'was erased for good, so this analyst can get no other' },
  ]);
});

test('by plain SQL, only a row of analyst_changes changes an analyst', async () => {
  const owner = await openSession(ledger.url);
  const of = `from analysts where id = '${id}'`;
  const insert = (kind: string, names = 'null, null') =>
    `insert into analyst_changes (analyst_id, kind, old_name, new_name, recorded_at) select id, '${kind}', ${names}, now() ${of}`;
  try {
    for (const [statement, rule] of [
      [`update analysts set name = 'Other' where id = '${id}'`, 'analysts_append_only'],
      [`update analysts set deactivated_at = now() where id = '${id}'`, 'analysts_append_only'],
      [insert('reactivated'), 'analyst_changes_active'],
      [`${insert('deactivated')}; ${insert('deactivated')}`, 'analyst_changes_active'],
      [insert('renamed'), 'analyst_changes_renamed'],
      [insert('renamed', `'Nobody', 'Other'`), 'analyst_changes_renamed'],
      [insert('renamed', 'name, name'), 'analyst_changes_renamed'],
      [insert('deactivated', `null, 'Other'`), 'analyst_changes_names'],
    ] as const) {
      expect([statement, await refusal(owner, statement)]).toEqual([statement, rule]);
    }
  } finally {
    await owner.end();
  }
});
