import type { LightMyRequestResponse } from 'fastify';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Config } from '../../src/config.ts';
import { type HeldOutlooks, holdOutlooks } from '../support/held-outlooks.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

const URL = `/v1/outlooks/${SLUG}`;
const revision = (bear: number) => ({
  probabilities: { bear, base: 0.5, bull: Number((0.5 - bear).toFixed(2)) },
  rationale: 'Why.',
});

let ledger: TestLedger;
const start = async (settings: Partial<Config>) => {
  ledger = await startLedger({ rateLimitPerAddress: 0, rateLimitPerKey: 0, ...settings });
  ledger.clock.now = new Date('2026-11-20T17:00:00.000Z');
};
afterEach(async () => {
  vi.useRealTimers();
  await ledger.close();
});

/** A read that is never cached. */
let moment = 0;
const ask = (remoteAddress = '127.0.0.1', headers: Record<string, string> = {}) =>
  ledger.call({
    url: `${URL}?asOf=2026-11-20T16:00:00.${String((moment += 1)).padStart(3, '0')}Z`,
    remoteAddress,
    headers,
  });
const limitsOf = ({ statusCode, headers }: LightMyRequestResponse) => [
  statusCode,
  headers['ratelimit-policy'],
  headers['ratelimit'],
  headers['retry-after'],
];

describe('an address', () => {
  test('gets its limits, then when to continue, and may continue then', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-20T16:00:00Z') });
    await start({ rateLimitPerAddress: 2 });
    const policy = '"address";q=2;w=60';
    expect(limitsOf(await ask())).toEqual([200, policy, '"address";r=1;t=60', undefined]);
    vi.setSystemTime(new Date('2026-11-20T16:00:20Z'));
    expect(limitsOf(await ask())).toEqual([200, policy, '"address";r=0;t=40', undefined]);
    const refused = await ask();
    expect(limitsOf(refused)).toEqual([429, policy, '"address";r=0;t=40', '40']);
    expect(refused.json()).toMatchObject({
      type: '/problems/rate-limited',
      detail: 'Your address has sent more than 2 requests within a minute; try again in 40 s.',
    });
    expect((await ask('127.0.0.2')).statusCode).toBe(200);
    vi.setSystemTime(new Date('2026-11-20T16:01:00Z'));
    expect((await ask()).statusCode).toBe(200);
  });

  test('of IPv6 is a network of 64 bits', async () => {
    await start({ rateLimitPerAddress: 1 });
    expect((await ask('2001:db8::1')).statusCode).toBe(200);
    expect((await ask('2001:db8::ffff:2')).statusCode).toBe(429);
    expect((await ask('2001:db8:0:1::1')).statusCode).toBe(200);
  });

  test('that is over its limit still gets the health checks and cached responses', async () => {
    await start({ rateLimitPerAddress: 1 });
    expect((await ledger.call({ url: URL })).statusCode).toBe(200);
    expect((await ask()).statusCode).toBe(429);
    expect((await ledger.revise(revision(0.4))).statusCode).toBe(429);
    for (const url of [URL, '/healthz', '/readyz', '/metrics']) {
      expect((await ledger.call({ url })).statusCode).toBe(200);
    }
  });

  test('is counted before its key is checked, and for missing URLs', async () => {
    await start({ rateLimitPerAddress: 1 });
    expect((await ledger.call({ url: '/nowhere' })).statusCode).toBe(404);
    expect((await ledger.call({ url: '/v1/keys' })).statusCode).toBe(429);
  });
});

test('a key is counted across addresses, and apart from other keys', async () => {
  await start({ rateLimitPerKey: 1, rateLimitPerAddress: 10 });
  const first = await ledger.revise(revision(0.4));
  expect(limitsOf(first).slice(0, 3)).toEqual([
    201,
    '"address";q=10;w=60, "key";q=1;w=60',
    '"address";r=9;t=60, "key";r=0;t=60',
  ]);
  const authorization = `Bearer ${ledger.keys.analyst}`;
  const again = await ledger.call({
    url: `${URL}/views/me`,
    remoteAddress: '127.0.0.2',
    headers: { authorization },
  });
  expect([again.statusCode, again.json()]).toEqual([
    429,
    expect.objectContaining({
      detail: expect.stringMatching(/^Your key has sent more than 1 requests/) as string,
    }),
  ]);
  expect((await ledger.call({ url: '/v1/keys', as: 'admin' })).statusCode).toBe(200);
  const { rows } = await ledger.pool.query('select latest_version from outlooks');
  expect(rows).toEqual([{ latest_version: 2 }]);
});

test('0 means no limit', async () => {
  await start({});
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask()));
  expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
  expect(answers[0]?.headers).not.toHaveProperty('ratelimit');
});

