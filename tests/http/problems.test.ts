import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROBLEMS } from '../../src/http/problem-catalogue.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { outlookBody, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

test('the kinds of problems are listed, each with its meaning and fix', async () => {
  const list = await ledger.call({ url: '/problems' });
  expect(list.json()).toEqual({
    items: Object.entries(PROBLEMS).map(([code, entry]) => ({
      type: `/problems/${code}`,
      ...entry,
    })),
  });
});

test.for(Object.entries(PROBLEMS))('/problems/%s answers what it means', async ([code, entry]) => {
  const answer = await ledger.call({ url: `/problems/${code}` });
  expect(answer.statusCode).toBe(200);
  expect(answer.json()).toEqual({ type: `/problems/${code}`, ...entry });
});

test.for(['nothing', '__proto__', 'constructor', 'toString', '%00', 'Not-Found'])(
  'there is no problem %s',
  async (code) => {
    expect((await ledger.call({ url: `/problems/${code}` })).statusCode).toBe(404);
  },
);

describe('refused', () => {
  type Request = Parameters<TestLedger['call']>[0];
  const body = JSON.stringify({ symbol: 'NEW', name: 'N', kind: 'index' });
  const post = (payload: string | Buffer, headers: Record<string, string> = {}): Request => ({
    method: 'POST',
    url: '/v1/instruments',
    as: 'analyst',
    payload,
    headers: {
      'content-type': 'application/json',
      ...headers,
    },
  });
  const MALFORMED = 'The URL is malformed, or a part of it is too long.';
  const UNREADABLE = expect.stringMatching(/^The body is not valid JSON: .+\.$/) as string;

  test.for<[string, Request, number, keyof typeof PROBLEMS, string]>([
    ['an unknown URL', { url: '/v2/x?y=1' }, 404, 'not-found', 'No route matches GET /v2/x.'],
    [
      'an unknown URL to write to',
      { method: 'POST', url: '/v1' },
      404,
      'not-found',
      'No route matches POST /v1.',
    ],
    ['a URL of bad escapes', { url: '/v1/outlooks/%E0%A4%A' }, 400, 'malformed-request', MALFORMED],
    ['a URL of a stray percent', { url: '/v1/outlooks/100%' }, 400, 'malformed-request', MALFORMED],
    [
      'a part too long',
      { url: `/v1/outlooks/${'a'.repeat(201)}` },
      400,
      'malformed-request',
      MALFORMED,
    ],
    ['half a body', post('{"symbol":'), 400, 'malformed-request', UNREADABLE],
    ['a body of words', post('symbol=NEW'), 400, 'malformed-request', UNREADABLE],
    ['a body with a comment', post('{} // NEW'), 400, 'malformed-request', UNREADABLE],
    ['a bare NaN', post('{"symbol":NaN}'), 400, 'malformed-request', UNREADABLE],
    ['a bare NUL', post('\u0000'), 400, 'malformed-request', UNREADABLE],
    ['an empty body', post(''), 400, 'malformed-request', 'The body is empty; send a JSON object.'],
    [
      'a body over 1 MiB',
      post(`"${'x'.repeat(1_048_576)}"`),
      413,
      'body-too-large',
      'The body exceeds the limit of 1 MiB.',
    ],
    [
      'a body as text',
      post(body, { 'content-type': 'text/plain' }),
      415,
      'unsupported-media-type',
      'Send application/json, not text/plain.',
    ],
    [
      'a body as a form',
      post(body, { 'content-type': 'multipart/form-data; boundary=x' }),
      415,
      'unsupported-media-type',
      'Send application/json, not multipart/form-data; boundary=x.',
    ],
    [
      'a body as a merge patch',
      post(body, { 'content-type': 'application/merge-patch+json' }),
      415,
      'unsupported-media-type',
      'Send application/json, not application/merge-patch+json.',
    ],
    [
      'a body as no type at all',
      post(body, { 'content-type': 'json' }),
      415,
      'unsupported-media-type',
      'Send application/json, not json.',
    ],
    [
      'a body of unstated type',
      { method: 'POST', url: '/v1/instruments', as: 'analyst', payload: body },
      415,
      'unsupported-media-type',
      'Send the body with the header Content-Type: application/json.',
    ],
    [
      'an Accept of HTML',
      { url: '/v1/outlooks', headers: { accept: 'text/html' } },
      406,
      'not-acceptable',
      'This URL is available as application/json or text/csv.',
    ],
    [
      'an Accept of anything but JSON',
      {
        url: `/v1/outlooks/${SLUG}/drawdown`,
        headers: { accept: 'application/json;q=0, */*;q=0' },
      },
      406,
      'not-acceptable',
      'This URL is available as application/json.',
    ],
  ])('is %s, as %4$s', async ([, request, status, code, detail]) => {
    const answer = await ledger.call(request);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers['x-request-id']).toEqual(expect.any(String));
    const { title } = PROBLEMS[code];
    const instance = (request.url as string).split('?', 1)[0];
    expect(answer.json()).toEqual({ type: `/problems/${code}`, title, status, detail, instance });
    expect(answer.statusCode).toBe(status);
  });

  test('is a body that is not UTF-8', async () => {
    const bytes = Buffer.from(body).fill(0xff, 11, 14);
    expect((await ledger.call(post(bytes))).json()).toMatchObject({
      type: '/problems/malformed-request',
      detail: 'The body is not valid UTF-8.',
    });
  });

  test.for([
    ['iso-8859-1', 415],
    ['UTF-16', 415],
    ['utf-8', 201],
    ['"UTF-8"', 409],
  ] as const)('is what a body in charset=%s is answered: %i', async ([charset, status]) => {
    const instrument = { symbol: 'CHARSET', name: 'Café', kind: 'index' };
    const type = `application/json; charset=${charset}`;
    const answer = await send(ledger, 'POST', '/v1/instruments', instrument, { type });
    expect(answer.statusCode).toBe(status);
  });

  test.for(['{"symbol":"A","symbol":"B"}', '{"a":[{"symbol":1,"b":2,"symbol":2}]}'])(
    'is a member that appears twice, as in %s',
    async (text) => {
      const answer = await ledger.call(post(text));
      expect(answer.statusCode).toBe(400);
      expect(answer.json<{ detail: string }>().detail).toMatch(
        /^The member "symbol" appears twice in one object, the second time at position \d+; keep one\.$/,
      );
    },
  );

  test('is nothing of 1 MiB that is otherwise in order', async () => {
    const faqs = Array.from({ length: 50 }, () => ({ question: 'Q', answer: 'A'.repeat(20_000) }));
    const large = outlookBody({ slug: 'large', faqs });
    expect((await send(ledger, 'POST', '/v1/outlooks', large)).statusCode).toBe(201);
  });
});

