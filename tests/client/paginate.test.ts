import { createClient, type Client, ProblemError, type VersionEntry } from '@outlook-ledger/client';
import { afterAll, beforeAll, expect, expectTypeOf, test } from 'vitest';
import { DOCUMENT } from '../support/openapi.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { distinctRevision, fillLedger } from '../support/outlooks.ts';
import { ANALYST_ID, WEBHOOK_ID } from '../support/operations.ts';

const path = { slug: SLUG };
const VERSIONS = '/v1/outlooks/{slug}/versions';

let ledger: TestLedger;
let baseUrl: string;
let admin: Client;
beforeAll(async () => {
  ledger = await startLedger();
  await fillLedger(ledger);
  for (let index = 0; index < 5; index += 1) await ledger.revise(distinctRevision(index));
  baseUrl = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  admin = createClient({ baseUrl, key: ledger.keys.admin });
});
afterAll(() => ledger.close());

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const read: Item[] = [];
  for await (const item of items) read.push(item);
  return read;
}

test.each([1, 2, 3, 7, 100, undefined])('all versions are read, %s a page', async (limit) => {
  const query = limit === undefined ? {} : { limit };
  const versions = await all(admin.paginate(VERSIONS, { params: { path, query } }));
  expectTypeOf(versions).toEqualTypeOf<VersionEntry[]>();
  expect(versions.map(({ version }) => version)).toEqual([7, 6, 5, 4, 3, 2, 1]);
});

test('only the pages that are used are read, from a cursor if one is given', async () => {
  let requests = 0;
  const counting = createClient({
    baseUrl,
    fetch: (request) => {
      requests += 1;
      return fetch(request);
    },
  });
  for await (const { version } of counting.paginate(VERSIONS, {
    params: { path, query: { limit: 2 } },
  })) {
    if (version === 5) break;
  }
  expect(requests).toBe(2);
  const { data } = await counting.GET(VERSIONS, { params: { path, query: { limit: 3 } } });
  const query = { limit: 2, cursor: data?.nextCursor ?? '' };
  const rest = await all(counting.paginate(VERSIONS, { params: { path, query } }));
  expect(rest.map(({ version }) => version)).toEqual([4, 3, 2, 1]);
});

/** Every list of the document; a list that the client does not take fails here. */
const LISTS = Object.entries(DOCUMENT.paths)
  .filter(([, item]) => JSON.stringify(item['get'] ?? {}).includes('"name":"cursor"'))
  .map(([list]) => list);

test.each(LISTS)('%s is read to its end', async (list) => {
  const values = {
    slug: SLUG,
    key: list.includes('conditions') ? 'rate-relief' : 'us-30y-yield',
    id: list.includes('webhooks') ? WEBHOOK_ID : ANALYST_ID,
    analyst: ANALYST_ID,
  };
  const items = await all(
    admin.paginate(list as never, { params: { path: values } } as never) as AsyncIterable<unknown>,
  );
  // Nothing may be delivered yet, and this analyst only holds views.
  const isMaybeEmpty = list.endsWith('/deliveries') || list === '/v1/analysts/{id}/outlooks';
  expect(isMaybeEmpty || items.length > 0).toBe(true);
});

test('a service that is busy is asked again, and an error is thrown', async () => {
  const answers = [429, 503, 502];
  const client = createClient({
    baseUrl,
    fetch: async (request) => {
      const status = answers.shift();
      if (status === undefined) return fetch(request);
      const headers = { 'retry-after': '0' };
      return new Response('{}', { status, headers });
    },
  });
  expect(await all(client.paginate(VERSIONS, { params: { path } }))).toHaveLength(7);
  await expect(
    all(client.paginate(VERSIONS, { params: { path: { slug: 'missing' } } })),
  ).rejects.toThrow(ProblemError);
  // @ts-expect-error: not a list
  await expect(all(client.paginate('/v1/outlooks/{slug}', { params: { path } }))).rejects.toThrow(
    ProblemError,
  );
});