describe('of requests at work at once', () => {
  test('an address gets half, others the rest, and both continue afterwards', async () => {
    await start({ requestsAtOnce: 4 });
    const held = await holdOutlooks(ledger);
    const ofOne = [ask(), ask()];
    await expect.poll(() => held.waiting()).toBe(2);
    const third = await ask();
    expect([third.statusCode, third.headers['retry-after'], third.json()]).toEqual([
      429,
      '1',
      expect.objectContaining({
        type: '/problems/rate-limited',
        detail: 'Your address has 2 requests in progress; wait for responses before you send more.',
      }),
    ]);
    const ofAnother = [ask('127.0.0.2'), ask('127.0.0.2')];
    await expect.poll(() => held.waiting()).toBe(4);
    const fifth = await ask('127.0.0.3');
    expect([fifth.statusCode, fifth.headers['retry-after'], fifth.json()]).toEqual([
      503,
      '1',
      expect.objectContaining({ type: '/problems/overloaded' }),
    ]);
    expect((await ledger.call({ url: '/healthz' })).statusCode).toBe(200);
    await held.release();
    const answers = await Promise.all([...ofOne, ...ofAnother]);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200]);
    expect((await Promise.all([ask(), ask()])).map(({ statusCode }) => statusCode)).toEqual([
      200, 200,
    ]);
  });
});

test('an address that is over its limit is remembered while thousands of others come', async () => {
  await start({ rateLimitPerAddress: 2 });
  for (let turn = 0; turn < 3; turn += 1) await ask();
  for (let index = 0; index < 6_000; index += 1) {
    const remoteAddress = `2001:db8:0:${index.toString(16)}::1`;
    await ledger.app.inject({ url: '/nowhere', remoteAddress });
  }
  expect((await ask()).statusCode).toBe(429);
});

describe('a client beyond its budget of work', () => {
  /** Uses more than the burst of an address that may use a millisecond a second. */
  const exhaust = async (remoteAddress: string, headers = {}) => {
    for (let turn = 0; turn < 40; turn += 1) await ask(remoteAddress, headers);
  };
  let held: HeldOutlooks;
  /** Makes reads wait in the database, until what it returns is called. */
  const block = async () => {
    held = await holdOutlooks(ledger);
    return held.release;
  };
  /** Waits until so many reads wait in the database. */
  const untilBlocked = async (count: number) => {
    await expect.poll(() => held.waiting()).toBe(count);
  };
  const codes = (answers: LightMyRequestResponse[]) => answers.map(({ statusCode }) => statusCode);
  const [greedy, modest] = ['192.0.2.1', '192.0.2.2'];

  test('is served while the service has nothing else to do', async () => {
    await start({ workPerAddress: 1 });
    await exhaust(greedy);
    expect(codes(await Promise.all([ask(greedy), ask(greedy), ask(greedy)]))).toEqual([
      200, 200, 200,
    ]);
  });

  test('waits for its turn, while others go on, and is refused if too many of its requests wait', async () => {
    await start({ workPerAddress: 1, requestsAtOnce: 4 });
    await exhaust(greedy);
    const unblock = await block();
    const waiting = [ask(greedy), ask(greedy), ask(greedy)];
    await untilBlocked(1);
    const refused = await ask(greedy);
    expect([refused.statusCode, refused.json()]).toEqual([
      429,
      expect.objectContaining({
        type: '/problems/rate-limited',
        detail: expect.stringMatching(
          /^Your address is beyond its budget of work, and too many of its requests wait for their turn; try again in \d+ s\.$/,
        ) as string,
      }),
    ]);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    const other = ask(modest);
    await untilBlocked(2);
    expect((await ledger.call({ url: '/healthz', remoteAddress: greedy })).statusCode).toBe(200);
    await unblock();
    expect(codes(await Promise.all([...waiting, other]))).toEqual([200, 200, 200, 200]);
  });

  test.for([
    ['a URL that is missing', { url: '/nowhere' }],
    ['a refused key', { url: '/v1/keys' }],
    ['a wrong key', { url: '/v1/keys', headers: { authorization: 'Bearer olk_wrong' } }],
    ['a wrong method', { url: '/v1/outlooks', method: 'DELETE' as const }],
    ['Swagger UI', { url: '/docs/static/index.html' }],
    ['the document', { url: '/openapi.json' }],
    ['a wrong query', { url: '/v1/outlooks?limit=x' }],
    ['a problem page', { url: '/problems/not-found' }],
  ] as const)('waits with %s, too', async ([, request]) => {
    await start({ workPerAddress: 1, requestsAtOnce: 4 });
    const send = (remoteAddress: string) => ledger.app.inject({ ...request, remoteAddress });
    await send(modest);
    await exhaust(greedy);
    const unblock = await block();
    const reads = [ask(greedy), ask(greedy), ask(greedy)];
    await untilBlocked(1);
    expect((await send(greedy)).statusCode).toBe(429);
    expect((await send(modest)).statusCode).not.toBe(429);
    await unblock();
    await Promise.all(reads);
  });

  test('waits with streams until they begin', async () => {
    await start({ workPerAddress: 1, requestsAtOnce: 4 });
    await exhaust(greedy);
    const unblock = await block();
    const open = () =>
      ledger.app.inject({ url: '/v1/outlooks/missing/events', remoteAddress: greedy });
    const streams = [open(), open(), open()];
    await untilBlocked(1);
    expect((await open()).statusCode).toBe(429);
    await unblock();
    expect(codes(await Promise.all(streams))).toEqual([404, 404, 404]);
  });

  test('goes on while it has a stream', async () => {
    await start({ workPerAddress: 1 });
    const origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
    await exhaust('127.0.0.1');
    const leaving = new AbortController();
    const stream = await fetch(`${origin}/v1/events`, { signal: leaving.signal });
    expect([stream.status, (await fetch(`${origin}/v1/outlooks`)).status]).toEqual([200, 200]);
    leaving.abort();
  });

  test('pays for whatever it sends', async () => {
    await start({ workPerAddress: 1, requestsAtOnce: 4 });
    for (let turn = 0; turn < 200; turn += 1) {
      await ledger.app.inject({ url: '/nowhere', remoteAddress: greedy });
    }
    const unblock = await block();
    const reads = [ask(greedy), ask(greedy), ask(greedy)];
    await untilBlocked(1);
    expect((await ask(greedy)).statusCode).toBe(429);
    await unblock();
    await Promise.all(reads);
  });

  test('is a key apart from its address', async () => {
    await start({ workPerAddress: 1, workPerKey: 1, requestsAtOnce: 4, requireKeyForReads: true });
    const by = (role: 'admin' | 'analyst') => ({ authorization: `Bearer ${ledger.keys[role]}` });
    await exhaust(greedy, by('admin'));
    const unblock = await block();
    const waiting = [1, 2, 3].map(() => ask(modest, by('admin')));
    await untilBlocked(1);
    const refused = await ask(greedy, by('admin'));
    expect([refused.statusCode, refused.json()]).toEqual([
      429,
      expect.objectContaining({
        detail: expect.stringMatching(/^Your key is beyond its budget of work/) as string,
      }),
    ]);
    const other = ask(greedy, by('analyst'));
    await untilBlocked(2);
    await unblock();
    expect(codes(await Promise.all([...waiting, other]))).toEqual([200, 200, 200, 200]);
  });

  test('waits before its body is parsed', async () => {
    await start({ workPerKey: 1, requestsAtOnce: 4 });
    for (let turn = 0; turn < 40; turn += 1) await ledger.revise({});
    const unblock = await block();
    const views = () =>
      ledger.call({ url: `${URL}/views/me`, as: 'analyst', remoteAddress: greedy });
    const waiting = [views(), views(), views()];
    await untilBlocked(1);
    expect((await ledger.revise('not JSON')).statusCode).toBe(429);
    await unblock();
    await Promise.all(waiting);
  });

  test('may use all it likes if there is no budget', async () => {
    await start({ workPerAddress: 0, requestsAtOnce: 40 });
    await exhaust(greedy);
    const unblock = await block();
    const reads = [1, 2, 3, 4, 5].map(() => ask(greedy));
    await untilBlocked(5);
    await unblock();
    expect(codes(await Promise.all(reads))).toEqual([200, 200, 200, 200, 200]);
  });
});

