import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { faultsOf, outlookBody, send, stored, withOneRecord } from '../support/requests.ts';

type Method = 'POST' | 'PUT' | 'PATCH';
type Problem = { type: string; detail: string; errors?: { pointer: string; detail: string }[] };
const PROBABILITIES = { bear: 0.4, base: 0.35, bull: 0.25 };
const REVISION = { probabilities: PROBABILITIES, rationale: 'Why.' };
const LATER = { from: '2027-03-31', to: '2028-03-31' };

let ledger: TestLedger;
const keys: Record<string, string> = {};

async function issue(name: string, role: string, desks: unknown): Promise<void> {
  const issued = await send(ledger, 'POST', '/v1/keys', { name, role, desks }, { as: 'admin' });
  keys[name] = issued.json<{ key: string }>().key;
}

beforeAll(async () => {
  ledger = await startLedger();
  for (const [slug, name] of [
    ['rates', 'Rates desk'],
    ['credit', 'Credit desk'],
  ]) {
    await send(ledger, 'POST', '/v1/desks', { slug, name }, { as: 'admin' });
  }
  await issue('rates', 'analyst', ['rates']);
  await issue('credit', 'analyst', ['credit']);
  await issue('both', 'analyst', ['rates', 'credit']);
  await issue('all', 'analyst', '*');
  await issue('rates feed', 'feed', ['rates']);
  await issue('credit feed', 'feed', ['credit']);
});
afterAll(() => ledger.close());

const by = (name: string, method: Method, url: string, body: unknown, headers = {}) => {
  const authorization = `Bearer ${keys[name]}`;
  return send(ledger, method, url, body, { headers: { authorization, ...headers } });
};
const remove = (name: string, url: string) =>
  ledger.call({ method: 'DELETE', url, headers: { authorization: `Bearer ${keys[name]}` } });
const publish = (name: string, change: Record<string, unknown>) =>
  by(name, 'POST', '/v1/outlooks', outlookBody(change));
const addSeries = (name: string, key: string, change: Record<string, unknown> = {}) =>
  by(name, 'POST', '/v1/series', {
    key,
    name: 'N',
    unit: 'percent',
    frequency: 'daily',
    source: 'S',
    ...change,
  });
const problem = (answer: Awaited<ReturnType<typeof by>>) => ({
  status: answer.statusCode,
  ...answer.json<Problem>(),
});

describe('a new outlook', () => {
  test('belongs to the only desk of its author, and says so everywhere', async () => {
    const created = await publish('rates', { slug: 'of-rates' });
    expect(created.statusCode, created.body).toBe(201);
    const owner = { desk: { slug: 'rates', name: 'Rates desk' }, visibility: 'public' };
    expect(created.json()).toMatchObject(owner);
    const url = '/v1/outlooks/of-rates';
    const { body, headers } = await ledger.call({ url });
    expect(body).toBe(created.body);
    expect(headers['etag']).toBe(created.headers['etag']);
    expect((await ledger.call({ url: `${url}/versions/1` })).json()).toMatchObject(owner);
    const past = await ledger.call({ url: `${url}?asOf=2026-11-20T16:00:00Z` });
    expect(past.json()).toMatchObject(owner);
    const { items } = (await ledger.call({ url: '/v1/outlooks' })).json<{ items: object[] }>();
    expect(items).toContainEqual(expect.objectContaining({ slug: 'of-rates', ...owner }));
    const csv = (await ledger.call({ url: '/v1/outlooks?desk=rates&format=csv' })).body;
    expect(csv.split('\r\n')[0]).toMatch(/desk.slug,desk.name,visibility$/);
    expect(csv.split('\r\n')[1]).toMatch(/rates,Rates desk,public$/);
    expect((await ledger.call({ url: `${url}?format=md` })).body).toContain('Rates desk');
    expect(
      (await ledger.call({ url: '/outlooks/of-rates', headers: { accept: 'text/html' } })).body,
    ).toMatch(/<a href="\/desks\/rates"><bdi>Rates desk<\/bdi>/);
  });

  test('names its desk if its author acts for several', async () => {
    const open = problem(await publish('both', { slug: 'of-both' }));
    expect([open.status, faultsOf(open)]).toEqual([
      422,
      { '/desk': 'is required; send one of "credit", "rates"' },
    ]);
    const unknown = problem(
      await publish('all', { slug: 'of-all', desk: 'nowhere', instrument: 'NO' }),
    );
    expect([unknown.status, faultsOf(unknown)]).toEqual([
      422,
      {
        '/desk': '"nowhere" is unknown; send one of "credit", "main", "rates"',
        '/instrument': expect.stringContaining('is unknown'),
      },
    ]);
    const created = await publish('both', { slug: 'of-credit', desk: 'credit' });
    expect(created.json()).toMatchObject({ desk: { slug: 'credit' } });
    expect((await publish('all', { slug: 'of-main', desk: 'main' })).statusCode).toBe(201);
  });

  test('is refused for a desk that its author does not act for', async () => {
    const before = await stored(ledger);
    const refused = problem(await publish('rates', { slug: 'foreign', desk: 'credit' }));
    expect([refused.status, refused.type]).toEqual([403, '/problems/wrong-desk']);
    expect(refused.detail).toContain('"credit" (Credit desk)');
    expect([before, withOneRecord(before)]).toContainEqual(await stored(ledger));
  });
});

