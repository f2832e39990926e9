import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, send } from '../support/requests.ts';
import { distinctRevision } from '../support/outlooks.ts';

let ledger: TestLedger;
let ada: { id: string; key: string };
let bob: { id: string; key: string };
const OUTLOOKS = ['first', 'second', 'third'];

beforeAll(async () => {
  ledger = await startLedger();
  [ada, bob] = [await keyOf('Ada'), await keyOf('Bob')];
  await keyOf('Zoe'); // has published nothing
  for (const slug of OUTLOOKS) await createOutlook(ledger, { slug });
  for (const [index, slug] of ['first', 'third'].entries()) {
    const body = { ...distinctRevision(index), rationale: 'Hers.' };
    await as(ada.key, 'POST', `/v1/outlooks/${slug}/revisions`, body);
  }
  for (const slug of ['first', 'second']) {
    const body = { ...distinctRevision(5), rationale: 'His.' };
    await as(bob.key, 'PUT', `/v1/outlooks/${slug}/views/me`, body);
  }
  await as(bob.key, 'DELETE', '/v1/outlooks/first/views/me');
});
afterAll(() => ledger.close());

async function keyOf(name: string) {
  const issued = await send(ledger, 'POST', '/v1/keys', { name, role: 'analyst' }, { as: 'admin' });
  const { analystId: id, key } = issued.json<{ analystId: string; key: string }>();
  return { id, key };
}

const as = (key: string, method: 'POST' | 'PUT' | 'DELETE', url: string, payload?: object) =>
  ledger.call({
    method,
    url,
    headers: { authorization: `Bearer ${key}` },
    ...(payload && { payload }),
  });

type Page = { items: Record<string, unknown>[]; nextCursor: string | null };
async function read(url: string): Promise<Page> {
  const answer = await ledger.call({ url, as: 'feed' });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Page>();
}
/** All items, a page of one after the other. */
async function walk(url: string): Promise<Record<string, unknown>[]> {
  const items = [];
  let cursor: string | null = '';
  do {
    const page: Page = await read(`${url}?limit=1${cursor && `&cursor=${cursor}`}`);
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return items;
}

describe('the list of analysts', () => {
  test('has those who have published a version or a view, by name', async () => {
    const { items } = await read('/v1/analysts');
    const names = items.map(({ name }) => String(name));
    expect(names).toEqual(names.toSorted());
    expect(names).toEqual(expect.arrayContaining(['Ada', 'Bob', 'analyst desk']));
    expect(names).not.toContain('Zoe');
    expect(names).not.toContain('feed desk');
    expect(await walk('/v1/analysts')).toEqual(items);
    expect(await read(`/v1/analysts/${ada.id}`)).toEqual({ id: ada.id, name: 'Ada', active: true });
  });

  test('follows who publishes for the first time', async () => {
    await read('/v1/analysts'); // kept from here on
    const yan = await keyOf('Yan');
    const body = { ...distinctRevision(7), rationale: 'Mine.' };
    await as(yan.key, 'PUT', '/v1/outlooks/third/views/me', body);
    expect((await read('/v1/analysts')).items).toContainEqual({
      id: yan.id,
      name: 'Yan',
      active: true,
    });
  });
});

describe('the outlooks of an analyst', () => {
  test('are those of which a version is theirs, as lists show them, the newest first', async () => {
    const url = `/v1/analysts/${ada.id}/outlooks`;
    const { items } = await read(url);
    expect(items.map(({ slug }) => slug)).toEqual(['third', 'first']);
    const listed = (await read('/v1/outlooks?limit=100')).items;
    for (const item of items) expect(listed).toContainEqual(item);
    // Somebody else's version keeps them in the list, in their place.
    await send(ledger, 'POST', '/v1/outlooks/first/revisions', distinctRevision(9));
    const later = await read(url);
    expect(later.items.map(({ slug, version }) => [slug, version])).toEqual([
      ['third', 2],
      ['first', 3],
    ]);
    expect(await walk(url)).toEqual(later.items);
    expect((await read(`/v1/analysts/${bob.id}/outlooks`)).items).toEqual([]);
  });

  test('are available as CSV, with an ETag', async () => {
    const url = `/v1/analysts/${ada.id}/outlooks?format=csv`;
    const { body, headers } = await ledger.call({ url });
    expect(body.split('\r\n')[0]).toMatch(/^slug,title,/);
    const again = await ledger.call({ url, headers: { 'if-none-match': String(headers.etag) } });
    expect(again.statusCode).toBe(304);
  });
});

test('the views of an analyst are the newest of each outlook, with withdrawn ones', async () => {
  const url = `/v1/analysts/${bob.id}/views`;
  const { items } = await read(url);
  expect(items).toMatchObject([
    { slug: 'second', kind: 'held', version: 1, analyst: { name: 'Bob' }, rationale: 'His.' },
    { slug: 'first', kind: 'withdrawn', version: 2, rationale: null },
  ]);
  expect(items[0]?.['title']).toBe('Russell 2000: the case for more downside');
  expect(await walk(url)).toEqual(items);
});

test('an unknown analyst, a malformed id and a cursor of another list are refused', async () => {
  const none = '00000000-0000-4000-8000-000000000000';
  for (const part of ['', '/outlooks', '/views']) {
    expect((await ledger.call({ url: `/v1/analysts/${none}${part}`, as: 'feed' })).statusCode).toBe(
      404,
    );
    const malformed = await ledger.call({ url: `/v1/analysts/ada${part}`, as: 'feed' });
    expect([malformed.statusCode, Object.keys(faultsOf(malformed.json()))]).toEqual([404, ['/id']]);
  }
  const { nextCursor } = await read(`/v1/analysts/${ada.id}/outlooks?limit=1`);
  for (const url of [`/v1/analysts/${bob.id}/outlooks`, '/v1/analysts', `/v1/outlooks`]) {
    expect((await ledger.call({ url: `${url}?cursor=${nextCursor}`, as: 'feed' })).statusCode).toBe(
      422,
    );
  }
});

test('the lists follow an index, however many outlooks and analysts there are', async () => {
  const planOf = async (statement: string) => {
    const session = await ledger.pool.connect();
    try {
      await session.query('begin');
      await session.query('set local enable_seqscan = off');
      await session.query('set local enable_sort = off');
      const { rows } = await session.query<Record<string, string>>(`explain ${statement}`);
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    } finally {
      await session.query('rollback');
      session.release();
    }
  };
  expect(
    await planOf(`select r.number from resolutions r
      order by r.recorded_at desc, r.outlook_id desc, r.number desc limit 20`),
  ).toContain('resolutions_newest');
  expect(
    await planOf(`select a.id from analysts a where a.name collate "C" > ''
      order by a.name collate "C" limit 20`),
  ).toContain('analysts_by_name');
  expect(
    await planOf(`select f.outlook_id from forecasters f where f.analyst_id = '${ada.id}'
      and f.source = 'view' order by f.outlook_id desc limit 20`),
  ).toContain('forecasters_of_analyst');
});
