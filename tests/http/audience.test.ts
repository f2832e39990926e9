import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { addDesk, disclose, keyFor, publishFor, sendWith } from '../support/desks.ts';
import { EventClient } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { DOCUMENT } from '../support/openapi.ts';
import { outlookBody } from '../support/requests.ts';

const HIDDEN = { slug: 'hidden-case', key: 'hidden-series' };
// As long as the names that exist, so that all lengths are the same.
const MISSING = { slug: 'absent-case', key: 'absent-series' };

let ledger: TestLedger;
let rates = '';
let credit = '';
let creditFeed = '';
beforeAll(async () => {
  ledger = await startLedger();
  for (const desk of ['rates', 'credit']) await addDesk(ledger, desk);
  rates = await keyFor(ledger, ['rates']);
  credit = await keyFor(ledger, ['credit']);
  creditFeed = await keyFor(ledger, ['credit'], { role: 'feed' });
  await publishFor(ledger, rates, { slug: HIDDEN.slug, desk: 'rates', visibility: 'internal' });
  const feed = await keyFor(ledger, ['rates'], { role: 'feed' });
  const body = { key: HIDDEN.key, name: 'N', unit: 'percent', frequency: 'daily', source: 'S' };
  await sendWith(ledger, feed, {
    method: 'POST',
    url: '/v1/series',
    body: { ...body, desk: 'rates', visibility: 'internal' },
    status: 201,
  });
});
afterAll(() => ledger.close());

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const CURRENT = `/v1/outlooks/${SLUG}`;

describe('a read that sends credentials', () => {
  test.for([
    ['an unknown key', 'Bearer olk_unknown'],
    ['a malformed key', 'Bearer olk_???'],
    ['an unknown key as a password', basic(':olk_unknown')],
  ])('is refused with %s, although reads need none', async ([, authorization = '']) => {
    // Cached, too.
    for (let round = 0; round < 2; round += 1)
      await sendWith(ledger, null, { url: CURRENT, status: 200 });
    for (const url of [CURRENT, `${CURRENT}/chart.svg`, '/', '/v1/events', '/v1/series']) {
      const { statusCode, headers } = await ledger.app.inject({ url, headers: { authorization } });
      expect([url, statusCode]).toEqual([url, 401]);
      expect(headers['cache-control']).toBe('no-store');
    }
  });

  test.for([
    ['a user of a proxy', basic('user:password')],
    ['a token, without a provider', 'Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln'],
    ['another scheme', 'Negotiate YIIB'],
  ])('of another service gets the same as without any: %s', async ([, authorization = '']) => {
    const keyless = await ledger.app.inject({ url: CURRENT });
    const { statusCode, body, headers } = await ledger.app.inject({
      url: CURRENT,
      headers: { authorization },
    });
    expect([statusCode, body]).toEqual([200, keyless.body]);
    expect(headers['cache-control']).toBe('public, no-cache');
  });

  test('shows what its desk may see, also with HTTP Basic', async () => {
    const url = `/v1/outlooks/${HIDDEN.slug}`;
    const { admin } = ledger.keys;
    for (const authorization of [`Bearer ${rates}`, basic(`:${rates}`), `Bearer ${admin}`])
      expect((await ledger.app.inject({ url, headers: { authorization } })).statusCode).toBe(200);
    for (const authorization of ['', `Bearer ${credit}`, `Bearer ${creditFeed}`])
      expect((await ledger.app.inject({ url, headers: { authorization } })).statusCode).toBe(404);
  });

  test('is counted for its key', async () => {
    const limited = await startLedger({ rateLimitPerAddress: 1_000, rateLimitPerKey: 2 });
    const read = (key: string | null) => sendWith(limited, key, { url: CURRENT });
    const { analyst } = limited.keys;
    await read(null);
    await read(null);
    const statuses = [];
    for (const key of [analyst, analyst, analyst, null])
      statuses.push((await read(key)).statusCode);
    expect(statuses).toEqual([200, 200, 429, 200]);
    await limited.close();
  });
});