describe('only the desk of an outlook', () => {
  const url = '/v1/outlooks/of-rates';
  test.each<[string, Method, string, unknown]>([
    ['revises it', 'POST', '/revisions', REVISION],
    ['reaffirms it', 'POST', '/revisions', { reaffirm: true, rationale: 'Still.' }],
    ['rewords it', 'PATCH', '/framework', { summary: 'New.', rationale: 'Why.' }],
    ['publishes its consensus', 'POST', '/consensus', { rationale: 'Why.' }],
    ['resolves it', 'POST', '/resolution', { outcome: 'void', reason: 'Why.' }],
    ['withdraws it', 'POST', '/withdrawal', { rationale: 'Why.' }],
    [
      'assesses its conditions',
      'POST',
      '/conditions/domestic-breadth/assessments',
      { state: 'triggered', rationale: 'Why.' },
    ],
  ])('%s', async (_, method, path, body) => {
    const before = await stored(ledger);
    const refused = problem(await by('credit', method, `${url}${path}`, body));
    expect([refused.status, refused.type]).toEqual([403, '/problems/wrong-desk']);
    expect(refused.detail).toContain('"of-rates" belongs to the desk "rates" (Rates desk)');
    expect([before, withOneRecord(before)]).toContainEqual(await stored(ledger));
  });

  test('is told of another version only if it may change it', async () => {
    const stale = { 'if-match': '"stale"' };
    expect((await by('credit', 'POST', `${url}/revisions`, REVISION, stale)).statusCode).toBe(403);
    expect((await by('rates', 'POST', `${url}/revisions`, REVISION, stale)).statusCode).toBe(412);
  });

  test('but every analyst adds views and evidence', async () => {
    const view = { probabilities: PROBABILITIES, rationale: 'Mine.' };
    expect((await by('credit', 'PUT', `${url}/views/me`, view)).statusCode).toBe(201);
    const item = {
      headline: 'H',
      summary: 'S',
      publisher: 'P',
      publishedAt: '2026-11-17T13:30:00Z',
    };
    const added = await by('credit', 'POST', `${url}/evidence`, item);
    expect(added.statusCode, added.body).toBe(201);
    expect((await remove('credit', `${url}/views/me`)).statusCode).toBe(200);
  });

  test('of revisions that share a transaction, each succeeds or fails alone', async () => {
    const answers = await Promise.all(
      ['rates', 'credit', 'both', 'all', 'credit', 'rates'].map((name, index) => {
        const bull = 0.01 * (index + 1);
        const probabilities = { bear: 0.4, base: Number((0.6 - bull).toFixed(2)), bull };
        return by(name, 'POST', `${url}/revisions`, { probabilities, rationale: `${index}.` });
      }),
    );
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 403, 201, 201, 403, 201]);
    const versions = answers.flatMap((answer) => answer.json<{ version?: number }>().version ?? []);
    expect(versions.toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5]);
  });

  test('which gets its first response again with the same Idempotency-Key', async () => {
    const headers = { 'idempotency-key': '"once"' };
    const first = await by('rates', 'POST', `${url}/revisions`, REVISION, headers);
    expect(first.statusCode, first.body).toBe(201);
    const again = await by('rates', 'POST', `${url}/revisions`, REVISION, headers);
    expect(again.body).toBe(first.body);
    const other = await by('credit', 'POST', `${url}/revisions`, REVISION, headers);
    expect(other.statusCode).toBe(403);
  });

  test('so all-desk keys and admins change the sample, which the first desk owns', async () => {
    const sample = `/v1/outlooks/${SLUG}/revisions`;
    expect((await by('rates', 'POST', sample, REVISION)).statusCode).toBe(403);
    expect((await by('all', 'POST', sample, REVISION)).statusCode).toBe(201);
    const more = { ...REVISION, probabilities: { bear: 0.5, base: 0.3, bull: 0.2 } };
    expect((await send(ledger, 'POST', sample, more, { as: 'admin' })).statusCode).toBe(201);
  });
});

