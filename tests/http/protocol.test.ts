import { METHODS } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freshly } from '../support/fresh-metrics.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { type RawResponse, rawRequest, sendRaw } from '../support/raw-requests.ts';
import { stored } from '../support/requests.ts';

// What HTTP itself asks of a server (RFC 9110, RFC 9112), on real connections: injected requests skip Node's parser.

let ledger: TestLedger;
let port = 0;
beforeAll(async () => {
  ledger = await startLedger();
  await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  port = (ledger.app.server.address() as AddressInfo).port;
});
afterAll(() => ledger.close());

const CURRENT = `/v1/outlooks/${SLUG}`;
const HOST = 'Host: ledger.example';

async function answerTo(start: string, lines: string[] = [HOST], body = ''): Promise<RawResponse> {
  // The last is the final one, behind a 100.
  const response = (await sendRaw(port, rawRequest(start, lines, body))).at(-1);
  if (!response) throw new Error(`no response to ${start}`);
  return response;
}

const problemOf = ({ body }: RawResponse) => JSON.parse(body) as Record<string, unknown>;

/** What a refusal consists of: its status, its media type, and both in its body. */
function refusalIn(response: RawResponse): unknown[] {
  const { type, status } = problemOf(response);
  return [response.status, response.headers['content-type'], status, type];
}
const refusal = (status: number, code: string): unknown[] => [
  status,
  'application/problem+json',
  status,
  `/problems/${code}`,
];

describe('methods', () => {
  const OTHERS = METHODS.filter(
    (method) =>
      !['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT'].includes(method),
  );

  test.for(OTHERS)('%s gets a 405 where the path exists, else a 404', async (method) => {
    for (const body of ['', '{', 'not JSON']) {
      const lines = [HOST, 'Content-Type: application/json', `Content-Length: ${body.length}`];
      const refused = await answerTo(`${method} ${CURRENT} HTTP/1.1`, lines, body);
      expect(refusalIn(refused)).toEqual(refusal(405, 'method-not-allowed'));
      expect(refused.headers['allow']).toBe('GET, HEAD, OPTIONS');
      expect(refusalIn(await answerTo(`${method} /nowhere HTTP/1.1`, lines, body))).toEqual(
        refusal(404, 'not-found'),
      );
    }
    const pages = await answerTo(`${method} /docs HTTP/1.1`);
    expect([pages.status, pages.headers['allow']]).toEqual([405, 'GET, HEAD, OPTIONS']);
  });

  test.for(['FOO', 'get', 'GETTER', 'X-Custom', "A!#$%&'*+-.^_`|~z"])(
    '%s, which HTTP does not know, gets a 501',
    async (method) => {
      expect(refusalIn(await answerTo(`${method} ${CURRENT} HTTP/1.1`))).toEqual(
        refusal(501, 'not-implemented'),
      );
    },
  );

  test('an unknown method behind another request gets a 501, too', async () => {
    const first = `GET /healthz HTTP/1.1\r\n${HOST}\r\n\r\n`;
    const responses = await sendRaw(port, first + rawRequest('FOO / HTTP/1.1', [HOST]));
    expect(responses.at(-1)?.status).toBe(501);
  });

  test.for(['\u0016\u0003\u0001\u0002\u0000\u0001\u0000', 'FOO\r\n\r\n', 'FOO / SPDY/3\r\n\r\n'])(
    'the bytes %j get a 400',
    async (bytes) => {
      const [response] = await sendRaw(port, bytes);
      expect(response?.status).toBe(400);
    },
  );

  test('CONNECT gets a 501', async () => {
    expect(refusalIn(await answerTo('CONNECT elsewhere:443 HTTP/1.1'))).toEqual(
      refusal(501, 'not-implemented'),
    );
  });

  test('an upgrade is not offered, so the request is answered as it is', async () => {
    const lines = [HOST, 'Upgrade: websocket, h2c', 'HTTP2-Settings: AA'];
    const response = await answerTo('GET /healthz HTTP/1.1', lines);
    expect([response.status, response.headers['upgrade']]).toEqual([200, undefined]);
  });
});

