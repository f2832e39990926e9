import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

const DESK = 'https://desk.example';
const STRANGER = 'https://stranger.example';
const URL = `/v1/outlooks/${SLUG}`;
let open: TestLedger;
let closed: TestLedger;
beforeAll(async () => {
  open = await startLedger({ corsOrigins: [DESK] });
  closed = await startLedger({ corsOrigins: [DESK], requireKeyForReads: true });
});
afterAll(async () => {
  await open.close();
  await closed.close();
});

const preflight = (ledger: TestLedger, origin: string, method: string, url = URL) =>
  ledger.call({
    method: 'OPTIONS',
    url,
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization, content-type, if-match',
    },
  });
const allows = (headers: Record<string, unknown>) => ({
  origin: headers['access-control-allow-origin'],
  methods: String(headers['access-control-allow-methods']).split(', '),
});

describe('a page of any origin', () => {
  test('may read what anyone may read, and the headers that matter', async () => {
    const { headers, statusCode } = await open.call({ url: URL, headers: { origin: STRANGER } });
    expect([statusCode, headers['access-control-allow-origin']]).toEqual([200, '*']);
    expect(String(headers['access-control-expose-headers']).split(', ').toSorted()).toEqual(
      [
        'Age',
        'Cache-Status',
        'Content-Disposition',
        'ETag',
        'Link',
        'Location',
        'RateLimit',
        'RateLimit-Policy',
        'Retry-After',
        'X-Request-Id',
      ].toSorted(),
    );
    expect(headers['access-control-allow-credentials']).toBeUndefined();
  });

  test('may send conditional reads', async () => {
    const { headers, statusCode } = await preflight(open, STRANGER, 'GET');
    expect(statusCode).toBe(204);
    expect(allows(headers)).toEqual({ origin: '*', methods: ['GET', 'HEAD'] });
  });

  test.for(['POST', 'PATCH', 'DELETE', 'PUT'])('may not %s', async (method) => {
    const { headers } = await preflight(open, STRANGER, method);
    expect(allows(headers).methods).not.toContain(method);
    // CORS always allows POST, but a key and a content type need permission.
    expect(headers['access-control-allow-headers']).toBe(
      'Baggage, Cache-Control, If-None-Match, Last-Event-ID, Pragma, Traceparent, Tracestate, X-Request-Id',
    );
  });

  test.for([STRANGER, DESK])('may trace its reads and read around caches: %s', async (origin) => {
    const { headers } = await preflight(open, origin, 'GET');
    const allowed = String(headers['access-control-allow-headers']).toLowerCase().split(', ');
    for (const field of ['traceparent', 'tracestate', 'baggage', 'cache-control', 'last-event-id'])
      expect(allowed).toContain(field);
    expect(Number(headers['access-control-max-age'])).toBeGreaterThanOrEqual(600);
  });

  test('may read refusals, too', async () => {
    const url = '/v1/outlooks/nowhere';
    const { headers } = await open.call({ url, headers: { origin: STRANGER } });
    expect(headers['access-control-allow-origin']).toBe('*');
  });

  test('may not read if reads need a key', async () => {
    const options: InjectOptions = { url: URL, headers: { origin: STRANGER } };
    const { headers } = await closed.call({ ...options, as: 'analyst' });
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect(allows((await preflight(closed, STRANGER, 'GET')).headers).origin).toBeUndefined();
  });
});

describe('a page of a configured origin', () => {
  test.for(['GET', 'POST', 'PATCH', 'DELETE'])('may %s, by name', async (method) => {
    for (const ledger of [open, closed]) {
      const { headers, statusCode } = await preflight(ledger, DESK, method);
      expect(statusCode).toBe(204);
      expect(allows(headers).origin).toBe(DESK);
      expect(allows(headers).methods).toContain(method);
      const asked = String(headers['access-control-allow-headers']).split(/, */);
      expect(asked).toEqual(expect.arrayContaining(['Authorization', 'Content-Type', 'If-Match']));
      expect(headers['access-control-allow-credentials']).toBeUndefined();
    }
  });

  test('is distinguished from others in caches, if reads need a key', async () => {
    const { headers } = await closed.call({ url: URL, as: 'feed', headers: { origin: DESK } });
    expect(headers['access-control-allow-origin']).toBe(DESK);
    expect(String(headers.vary).split(', ')).toContain('Origin');
  });

  test('gets the public reads that any page gets; requests without an origin get no CORS headers', async () => {
    for (const _ of ['made', 'kept']) {
      const asked = async (headers: Record<string, string>) =>
        (await open.call({ url: URL, headers })).headers;
      const [desk, stranger, nobody] = [
        await asked({ origin: DESK }),
        await asked({ origin: STRANGER }),
        await asked({}),
      ];
      expect(desk['access-control-allow-origin']).toBe('*');
      expect(stranger['access-control-allow-origin']).toBe('*');
      expect(nobody['access-control-allow-origin']).toBeUndefined();
      for (const { vary } of [desk, stranger, nobody]) {
        expect(String(vary).split(', ')).toContain('Origin');
      }
    }
  });

  test.for([`${DESK}.evil.example`, 'http://desk.example', `${DESK}:8443`, 'null', ''])(
    'is not %j',
    async (origin) => {
      const { headers } = await preflight(open, origin, 'POST');
      expect(allows(headers).methods).not.toContain('POST');
    },
  );
});
