import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EXPOSED_HEADERS, RESPONSE_HEADERS } from '../../src/http/response-headers.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

const CURRENT = `/v1/outlooks/${SLUG}`;
/** A read that is never cached: the hooks set its headers. */
const UNCACHED = '/v1/series';

/** The headers that don't depend on the content. Without an Origin, those for other origins mean nothing. */
function commonHeaders(
  headers: Record<string, unknown>,
  { origin }: { origin?: string } = {},
): Record<string, unknown> {
  const names = [
    ...Object.keys(RESPONSE_HEADERS.every),
    ...Object.keys(RESPONSE_HEADERS.overTls),
    ...(origin === undefined ? [] : Object.keys(RESPONSE_HEADERS.crossOriginReads)),
    'x-request-id',
  ];
  return Object.fromEntries(names.map((name) => [name, headers[name]]));
}

describe.each([false, true])('if reads require a key: %s', (requireKeyForReads) => {
  let ledger: TestLedger;
  beforeEach(async () => {
    ledger = await startLedger({ requireKeyForReads, trustedProxies: ['127.0.0.1'] });
  });
  afterEach(() => ledger.close());

  const read = (url: string, headers: Record<string, string> = {}) =>
    ledger.call({
      url,
      headers: { 'x-request-id': 'the-request', ...headers },
      ...(requireKeyForReads && { as: 'analyst' as const }),
    });

  test.each<[string, Record<string, string>]>([
    ['by itself', {}],
    ['from a page of another origin', { origin: 'https://page.example' }],
    ['over TLS', { 'x-forwarded-proto': 'https' }],
    ['both', { origin: 'https://page.example', 'x-forwarded-proto': 'https' }],
  ])('a cached read carries the headers of an uncached one: %s', async (_, headers) => {
    const expected = commonHeaders((await read(UNCACHED, headers)).headers, headers);
    expect(expected).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'cross-origin-resource-policy': 'cross-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-request-id': 'the-request',
    });
    const first = await read(CURRENT, headers);
    const cached = await read(CURRENT, headers);
    const notModified = await read(CURRENT, {
      ...headers,
      'if-none-match': String(first.headers.etag),
    });
    expect([first.statusCode, cached.statusCode, notModified.statusCode]).toEqual([200, 200, 304]);
    for (const response of [first, cached]) {
      expect(commonHeaders(response.headers, headers)).toEqual(expected);
    }
    // Clients keep the other headers with the response that they have.
    for (const name of [
      'x-request-id',
      'strict-transport-security',
      'access-control-allow-origin',
    ]) {
      expect([name, notModified.headers[name]]).toEqual([name, cached.headers[name]]);
    }
  });

  test('each cached read has a request id of its own', async () => {
    const ids = new Set<unknown>();
    for (let time = 0; time < 3; time += 1) {
      ids.add((await read(CURRENT, { 'x-request-id': '' })).headers['x-request-id']);
    }
    expect(ids.size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('a page and a picture have policies of their own, cached or not', async () => {
    for (const url of [`/outlooks/${SLUG}`, `${CURRENT}/chart.svg`]) {
      const [first, cached] = [await read(url), await read(url)];
      expect(cached.headers['content-security-policy']).not.toBe(
        RESPONSE_HEADERS.every['content-security-policy'],
      );
      expect(commonHeaders(cached.headers)).toEqual(commonHeaders(first.headers));
    }
  });
});

test('pages of other origins may read the headers that a client works with', () => {
  expect(EXPOSED_HEADERS).toEqual(
    expect.arrayContaining(['ETag', 'Link', 'Location', 'Retry-After', 'X-Request-Id']),
  );
});