describe('caching', () => {
  const PUBLIC = {
    [CURRENT]: 'public, no-cache',
    [`${CURRENT}/versions/1`]: 'public, max-age=31536000, immutable',
    [`${CURRENT}/chart.svg?version=1`]: 'public, max-age=31536000, immutable',
    [`${CURRENT}/versions?format=csv`]: 'public, no-cache',
    [`/outlooks/${SLUG}`]: 'public, no-cache',
    '/': 'public, no-cache',
    '/v1/feed.atom': 'public, no-cache',
    '/v1/series': 'public, no-cache',
  };

  test.for(Object.entries(PUBLIC))('%s says who may store it', async ([url, keyless]) => {
    for (const [key, expected] of [
      [null, keyless],
      [rates, 'private, no-cache'],
    ] as const) {
      const whole = await sendWith(ledger, key, { url, status: 200 });
      const etag = String(whole.headers.etag);
      const answers = [
        whole,
        await sendWith(ledger, key, { url, status: 200 }), // from the cache
        await sendWith(ledger, key, { url, method: 'HEAD', status: 200 }),
        await sendWith(ledger, key, { url, status: 304, headers: { 'if-none-match': etag } }),
      ];
      for (const { headers } of answers) {
        expect(headers['cache-control']).toBe(expected);
        expect(headers.etag).toBe(etag);
        const vary = String(headers.vary).split(', ');
        expect(vary).toEqual(expect.arrayContaining(['Authorization', 'Cookie']));
        expect(new Set(vary).size).toBe(vary.length);
      }
    }
  });

  test('what is the same for everyone does not depend on a key', async () => {
    for (const url of ['/problems', '/verify.html']) {
      const { headers } = await sendWith(ledger, rates, { url, status: 200 });
      expect(headers['cache-control']).toBe('public, no-cache');
      expect(String(headers.vary)).not.toMatch(/Authorization|Cookie/);
    }
  });

  test('a picture that a browser reads with a key by itself shows on no other page', async () => {
    const url = `${CURRENT}/chart.svg`;
    const policyOf = async (key: string | null) =>
      (await sendWith(ledger, key, { url })).headers['cross-origin-resource-policy'];
    expect(await policyOf(null)).toBe('cross-origin');
    expect(await policyOf(rates)).toBe('same-origin');
  });
});

/** Each operation of a path that names an outlook or a series. */
const NAMING = Object.entries(DOCUMENT.paths).flatMap(([path, operations]) =>
  path.includes('/outlooks/{slug}') || path.includes('/series/{key}')
    ? Object.keys(operations)
        .filter((method) => method !== 'parameters')
        .map((method) => [method.toUpperCase(), path] as const)
    : [],
);
const FILLED: Record<string, string> = {
  version: '1',
  id: '00000000-0000-4000-8000-000000000000',
  analyst: '00000000-0000-4000-8000-000000000000',
  key: 'rate-relief',
};

function urlOf(path: string, { slug, key }: typeof HIDDEN): string {
  const named = path.replace('/outlooks/{slug}', `/outlooks/${slug}`);
  return named
    .replace('/series/{key}', `/series/${key}`)
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => FILLED[name] ?? '');
}

/** A response with what is different each time, and the name that it was asked for, left out. */
function comparable(
  { statusCode, headers, body }: { statusCode: number; headers: object; body: string },
  { slug, key }: typeof HIDDEN,
) {
  const { date: _, 'x-request-id': __, ...rest } = headers as Record<string, unknown>;
  const text = JSON.stringify({ rest, body }).replaceAll(slug, 'SLUG').replaceAll(key, 'KEY');
  return { statusCode, text };
}

describe.for([...NAMING, ['GET', '/outlooks/{slug}'], ['HEAD', '/v1/outlooks/{slug}']] as const)(
  '%s %s',
  ([method, path]) => {
    const ask = async (names: typeof HIDDEN, headers: Record<string, string>, payload?: string) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const query = vi.spyOn(ledger.servicePool, 'query');
      const response = await ledger.app.inject({
        method: method as 'GET',
        url: urlOf(path, names),
        headers: { ...headers, ...(payload !== undefined && { 'content-type': type }) },
        ...(payload !== undefined && { payload }),
      });
      const { slug, key } = names;
      const asked = query.mock.calls.filter((call) => {
        const sent = JSON.stringify(call);
        return sent.includes(slug) || sent.includes(key);
      });
      query.mockRestore();
      return { ...comparable(response, names), asked: asked.length };
    };
    const callers = () => {
      const keys = [credit, creditFeed].map((key) => ({ authorization: `Bearer ${key}` }));
      return [{}, ...keys];
    };

    test('answers what is hidden exactly as what does not exist', async () => {
      const bodies = ['GET', 'HEAD', 'DELETE'].includes(method)
        ? [undefined]
        : ['{"surprise": 1}', JSON.stringify(outlookBody()), '{"broken"'];
      const conditions = { 'if-match': '"x"', 'if-none-match': '*', 'idempotency-key': 'k' };
      for (const headers of callers()) {
        for (const payload of bodies) {
          const sent = { ...headers, ...(payload !== bodies[0] && conditions) };
          const hidden = await ask(HIDDEN, sent, payload);
          expect(hidden).toEqual(await ask(MISSING, sent, payload));
          expect([400, 401, 403, 404]).toContain(hidden.statusCode);
        }
      }
    });
  },
);

