import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deleteExpiredRefusals } from '../../src/access/audit-log.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';
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
    const listed = items.map((entry) =>
      ['status', 'problem', 'times', 'role', 'path', 'address', 'detail'].map(
        (name) => entry[name],
      ),
    );
    expect(items.map(({ analyst }) => analyst !== null)).toEqual([true, false, false]);
    const hint = ledger.keys.feed.slice(0, 8);
    const forbidden = `This requires a key with the role admin; ${hint}… has the role feed.`;
    const unsent = 'No key was sent. Send it as Authorization: Bearer olk_….';
    const where = ['/v1/keys', '192.0.2.7'];
    expect(listed.toReversed()).toEqual([
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

  test('is recorded with the pattern of its route', async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      await ask(undefined, `/v1/keys/${'0'.repeat(7)}${turn}-0000-4000-8000-000000000000`);
      await ask(undefined, `/v1/webhooks/${'x'.repeat(turn + 1)}`);
    }
    const { items } = await read('?kind=refusal');
    expect(items.map(({ path, times }) => [path, times])).toEqual([
      ['/v1/webhooks/:id', 5],
      ['/v1/keys/:id', 5],
    ]);
  });

  test('of a known caller is found among any number of others', async () => {
    const flood = async (from: number) => {
      for (let turn = 0; turn < 150; turn += 1)
        await ask(undefined, '/v1/keys', `2001:db8::${from + turn}`);
    };
    await flood(0);
    await ask(`Bearer ${ledger.keys.feed}`);
    await flood(1_000);
    // Another desk does the same without end.
    for (let turn = 0; turn < 150; turn += 1)
      await ask(`Bearer ${ledger.keys.analyst}`, '/v1/audit', `192.0.2.${turn}`);
    const { analyst } = await idOf('feed');
    const { items } = await read(`?kind=refusal&analyst=${analyst}`);
    expect(items).toMatchObject([{ status: 403, path: '/v1/keys', role: 'feed', times: 1 }]);
    const noisy = (await read(`?kind=refusal&analyst=${(await idOf('analyst')).analyst}&limit=100`))
      .items;
    expect(noisy.length).toBe(21);
    expect(noisy.find(({ path }) => path === '…')).toMatchObject({ times: 130, role: 'analyst' });
  });

  test('of a revoked or an expired key names the key and whose it was', async () => {
    const { id, analyst } = await idOf('feed');
    await ledger.call({ method: 'DELETE', url: `/v1/keys/${id}`, as: 'admin' });
    await ask(`Bearer ${ledger.keys.feed}`);
    const soon = new Date(ledger.clock.now.getTime() + 1_000).toISOString();
    const payload = { name: 'Soon', role: 'admin', expiresAt: soon };
    const issued = await ledger.call({ method: 'POST', url: '/v1/keys', as: 'admin', payload });
    const short = issued.json<{ id: string; key: string; analystId: string }>();
    ledger.clock.now = new Date(soon);
    await ask(`Bearer ${short.key}`);
    const { items } = await read('?kind=refusal');
    expect(items).toMatchObject([
      { status: 401, credential: short.id, analyst: { id: short.analystId }, role: 'admin' },
      { status: 401, credential: id, analyst: { id: analyst }, role: 'feed' },
    ]);
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
    expect((await ledger.call({ url: '/v1/audit', as: 'admin' })).statusCode).toBe(503);
    await ledger.pool.query('alter table elsewhere rename to audit_entries');
    await ledger.app.close();
    const { rows } = await ledger.pool.query(
      `select times from audit_entries where kind = 'refusal'`,
    );
    expect(rows).toEqual([{ times: 1 }]);
  });
});

