import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { setSource, sourced, sourceOf } from '../support/pulling.ts';
import { faultsOf, send } from '../support/requests.ts';

let ledger: TestLedger;
let names: Record<string, string> = {};
beforeAll(async () => {
  ledger = await startLedger({
    samples: false,
    resolve: async (name) => [{ address: names[name] ?? '93.184.216.34', family: 4 }],
  });
});
afterAll(() => ledger.close());
afterEach(async () => {
  names = {};
  await ledger.pool.query('delete from series_sources');
});

const KEY = 'us-30y-yield';
const URL_OF_SOURCE = `/v1/series/${KEY}/source`;
const FRED = { kind: 'fred', id: 'DGS30' };
const put = (body: unknown, as: 'analyst' | 'feed' | 'admin' = 'feed') =>
  send(ledger, 'PUT', URL_OF_SOURCE, body, { as });

test('a source is set, read, changed and removed, and each change is audited', async () => {
  const created = await put(FRED);
  expect(created.statusCode).toBe(201);
  expect(created.headers.location).toBe(URL_OF_SOURCE);
  expect(created.headers['cache-control']).toBe('no-store');
  const now = ledger.clock.now.toISOString();
  expect(created.json()).toEqual({
    series: KEY,
    ...FRED,
    url: null,
    file: null,
    everyMinutes: 1_440,
    setAt: now,
    state: 'waiting',
    nextPullAt: now,
    lastSuccess: null,
    lastFailure: null,
  });
  const read = await ledger.call({ url: URL_OF_SOURCE, as: 'admin' });
  expect(read.json()).toEqual(created.json());

  const url = 'https://data.example/yields.csv?series=30y';
  const file = { dateColumn: 'Day', valueColumn: 'Yield', missing: ['-'] };
  const replaced = await put({ kind: 'url', url, file, everyMinutes: 60 }, 'admin');
  expect(replaced.statusCode).toBe(200);
  expect(replaced.json()).toMatchObject({
    kind: 'url',
    id: null,
    url,
    everyMinutes: 60,
    file: { ...file, format: null, dateFormat: null, decimal: null, delimiter: null },
  });

  const removed = await ledger.call({ method: 'DELETE', url: URL_OF_SOURCE, as: 'feed' });
  expect(removed.statusCode).toBe(204);
  const again = await ledger.call({ method: 'DELETE', url: URL_OF_SOURCE, as: 'feed' });
  expect(again.statusCode).toBe(404);
  const audit = await ledger.call({ url: `/v1/audit?subject=${URL_OF_SOURCE}`, as: 'admin' });
  expect(audit.json<{ items: object[] }>().items).toMatchObject([
    { method: 'DELETE', role: 'feed', summary: 'Removed the source' },
    { method: 'PUT', role: 'admin', summary: `Set the source to ${url}` },
    { method: 'PUT', role: 'feed', summary: 'Set the source to fred DGS30' },
  ]);
});

test('only feed and admin keys set, read and remove sources', async () => {
  for (const as of ['analyst', undefined] as const) {
    const caller = as ? { as } : {};
    const [set, read, removed] = [
      await ledger.call({
        ...caller,
        method: 'PUT',
        url: URL_OF_SOURCE,
        headers: { 'content-type': 'application/json' },
        payload: JSON.stringify(FRED),
      }),
      await ledger.call({ ...caller, url: URL_OF_SOURCE }),
      await ledger.call({ ...caller, method: 'DELETE', url: URL_OF_SOURCE }),
    ];
    const expected = as ? 403 : 401;
    expect([set.statusCode, read.statusCode, removed.statusCode]).toEqual([
      expected,
      expected,
      expected,
    ]);
  }
});

test('the same place keeps its status and is due now; another place starts anew', async () => {
  const key = await sourced(ledger, FRED);
  await ledger.pool.query(
    `update series_sources set due_at = '2030-01-01', last_success_at = now(), last_added = 1, last_revised = 0, last_unchanged = 0`,
  );
  const kept = await setSource(ledger, key, { ...FRED, everyMinutes: 30 });
  expect(kept).toMatchObject({
    everyMinutes: 30,
    nextPullAt: ledger.clock.now.toISOString(),
    lastSuccess: { added: 1 },
  });
  expect(await setSource(ledger, key, { ...FRED, id: 'DGS10' })).toMatchObject({
    everyMinutes: 1_440,
    lastSuccess: null,
  });
});