test('a write to what is hidden is refused before its body is looked at', async () => {
  for (const [method, path] of [
    ['POST', 'revisions'],
    ['PATCH', 'framework'],
    ['PUT', 'views/me'],
    ['POST', 'evidence'],
    ['POST', 'withdrawal'],
  ] as const) {
    const url = `/v1/outlooks/${HIDDEN.slug}/${path}`;
    const body = { surprise: 1 };
    const answers = [
      await sendWith(ledger, credit, { method, url, body, status: 404 }),
      await sendWith(ledger, rates, { method, url, body, status: 422 }),
    ];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([404, 422]);
  }
});

test('the first response to an idempotency key is not for a key of other desks', async () => {
  const both = await keyFor(ledger, ['rates'], { name: 'Works for two' });
  const other = await keyFor(ledger, ['credit'], { name: 'Works for two' });
  const body = outlookBody({ slug: 'hidden-draft', desk: 'rates', visibility: 'internal' });
  const write = (key: string) =>
    sendWith(ledger, key, {
      method: 'POST',
      url: '/v1/outlooks',
      body,
      headers: { 'idempotency-key': 'once' },
    });
  const first = await write(both);
  expect(first.statusCode).toBe(201);
  expect((await write(both)).body).toBe(first.body);
  const refused = await write(other);
  expect(refused.json()).toMatchObject({ type: '/problems/idempotency-key-reused' });
  expect(refused.body).not.toContain('hidden-draft');
});

test('a stream ends with its key, also where reads need none', async () => {
  await ledger.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = ledger.app.server.address() as { port: number };
  const follow = (key: string) =>
    new EventClient(`http://127.0.0.1:${port}/v1/outlooks/${HIDDEN.slug}/events`, {
      headers: { authorization: `Bearer ${key}` },
    }).connect();
  const leaving = await keyFor(ledger, ['rates'], { name: 'Leaves' });
  const [ending, staying] = [await follow(leaving), await follow(rates)];
  await ledger.pool.query(
    `update api_keys set revoked_at = now()
      where analyst_id = (select id from analysts where name = 'Leaves')`,
  );
  await sendWith(ledger, rates, {
    method: 'POST',
    url: `/v1/outlooks/${HIDDEN.slug}/revisions`,
    body: { rationale: 'R', probabilities: { bear: 0.3, base: 0.4, bull: 0.3 } },
    status: 201,
  });
  expect(await staying.received(1)).toHaveLength(1);
  expect(await ending.end).toBe('ended');
  expect(ending.events).toEqual([]);
  await staying.leave();
});

test('a past version that its desk has read says that it is public after the disclosure', async () => {
  const slug = 'reads-again';
  await publishFor(ledger, rates, { slug, desk: 'rates', visibility: 'internal' });
  await sendWith(ledger, rates, {
    method: 'POST',
    url: `/v1/outlooks/${slug}/revisions`,
    body: { rationale: 'R', probabilities: { bear: 0.3, base: 0.4, bull: 0.3 } },
    status: 201,
  });
  const read = async () =>
    (await sendWith(ledger, rates, { url: `/v1/outlooks/${slug}/versions/1` })).json<object>();
  expect(await read()).toMatchObject({ visibility: 'internal' });
  await disclose(ledger, rates, `/v1/outlooks/${slug}`);
  expect(await read()).toMatchObject({ visibility: 'public' });
});

test('a disclosure opens it to everyone at once', async () => {
  const slug = 'soon-public';
  const url = `/v1/outlooks/${slug}`;
  await publishFor(ledger, rates, { slug, desk: 'rates', visibility: 'internal' });
  const status = async (key: string | null, expected: number) =>
    (await sendWith(ledger, key, { url, status: expected })).statusCode;
  expect([await status(null, 404), await status(credit, 404)]).toEqual([404, 404]);
  await disclose(ledger, rates, url);
  expect([await status(null, 200), await status(credit, 200)]).toEqual([200, 200]);
});