describe('a client behind a proxy', () => {
  const by = (forwarded: string, proto = 'http') => ({
    'x-forwarded-for': forwarded,
    'x-forwarded-proto': proto,
  });

  test('is identified by its header only if the proxy is trusted', async () => {
    await start({ rateLimitPerAddress: 1, trustedProxies: ['10.0.0.0/8'] });
    expect((await ask('10.1.1.1', by('203.0.113.1'))).statusCode).toBe(200);
    expect((await ask('10.2.2.2', by('203.0.113.2'))).statusCode).toBe(200);
    // What a client writes itself stands before what the proxy adds.
    expect((await ask('10.1.1.1', by('198.51.100.1, 203.0.113.2'))).statusCode).toBe(429);
    expect((await ask('192.0.2.1', by('203.0.113.3'))).statusCode).toBe(200);
    expect((await ask('192.0.2.1', by('203.0.113.4'))).statusCode).toBe(429);
  });

  test('gets the header for TLS if it came over TLS', async () => {
    await start({ trustedProxies: ['10.0.0.1'] });
    const field = 'strict-transport-security';
    const read = (remoteAddress: string, proto: string, url = URL) =>
      ledger.call({ url, remoteAddress, headers: by('203.0.113.1', proto) });
    for (const url of [URL, URL, '/healthz', '/nowhere']) {
      expect((await read('10.0.0.1', 'https', url)).headers[field]).toBe('max-age=31536000');
      expect((await read('10.0.0.1', 'http', url)).headers).not.toHaveProperty(field);
      expect((await read('10.0.0.2', 'https', url)).headers).not.toHaveProperty(field);
    }
  });
});