describe('a series', () => {
  const at = (key: string) => `/v1/series/${key}/observations`;
  const observations = { observations: [{ date: '2026-11-19', value: 1 }] };

  test('belongs to a desk, and only its keys send observations and set its source', async () => {
    const added = await addSeries('rates feed', 'rates-series');
    expect([added.statusCode, added.json()]).toMatchObject([
      201,
      { desk: { slug: 'rates', name: 'Rates desk' }, visibility: 'public' },
    ]);
    expect((await ledger.call({ url: '/v1/series/rates-series' })).json()).toEqual(added.json());
    const source = { kind: 'fred', id: 'DGS10', everyMinutes: 720 };
    const from = '/v1/series/rates-series/source';
    for (const answer of [
      await by('credit feed', 'POST', at('rates-series'), observations),
      await by('credit feed', 'POST', `${at('rates-series')}?dryRun=true`, observations),
      await by('credit feed', 'PUT', from, source),
      await remove('credit feed', from),
    ]) {
      const refused = problem(answer);
      expect([refused.status, refused.type]).toEqual([403, '/problems/wrong-desk']);
      expect(refused.detail).toContain('"rates-series" belongs to the desk "rates"');
    }
    expect((await by('rates feed', 'POST', at('rates-series'), observations)).statusCode).toBe(200);
    expect((await by('rates feed', 'PUT', from, source)).statusCode).toBe(201);
    expect((await remove('rates feed', from)).statusCode).toBe(204);
    expect((await remove('rates feed', from)).statusCode).toBe(404);
  });

  test('names its desk as a new outlook does', async () => {
    const taken = problem(await addSeries('rates feed', 'other', { desk: 'credit' }));
    expect([taken.status, taken.type]).toEqual([403, '/problems/wrong-desk']);
    const open = await send(
      ledger,
      'POST',
      '/v1/series',
      { key: 'open', name: 'N', unit: 'U', frequency: 'daily', source: 'S' },
      { as: 'admin' },
    );
    expect([open.statusCode, faultsOf(problem(open))]).toEqual([
      422,
      { '/desk': 'is required; send one of "credit", "main", "rates"' },
    ]);
    const copy = (await ledger.call({ url: '/v1/series/rates-series' })).json<object>();
    expect(
      (await addSeries('rates feed', 'rates-copy', { ...copy, key: 'rates-copy' })).statusCode,
    ).toBe(201);
  });

  test('is listed by its desk', async () => {
    const listed = async (desk: string) =>
      (await ledger.call({ url: `/v1/series?desk=${desk}` }))
        .json<{ items: { key: string }[] }>()
        .items.map(({ key }) => key);
    expect(await listed('rates')).toEqual(['rates-copy', 'rates-series']);
    expect(await listed('main')).toContain('rut-close');
    expect(await listed('nowhere')).toEqual([]);
    const first = await ledger.call({ url: '/v1/series?desk=rates&limit=1' });
    const { nextCursor } = first.json<{ nextCursor: string }>();
    const other = await ledger.call({ url: `/v1/series?desk=main&limit=1&cursor=${nextCursor}` });
    expect(other.statusCode).toBe(422);
  });
});