describe('what a write is about', () => {
  const as = 'admin';
  const payloadOf = (body: object) => ({ payload: body });
  const newest = async () => (await read('?kind=write&limit=1')).items[0];

  test('a key: its id, its name and its role', async () => {
    const body = { name: 'Night desk', role: 'feed' };
    const issued = await ledger.call({ method: 'POST', url: '/v1/keys', as, ...payloadOf(body) });
    const { id } = issued.json<{ id: string }>();
    const subject = `/v1/keys/${id}`;
    expect(await newest()).toMatchObject({
      subject,
      summary: 'Issued to "Night desk" with the role feed for all desks',
    });
    await ledger.call({ method: 'DELETE', url: subject, as });
    expect(await newest()).toMatchObject({ subject, summary: 'Revoked: "Night desk", role feed' });
    const { items } = await read(`?subject=${subject}`);
    expect(items.map(({ method }) => method)).toEqual(['DELETE', 'POST']);
  });

  test('an outlook, evidence, a view, a condition and an outcome', async () => {
    const about = async (method: 'POST' | 'PUT' | 'DELETE', path: string, body?: object) => {
      const url = `${URL}/${path}`;
      const answer = await ledger.call({ method, url, as, ...(body && payloadOf(body)) });
      expect(answer.statusCode, answer.body).toBeLessThan(300);
      return { ...(await newest()), answer: answer.json<Record<string, unknown>>() };
    };
    const { analyst } = await idOf('admin');
    const revision = { probabilities: numbers, rationale: 'R' };
    expect(await about('POST', 'revisions', revision)).toMatchObject({
      subject: `${URL}/versions/2`,
      summary: 'Published the version',
    });
    const evidence = {
      headline: 'Yields jumped',
      summary: 'S',
      publisher: 'P',
      publishedAt: '2026-11-20T15:00:00Z',
    };
    const added = await about('POST', 'evidence', evidence);
    expect(added).toMatchObject({
      subject: `${URL}/evidence/${added.answer['id'] as string}`,
      summary: 'Added "Yields jumped"',
    });
    expect(await about('PUT', 'views/me', revision)).toMatchObject({
      subject: `${URL}/views/${analyst}`,
      summary: 'Recorded the view, version 1',
    });
    expect(await about('PUT', 'views/me', revision)).toMatchObject({ summary: 'Changed nothing' });
    expect(await about('DELETE', 'views/me')).toMatchObject({
      summary: 'Withdrew the view, version 2',
    });
    expect(await about('POST', 'resolution', { outcome: 'bear', reason: 'R' })).toMatchObject({
      subject: `${URL}/resolution`,
      summary: 'Recorded resolution 1: bear',
    });
  });

  test('a series, its observations, an instrument and a webhook', async () => {
    const about = async (method: 'POST' | 'PATCH' | 'DELETE', url: string, body?: object) => {
      const type = method === 'PATCH' ? 'merge-patch+json' : 'json';
      const headers = { 'content-type': `application/${type}` };
      const sent = body && { payload: JSON.stringify(body), headers };
      const answer = await ledger.call({ method, url, as, ...sent });
      expect(answer.statusCode, answer.body).toBeLessThan(300);
      const entry = await newest();
      return { about: [entry?.['subject'], entry?.['summary']], answer };
    };
    const series = {
      key: 'spread',
      name: 'Spread',
      unit: 'percent',
      frequency: 'daily',
      source: 'S',
    };
    expect(await about('POST', '/v1/series', series)).toMatchObject({
      about: ['/v1/series/spread', 'Added "Spread"'],
    });
    const observations = [{ date: '2026-11-19', value: 9 }];
    expect(await about('POST', '/v1/series/spread/observations', { observations })).toMatchObject({
      about: ['/v1/series/spread/observations', 'Added 1, revised 0, retracted 0'],
    });
    const instrument = { symbol: 'NEW', name: 'New index', kind: 'index' };
    expect(await about('POST', '/v1/instruments', instrument)).toMatchObject({
      about: ['/v1/instruments/NEW', 'Added "New index"'],
    });
    expect(await about('PATCH', '/v1/instruments/NEW', { closes: 'spread' })).toMatchObject({
      about: ['/v1/instruments/NEW', 'Set the series of its closes: spread'],
    });
    const { about: added, answer } = await about('POST', '/v1/webhooks', {
      url: 'https://hooks.example/secret-path',
    });
    const { id } = answer.json<{ id: string }>();
    const subject = `/v1/webhooks/${id}`;
    expect(added).toEqual([subject, 'Added the webhook']);
    const disabled = { enabled: false };
    expect(await about('PATCH', `/v1/webhooks/${id}`, disabled)).toMatchObject({
      about: [subject, 'Changed enabled'],
    });
    expect(await about('POST', `/v1/webhooks/${id}/secret`)).toMatchObject({
      about: [subject, 'Rotated the secret'],
    });
    expect(await about('DELETE', `/v1/webhooks/${id}`)).toMatchObject({
      about: [subject, 'Deleted the webhook'],
    });
    const { rows } = await ledger.pool.query(
      `select from audit_entries e where kind = 'write' and subject is null or e::text ~ 'secret-path'`,
    );
    expect(rows).toEqual([]);
  });

  test('each of several revisions that are committed together', async () => {
    const revisions = [1, 2, 3, 4, 5].map((bear) =>
      ledger.revise({
        probabilities: { bear: bear / 10, base: 0.3, bull: (7 - bear) / 10 },
        rationale: 'R',
      }),
    );
    const versions = (await Promise.all(revisions)).map((one) => one.json<{ version: number }>());
    const { items } = await read('?kind=write&limit=5');
    expect(items.map(({ subject }) => subject)).toEqual(
      versions
        .map(({ version }) => version)
        .toSorted((a, b) => b - a)
        .map((version) => `${URL}/versions/${version}`),
    );
  });
});