describe('the target of a request', () => {
  test('OPTIONS * names the methods of the service', async () => {
    const response = await answerTo('OPTIONS * HTTP/1.1');
    expect([response.status, response.headers['allow']]).toEqual([
      204,
      'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
    ]);
  });

  test('* is no target of another method', async () => {
    const lines = [HOST, 'Accept: application/json'];
    for (const method of ['GET', 'POST', 'QUERY'])
      expect(refusalIn(await answerTo(`${method} * HTTP/1.1`, lines))).toEqual(
        refusal(400, 'malformed-request'),
      );
  });

  test.for([
    `http://ledger.example${CURRENT}`,
    `HTTPS://other.example:81${CURRENT}`,
    `http://user@[::1]${CURRENT}`,
  ])('%s is answered like its path', async (target) => {
    const plain = await answerTo(`GET ${CURRENT} HTTP/1.1`);
    const whole = await answerTo(`GET ${target} HTTP/1.1`);
    expect([whole.status, whole.body]).toEqual([200, plain.body]);
    expect(whole.headers['etag']).toBe(plain.headers['etag']);
  });

  test('the host of a whole URL makes no new entry of the cache', async () => {
    const metric = async () =>
      /^outlook_ledger_kept_replies (\d+)$/m.exec(
        (await freshly(() => answerTo('GET /metrics HTTP/1.1'))).body,
      )?.[1];
    await answerTo(`GET ${CURRENT} HTTP/1.1`);
    const before = await metric();
    for (const host of ['a', 'b', 'c']) await answerTo(`GET http://${host}${CURRENT} HTTP/1.1`);
    expect(await metric()).toBe(before);
  });

  test.for([
    ['http://ledger.example', 200],
    ['http://ledger.example?q=rates', 200],
    ['http://ledger.example/nowhere', 404],
    ['ftp://ledger.example/', 400],
    ['ledger.example:80', 400],
  ] as const)('%s gets a %d', async ([target, status]) => {
    const response = await answerTo(`GET ${target} HTTP/1.1`, [HOST, 'Accept: text/html, */*']);
    expect(response.status).toBe(status);
  });

  test.for([
    '//evil.example/',
    '//evil.example/outlooks/',
    '/\\evil.example/',
    '/outlooks/%2e%2e/',
    '/outlooks/../',
    '/outlooks/..//evil.example/',
    '/%2e%2e/evil.example/',
    'http://evil.example//evil.example/outlooks/',
    '/outlooks/%00/',
  ])('%s leads nowhere', async (target) => {
    const response = await answerTo(`GET ${target} HTTP/1.1`, [HOST, 'Accept: text/html, */*']);
    expect(response.status).toBeGreaterThanOrEqual(404);
    expect(response.status).toBeLessThanOrEqual(422);
    expect(response.headers['location']).toBeUndefined();
    expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
  });

  test('problems name the path of a whole URL', async () => {
    const response = await answerTo('GET http://ledger.example/nowhere HTTP/1.1');
    expect(problemOf(response)['instance']).toBe('/nowhere');
  });
});

describe('the host', () => {
  test.for<[string, string[]]>([
    ['none', []],
    ['two', [HOST, 'Host: other.example']],
    ['two alike', [HOST, HOST]],
    ['two, one in capitals', [HOST, 'HOST: other.example']],
    ['an empty one', ['Host:']],
    ['a list', ['Host: a.example, b.example']],
    ['a path', ['Host: ledger.example/v1']],
    ['a user', ['Host: me@ledger.example']],
    ['a space', ['Host: ledger example']],
    ['an odd port', ['Host: ledger.example:http']],
    ['an open bracket', ['Host: [::1']],
    ['bytes', ['Host: l\u00e9dger.example']],
  ])('a request with %s gets a 400', async ([, lines]) => {
    for (const path of [CURRENT, '/v1/series', '/nowhere', '/healthz', '/docs']) {
      // The first is answered from the cache if it may be.
      await answerTo(`GET ${path} HTTP/1.1`);
      const refused = await answerTo(`GET ${path} HTTP/1.1`, lines);
      expect(refusalIn(refused)).toEqual(refusal(400, 'malformed-request'));
      expect(refused.headers['x-request-id']).toBeDefined();
      expect(refused.headers['content-security-policy']).toBeDefined();
    }
    expect((await answerTo('GET / HTTP/1.1', lines)).status).toBe(400);
  });

  test.for(['ledger', 'ledger_1:3000', '127.0.0.1:80', '[::1]', '[fe80::1%25eth0]:80', 'a.', 'a:'])(
    '%s is one',
    async (host) => {
      expect((await answerTo(`GET ${CURRENT} HTTP/1.1`, [`Host: ${host}`])).status).toBe(200);
    },
  );

  test('HTTP/1.0 needs none', async () => {
    expect((await answerTo(`GET ${CURRENT} HTTP/1.0`, [])).status).toBe(200);
    expect((await answerTo(`GET ${CURRENT} HTTP/1.0`, [HOST, HOST])).status).toBe(400);
  });
});