test.for([
  'application/json',
  '*/*',
  'application/*',
  'text/html, */*;q=0.1',
  'application/problem+json',
])('JSON is answered to who accepts %s', async (accept) => {
  const answer = await ledger.call({ url: `/v1/outlooks/${SLUG}`, headers: { accept } });
  expect(answer.statusCode).toBe(200);
});

describe('the request id', () => {
  const idOf = async (sent: string, url = '/v1/outlooks') =>
    (await ledger.call({ url, headers: { 'x-request-id': sent } })).headers['x-request-id'];
  const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

  test.for([
    '/v1/outlooks',
    '/v1/outlooks/nowhere',
    '/v1/keys',
    '/nowhere',
    '/v1/outlooks/%',
    '/docs',
  ])('of the client is echoed by %s', async (url) => {
    expect(await idOf('desk-7:a.b_C', url)).toBe('desk-7:a.b_C');
  });

  test.for(['', ' ', 'a b', 'a"b', 'a\tb', '{"a":1}', 'é', 'x'.repeat(101)])(
    '%j is not fit to be echoed',
    async (sent) => {
      expect(await idOf(sent, '/v1/instruments')).toMatch(UUID);
      for (const _ of ['rendered', 'cached']) expect(await idOf(sent)).toMatch(UUID);
    },
  );

  test('is generated if none is sent, a different one each time', async () => {
    const [first, second] = [
      await ledger.call({ url: '/healthz' }),
      await ledger.call({ url: '/healthz' }),
    ];
    expect(first.headers['x-request-id']).toMatch(UUID);
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
  });
});

test('an internal error reveals nothing of its cause', async () => {
  const broken = await startLedger();
  await broken.pool.query('alter table frameworks drop column title cascade');
  for (const url of [`/v1/outlooks/${SLUG}`, '/v1/outlooks']) {
    const answer = await broken.call({ url, headers: { 'x-request-id': 'tell-us-this' } });
    expect(answer.statusCode).toBe(500);
    expect(answer.headers['x-request-id']).toBe('tell-us-this');
    expect(answer.json()).toEqual({
      type: '/problems/internal-error',
      title: 'Internal error',
      status: 500,
      detail: 'The service hit an unexpected error.',
      instance: url,
    });
  }
  await broken.close();
});