describe('visibility', () => {
  const rule = (series: string) => ({
    invalidationConditions: [
      {
        key: 'c',
        invalidates: 'bear',
        statement: 'S',
        rule: { series, operator: 'lt', threshold: 1, forObservations: 1 },
      },
    ],
  });
  const SERIES = '/invalidationConditions/0/rule/series';

  test('an internal outlook uses internal series of its own desk, and a public one does not', async () => {
    const internal = { visibility: 'internal' };
    expect((await addSeries('rates feed', 'rates-own', internal)).json()).toMatchObject(internal);
    await addSeries('credit feed', 'credit-own', internal);
    const own = await publish('rates', { slug: 'draft', ...internal, ...rule('rates-own') });
    expect([own.statusCode, own.json()]).toMatchObject([201, internal]);
    const open = await publish('rates', { slug: 'no', ...rule('rates-own') });
    expect(faultsOf(problem(open))).toEqual({
      [SERIES]: '"rates-own" is internal, and a public outlook may use only public series',
    });
    const foreign = await publish('all', {
      slug: 'no',
      desk: 'rates',
      ...internal,
      ...rule('credit-own'),
    });
    expect(faultsOf(problem(foreign))).toEqual({
      [SERIES]:
        '"credit-own" is internal to another desk; use a public series, or one of the desk of the outlook',
    });
    const hidden = await publish('credit', { slug: 'no', ...internal, ...rule('rates-own') });
    const unknown = await publish('credit', { slug: 'no', ...internal, ...rule('rates-owm') });
    expect(hidden.statusCode).toBe(422);
    expect(faultsOf(problem(hidden))[SERIES]).toBe(
      faultsOf(problem(unknown))[SERIES]?.replace('rates-owm', 'rates-own'),
    );
    const patch = { ...rule('rates-own'), rationale: 'Why.' };
    const reworded = await by('rates', 'PATCH', '/v1/outlooks/of-rates/framework', patch);
    expect(faultsOf(problem(reworded))).toEqual(faultsOf(problem(open)));
  });

  test('the closes of an instrument are public', async () => {
    const instrument = { symbol: 'OWN', name: 'N', kind: 'index', closes: 'rates-own' };
    const refused = await by('rates', 'POST', '/v1/instruments', instrument);
    expect(faultsOf(problem(refused))).toEqual({
      '/closes': expect.stringContaining('is internal; instruments are for all desks'),
    });
    const hidden = await by('credit', 'POST', '/v1/instruments', instrument);
    expect(faultsOf(problem(hidden))).toEqual({
      '/closes': '"rates-own" is unknown; create it with POST /v1/series',
    });
    await by('credit', 'POST', '/v1/instruments', { ...instrument, closes: null });
    for (const name of ['rates', 'credit']) {
      const patched = await by(name, 'PATCH', '/v1/instruments/OWN', { closes: 'rates-own' });
      expect(patched.statusCode).toBe(422);
    }
    const shared = await by('credit', 'PATCH', '/v1/instruments/OWN', { closes: 'rates-series' });
    expect(shared.statusCode, shared.body).toBe(200);
  });

  test('a clone of an internal outlook is internal unless its author says otherwise', async () => {
    const clone = (name: string, slug: string, change = {}) =>
      by(name, 'POST', '/v1/outlooks', {
        from: { slug: 'draft' },
        slug,
        rationale: 'Why.',
        invalidationConditions: [],
        ...change,
      });
    expect((await clone('rates', 'clone')).json()).toMatchObject({ visibility: 'internal' });
    const open = await clone('rates', 'open-clone', { visibility: 'public' });
    expect(open.json()).toMatchObject({ visibility: 'public' });
    const hidden = problem(await clone('credit', 'foreign-clone'));
    expect([hidden.status, hidden.detail]).toEqual([422, 'There is no outlook "draft".']);
    const ofPublic = { from: { slug: 'of-rates' }, slug: 'of-credit-too', rationale: 'Why.' };
    expect((await by('credit', 'POST', '/v1/outlooks', ofPublic)).json()).toMatchObject({
      desk: { slug: 'credit' },
      visibility: 'public',
    });
  });
});