describe('header fields that decide a request', () => {
  const revision = JSON.stringify({
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    rationale: 'R',
  });
  const revise = (lines: string[], body = revision) =>
    answerTo(
      `POST ${CURRENT}/revisions HTTP/1.1`,
      [HOST, `Content-Length: ${Buffer.byteLength(body, 'latin1')}`, ...lines],
      body,
    );
  const key = () => `Authorization: Bearer ${ledger.keys.analyst}`;
  const JSON_BODY = 'Content-Type: application/json';

  test('may be sent once only', async () => {
    const before = await stored(ledger);
    for (const lines of [
      [key(), `Authorization: Bearer ${ledger.keys.admin}`, JSON_BODY],
      [key(), key(), JSON_BODY],
      [key(), JSON_BODY, 'content-type: application/merge-patch+json'],
      [key(), JSON_BODY, 'Idempotency-Key: a', 'Idempotency-Key: b'],
    ]) {
      expect(refusalIn(await revise(lines))).toEqual(refusal(400, 'malformed-request'));
    }
    expect(await stored(ledger)).toEqual(before);
  });

  test.for([
    ['Expect: the-unexpected', 417, 'expectation-failed'],
    ['Expect: 100-continue, more', 417, 'expectation-failed'],
    ['Expect: 200-ok', 417, 'expectation-failed'],
  ] as const)('%s gets a %d with a problem', async ([line, status, code]) => {
    const before = await stored(ledger);
    expect(refusalIn(await revise([key(), JSON_BODY, line]))).toEqual(refusal(status, code));
    for (const path of [CURRENT, '/nowhere'])
      expect(refusalIn(await answerTo(`GET ${path} HTTP/1.1`, [HOST, line]))).toEqual(
        refusal(status, code),
      );
    expect(await stored(ledger)).toEqual(before);
  });

  test('Expect: 100-continue is met', async () => {
    const responses = await sendRaw(
      port,
      rawRequest(
        `POST ${CURRENT}/revisions HTTP/1.1`,
        [HOST, key(), JSON_BODY, `Content-Length: ${revision.length}`, 'EXPECT: 100-Continue'],
        revision,
      ),
    );
    expect(responses.map(({ status }) => status)).toEqual([100, 201]);
  });

  test.for(['gzip, chunked', 'identity', 'x, chunked', 'gzip'])(
    'the transfer coding %s is refused',
    async (coding) => {
      const before = await stored(ledger);
      const bytes = rawRequest(
        `POST ${CURRENT}/revisions HTTP/1.1`,
        [HOST, key(), JSON_BODY, `Transfer-Encoding: ${coding}`],
        `${revision.length.toString(16)}\r\n${revision}\r\n0\r\n\r\n`,
      );
      const [response] = await sendRaw(port, bytes);
      expect([400, 501]).toContain(response?.status);
      expect(await stored(ledger)).toEqual(before);
    },
  );

  describe('Content-Encoding', () => {
    const CODED = [
      'gzip',
      'GZIP',
      'br',
      'x-gzip',
      'deflate',
      'gzip, identity',
      'identity,br',
      'nonsense',
    ];
    const patch = JSON.stringify({ title: 'T', rationale: 'R' });
    const BODIES = [
      ['POST', `${CURRENT}/revisions`, 'application/json', revision],
      ['PATCH', `${CURRENT}/framework`, 'application/merge-patch+json', patch],
      ['PUT', `${CURRENT}/views/me`, 'application/json', revision],
      ['POST', '/v1/series/rut-close/observations', 'text/csv', 'date,value\n2026-11-25,1\n'],
      ['POST', '/v1/series/rut-close/observations', 'application/json', '{"observations":[]}'],
    ] as const;

    test.for(BODIES)('refuses each coded body: %s %s as %s', async ([method, url, type, body]) => {
      const before = await stored(ledger);
      // Observations may be compressed by gzip: tests/api/imports.test.ts.
      const takesGzip = url.endsWith('/observations');
      const refusedCodings = CODED.filter((coding) => !takesGzip || !/gzip/i.test(coding));
      for (const coding of refusedCodings) {
        for (const sent of [body, gzipSync(body).toString('latin1')]) {
          const refused = await answerTo(
            `${method} ${url} HTTP/1.1`,
            [
              HOST,
              `Authorization: Bearer ${ledger.keys.admin}`,
              `Content-Type: ${type}`,
              `Content-Encoding: ${coding}`,
              `Content-Length: ${sent.length}`,
            ],
            sent,
          );
          expect(refusalIn(refused)).toEqual(refusal(415, 'unsupported-media-type'));
          const accepted = takesGzip ? 'gzip, identity' : 'identity';
          expect(refused.headers['accept-encoding']).toBe(accepted);
        }
      }
      expect(await stored(ledger)).toEqual(before);
    });

    test.for(['', 'identity', 'Identity', ' , identity'])('"%s" is none', async (coding) => {
      const body = JSON.stringify({ reaffirm: true, rationale: `Coded "${coding}".` });
      const response = await revise([key(), JSON_BODY, `Content-Encoding: ${coding}`], body);
      expect(response.status).toBe(201);
    });

    test('several lines are one list', async () => {
      const lines = [key(), JSON_BODY, 'Content-Encoding: identity', 'Content-Encoding: gzip'];
      expect(refusalIn(await revise(lines))).toEqual(refusal(415, 'unsupported-media-type'));
    });

    test('comes after the key and the path', async () => {
      const lines = [HOST, 'Content-Encoding: gzip', 'Content-Length: 1'];
      expect((await answerTo(`POST ${CURRENT}/revisions HTTP/1.1`, lines, 'x')).status).toBe(401);
      expect((await answerTo(`PUT ${CURRENT}/revisions HTTP/1.1`, lines, 'x')).status).toBe(405);
      expect((await answerTo('POST /nowhere HTTP/1.1', lines, 'x')).status).toBe(404);
      expect((await answerTo(`GET ${CURRENT} HTTP/1.1`, lines, 'x')).status).toBe(200);
    });
  });
});