test('a pull under way goes on if its schedule changes', async () => {
  const key = await sourced(ledger, FRED);
  const lease = new Date(ledger.clock.now.getTime() + 60_000).toISOString();
  await ledger.pool.query('update series_sources set started_at = $1, due_at = $2, attempts = 1', [
    ledger.clock.now,
    lease,
  ]);
  const kept = await setSource(ledger, key, { ...FRED, everyMinutes: 30 });
  expect(kept).toMatchObject({ state: 'pulling', nextPullAt: lease, everyMinutes: 30 });
});

test('two who set the first source at once both succeed', async () => {
  const both = await Promise.all([put(FRED), put({ kind: 'ecb', id: 'EXR/D.USD.EUR.SP00.A' })]);
  expect(new Set(both.map(({ statusCode }) => statusCode))).toEqual(new Set([200, 201]));
  const { rows } = await ledger.pool.query('select from series_sources');
  expect(rows.length).toBe(1);
});

describe('refused with a pointer at each fault:', () => {
  test.each<[string, unknown, Record<string, RegExp>]>([
    ['nothing', {}, { '/kind': /^is required$/ }],
    ['an unknown provider', { kind: 'yahoo', id: 'X' }, { '/kind': /must be one of/ }],
    ['no id', { kind: 'fred' }, { '/id': /^is required for the kind fred, and must be the id/ }],
    ['an id that is a path', { kind: 'fred', id: '../x' }, { '/id': /such as DGS10$/ }],
    ['an id with a query', { kind: 'ecb', id: 'EXR/D.USD?x=1' }, { '/id': /such as EXR\/D/ }],
    [
      'several series',
      { kind: 'ecb', id: 'EXR/D.USD+CHF.EUR.SP00.A' },
      { '/id': /key of one series/ },
    ],
    ['a path that climbs', { kind: 'ecb', id: 'EXR/../../x' }, { '/id': /key of one series/ }],
    ['a symbol with a space', { kind: 'stooq', id: 'a b' }, { '/id': /symbol at Stooq/ }],
    [
      'a URL of a provider',
      { ...FRED, url: 'https://a.example/x' },
      { '/url': /must be left out/ },
    ],
    ['a file of a provider', { ...FRED, file: {} }, { '/file': /must be left out/ }],
    ['no URL', { kind: 'url' }, { '/url': /^is required for the kind url$/ }],
    [
      'an id beside a URL',
      { kind: 'url', url: 'https://a.example', id: 'X' },
      { '/id': /left out/ },
    ],
    ['no URL at all', { kind: 'url', url: 'x' }, { '/url': /must be an http or https URL/ }],
    [
      'a file',
      { kind: 'url', url: 'file:///etc/passwd' },
      { '/url': /must be an http or https URL/ },
    ],
    ['a password', { kind: 'url', url: 'https://u:p@a.example' }, { '/url': /user or password/ }],
    ['an empty user', { kind: 'url', url: 'https://@a.example' }, { '/url': /user or password/ }],
    [
      'an @ after a backslash',
      { kind: 'url', url: 'https://a.example\\@x' },
      { '/url': /user or password/ },
    ],
    [
      'a host name that no DNS has',
      { kind: 'url', url: `https://${'a'.repeat(300)}.example` },
      { '/url': /at most 253/ },
    ],
    ['a fragment', { kind: 'url', url: 'https://a.example/#x' }, { '/url': /fragment/ }],
    ['too often', { ...FRED, everyMinutes: 14 }, { '/everyMinutes': /15/ }],
    ['too seldom', { ...FRED, everyMinutes: 44_641 }, { '/everyMinutes': /44640/ }],
    [
      'half a minute',
      { ...FRED, everyMinutes: 15.5 },
      { '/everyMinutes': /whole number in 15–44640/ },
    ],
    [
      'a column of the file',
      { kind: 'url', url: 'https://a.example', file: { columns: [] } },
      { '/file/columns': /unknown property/ },
    ],
    [
      'several faults',
      { kind: 'fred', id: '', url: 'x', everyMinutes: 1 },
      { '/id': /DGS10/, '/url': /http/, '/everyMinutes': /15/ },
    ],
  ])('%s', async (_, body, expected) => {
    const refused = await put(body);
    expect(refused.statusCode, refused.body).toBe(422);
    const faults = faultsOf(refused.json());
    for (const [pointer, words] of Object.entries(expected)) {
      expect(faults[pointer], refused.body).toMatch(words);
    }
  });

  test.each([
    'apikey',
    'api_key',
    'API-KEY',
    'key',
    'token',
    'access_token',
    'client_secret',
    'password',
    'auth',
    'sig',
    'X-Amz-Signature',
    'X-Amz-Credential',
    'sessionid',
  ])('a URL with the query parameter %s', async (name) => {
    const url = `https://a.example/x.csv?series=1&${name}=hush-hush`;
    const refused = await put({ kind: 'url', url });
    expect(faultsOf(refused.json())['/url']).toBe(
      `must not contain the query parameter ${name}, because the source can be read: fetch the file yourself and import it`,
    );
    expect(refused.body).not.toContain('hush-hush');
  });

  test('a URL with a key of the ledger anywhere', async () => {
    const url = `https://a.example/olk_${'a'.repeat(40)}/x.csv`;
    const refused = await put({ kind: 'url', url });
    expect(faultsOf(refused.json())['/url']).toMatch(/^must not contain a key or token/);
  });

  test.each([
    ['http', 'http://a.example/x', /^must be an https URL$/],
    ['a loopback address', 'https://127.0.0.1/x', /^must point to a public address/],
    ['the address of a cloud', 'https://169.254.169.254/x', /^must point to a public address/],
    ['a name of a private address', 'https://inner.example/x', /inner\.example is 10\.0\.0\.8/],
  ])('%s', async (_, url, words) => {
    names = { 'inner.example': '10.0.0.8' };
    const refused = await put({ kind: 'url', url });
    expect(refused.statusCode).toBe(422);
    expect(faultsOf(refused.json())['/url']).toMatch(words);
  });

  test.each([
    ['fred', 'CPIAUCSL', 'monthly', 'end', 'start'],
    ['stooq', '^spx', 'monthly', 'start', 'end'],
  ])('%s dates other days than the series', async (kind, id, frequency, wrong, right) => {
    const series = { frequency, dated: right };
    const key = await sourced(ledger, { kind, id }, series);
    expect(await sourceOf(ledger, key)).toMatchObject({ state: 'waiting' });
    const other = {
      key: `${key}-other`,
      name: 'N',
      unit: 'U',
      source: 'S',
      ...series,
      dated: wrong,
    };
    await send(ledger, 'POST', '/v1/series', other, { as: 'feed' });
    const refused = await send(
      ledger,
      'PUT',
      `/v1/series/${other.key}/source`,
      { kind, id },
      { as: 'feed' },
    );
    expect(refused.statusCode).toBe(422);
    expect(faultsOf(refused.json())['/kind']).toMatch(
      /does not fit: .* is dated by the (first|last) day/,
    );
  });

  test('one source too many', async () => {
    await ledger.pool.query(
      `with added as (insert into series (key, name, unit, frequency, source, created_at)
         select 'many-' || n, 'N', 'U', 'daily', 'S', now() from generate_series(1, 1000) n returning id)
       insert into series_sources (series_id, kind, provider_id, host, every_minutes, set_at, due_at)
       select id, 'fred', 'X', 'fred', 60, now(), '2030-01-01' from added`,
    );
    const refused = await put(FRED);
    expect(refused.statusCode).toBe(422);
    expect(refused.json()).toMatchObject({ detail: expect.stringMatching(/^At most 1000 series/) });
  });
});

test('a series that does not exist has no source', async () => {
  const url = '/v1/series/no-such/source';
  const answers = [
    await ledger.call({ url, as: 'feed' }),
    await send(ledger, 'PUT', url, FRED, { as: 'feed' }),
    await ledger.call({ method: 'DELETE', url, as: 'feed' }),
  ];
  for (const answer of answers) {
    expect(answer.json()).toMatchObject({ status: 404, detail: 'There is no series "no-such".' });
  }
  const without = await ledger.call({ url: URL_OF_SOURCE, as: 'feed' });
  expect(without.json()).toMatchObject({
    status: 404,
    detail: `The series "${KEY}" has no source.`,
  });
});

test('a file may be described at any length that the parameters of an import allow', async () => {
  const file = {
    dateColumn: '\u0001'.repeat(200),
    valueColumn: '"'.repeat(200),
    missing: Array.from({ length: 20 }, () => '\u0001'.repeat(50)),
  };
  const set = await put({ kind: 'url', url: 'https://a.example/x.csv', file });
  expect(set.json()).toMatchObject({ file });
  await ledger.pool.query('delete from series_sources');
});