describe('an outlook that continues another', () => {
  const goOn = (name: string, continues: string, change: Record<string, unknown> = {}) =>
    publish(name, { slug: `${continues}-2`, continues, horizon: LATER, ...change });

  test('is of the same desk, by an author of that desk', async () => {
    const refused = problem(await goOn('credit', 'of-rates'));
    expect([refused.status, refused.type]).toEqual([403, '/problems/wrong-desk']);
    const other = problem(await goOn('both', 'of-rates', { desk: 'credit' }));
    expect(faultsOf(other)).toEqual({
      '/desk': 'must be rates, the desk of "of-rates"; or leave continues out',
    });
    const created = await goOn('both', 'of-rates');
    expect([created.statusCode, created.json()]).toMatchObject([201, { desk: { slug: 'rates' } }]);
  });

  test('is internal if that one is, and public if that one is', async () => {
    const open = problem(await goOn('rates', 'draft', { visibility: 'public' }));
    expect(faultsOf(open)).toEqual({
      '/visibility': 'must be internal, as "draft" is; or leave continues out',
    });
    const created = await goOn('rates', 'draft');
    expect([created.statusCode, created.json()]).toMatchObject([201, { visibility: 'internal' }]);
    const closed = problem(
      await goOn('credit', 'of-credit', { visibility: 'internal', instrument: 'NONE' }),
    );
    expect(faultsOf(closed)).toEqual({
      '/visibility': 'must be public, as "of-credit" is; or leave continues out',
      '/instrument': expect.stringContaining('is unknown'),
    });
  });

  test('names none that its author may not see', async () => {
    const hidden = problem(await goOn('credit', 'draft', { slug: 'x' }));
    expect(faultsOf(hidden)).toEqual({
      '/continues': '"draft" is unknown; send the slug of an existing outlook',
    });
  });
});

describe('outlooks are found by their desk', () => {
  const slugsOf = async (query: string) =>
    (await ledger.call({ url: `/v1/outlooks?${query}`, as: 'admin' }))
      .json<{ items: { slug: string }[] }>()
      .items.map(({ slug }) => slug);

  test('and other filters', async () => {
    expect(await slugsOf('desk=credit&sort=slug')).toEqual(['of-credit', 'of-credit-too']);
    expect(await slugsOf('desk=main&sort=slug')).toEqual(['of-main', SLUG]);
    expect(await slugsOf('desk=credit&status=resolved')).toEqual([]);
    expect(await slugsOf('desk=credit&q=russell')).toHaveLength(2);
    expect(await slugsOf('desk=nowhere')).toEqual([]);
  });

  test('also those that are older than desks, which the first one owns', async () => {
    const session = await ledger.pool.connect();
    await session.query('begin');
    await session.query('set local session_replication_role = replica');
    await session.query('update outlooks set desk_id = null, is_internal = null where slug = $1', [
      SLUG,
    ]);
    await session.query('commit');
    session.release();
    expect(await slugsOf('desk=main&sort=slug')).toEqual(['of-main', SLUG]);
    const read = await ledger.call({ url: `/v1/outlooks/${SLUG}/versions/1` });
    expect(read.json()).toMatchObject({ desk: { slug: 'main' }, visibility: 'public' });
    const refused = await by('rates', 'POST', `/v1/outlooks/${SLUG}/revisions`, REVISION);
    expect(problem(refused).detail).toContain('"main" (Main desk)');
  });

  test('on pages', async () => {
    const page = async (url: string) => ledger.call({ url, headers: { accept: 'text/html' } });
    const ofCredit = await page('/desks/credit');
    expect(ofCredit.body).toContain('<h1 dir="auto">Credit desk</h1>');
    expect(ofCredit.body).toContain('/outlooks/of-credit"');
    expect(ofCredit.body).not.toContain('/outlooks/of-rates"');
    expect(ofCredit.body).toContain('<input type="hidden" name="desk" value="credit"/>');
    expect((await page('/?desk=credit')).body).toContain('/outlooks/of-credit"');
    expect((await page('/?desk=nowhere')).body).toContain('No outlooks match.');
    expect((await page('/desks/nowhere')).statusCode).toBe(404);
    expect((await page('/desks/No')).statusCode).toBe(404);
  });
});

test('a desk has its new name everywhere within moments', async () => {
  const url = '/v1/outlooks/of-credit';
  const nameAt = async (path: string) =>
    (await ledger.call({ url: path })).json<{ desk: { name: string } }>().desk.name;
  expect(await nameAt(url)).toBe('Credit desk');
  expect(await nameAt(`${url}/versions/1`)).toBe('Credit desk');
  await send(ledger, 'PATCH', '/v1/desks/credit', { name: 'Credit and loans' }, { as: 'admin' });
  await expect.poll(() => nameAt(url), { timeout: 10_000 }).toBe('Credit and loans');
  expect(await nameAt(`${url}/versions/1`)).toBe('Credit and loans');
  const etag = (await ledger.call({ url })).headers['etag'] ?? '';
  const headers = { 'if-match': etag };
  const revised = await by('credit', 'POST', `${url}/revisions`, REVISION, headers);
  expect([revised.statusCode, revised.json()]).toMatchObject([
    201,
    { desk: { name: 'Credit and loans' } },
  ]);
});