describe('no secret is recorded', () => {
  const key = `olk_${'k'.repeat(43)}`;
  const trail = async () => {
    await read();
    const { rows } = await ledger.pool.query<{ entry: string }>(
      'select audit_entries::text as entry from audit_entries',
    );
    return rows.map(({ entry }) => entry).join('\n');
  };

  test('in a request id, which is replaced', async () => {
    const headers = { 'x-request-id': key };
    const refused = await ledger.call({ url: '/v1/keys', headers });
    expect(refused.headers['x-request-id']).not.toContain('olk_');
    const written = await ledger.revise({ probabilities: numbers, rationale: 'R' }, headers);
    expect(written.headers['x-request-id']).not.toContain('olk_');
    expect(await trail()).not.toContain('kkkkk');
  });

  test('in what a write is about; what is stored stays as it was sent', async () => {
    const headline = `Do not send ${key} to anyone`;
    const sent = { headline, summary: 'S', publisher: 'P', publishedAt: '2026-11-20T15:00:00Z' };
    const added = await ledger.call({
      method: 'POST',
      url: `${URL}/evidence`,
      as: 'analyst',
      payload: sent,
    });
    expect(added.json()).toMatchObject({ headline });
    const { id } = added.json<{ id: string }>();
    expect((await ledger.call({ url: `${URL}/evidence/${id}` })).json()).toMatchObject({
      headline,
    });
    expect(await trail()).not.toContain('kkkkk');
    expect(await trail()).toContain('Do not send olk_… to anyone');
  });
});

describe('expired refusals', () => {
  const insert = (
    session: { query: (text: string) => Promise<unknown> },
    age: string,
    by = 'null',
  ) =>
    session.query(
      `insert into audit_entries (recorded_at, kind, credential, method, path, status, problem, detail, times)
       select now() - interval '${age}', 'refusal', ${by}, 'GET', '/v1/keys', 401, 'unauthorized', 'D', 1`,
    );
  const ages = async () => {
    const { rows } = await ledger.pool.query<{ days: number; credential: string | null }>(
      `select round(extract(epoch from now() - recorded_at) / 86400)::int as days, credential
         from audit_entries where kind = 'refusal' order by recorded_at`,
    );
    return rows;
  };

  test('are deleted if they name no caller, and nothing else is', async () => {
    const writes = (await read('?kind=write')).items;
    for (const age of ['400 days', '91 days', '89 days', '1 day']) await insert(ledger.pool, age);
    await insert(ledger.pool, '400 days', `'a key'`);
    const before = new Date(Date.now() - 90 * 24 * 3_600_000);
    await Promise.all([
      deleteExpiredRefusals(ledger.pool, before),
      deleteExpiredRefusals(ledger.pool, before),
    ]);
    expect(await ages()).toEqual([
      { days: 400, credential: 'a key' },
      { days: 89, credential: null },
      { days: 1, credential: null },
    ]);
    expect((await read('?kind=write')).items).toEqual(writes);
    // However far ahead the service's clock is.
    await deleteExpiredRefusals(ledger.pool, new Date('2100-01-01'));
    expect(await ages()).toEqual([
      { days: 400, credential: 'a key' },
      { days: 1, credential: null },
    ]);
  });

  test('are the only entries that Postgres lets anyone delete', async () => {
    await ask401();
    await read(); // writes what was refused
    const owner = await openSession(ledger.url);
    await insert(owner, '8 days');
    await insert(owner, '8 days', `'a key'`);
    await insert(owner, '6 days');
    const gone = (where: string) => `delete from audit_entries where ${where}`;
    const [days, hours] = [`interval '7 days'`, `interval '1 hour'`];
    for (const where of [
      `kind = 'write'`,
      `credential = 'a key'`,
      `recorded_at between now() - ${days} and now() - ${hours}`,
      'true',
    ]) {
      expect(await refusal(owner, gone(where))).toBe('audit_entries_append_only');
    }
    const old = `kind = 'refusal' and credential is null and recorded_at < now() - ${days}`;
    expect(await attempt(owner, gone(old))).toBeNull();
    await owner.end();
  });

  const ask401 = () => ledger.call({ url: '/v1/keys', remoteAddress: '192.0.2.7' });
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
