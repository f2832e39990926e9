import { EventEmitter, once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { whenFinished } from '../../src/http/when-finished.ts';
import { freshly } from '../support/fresh-metrics.ts';
import { holdOutlooks } from '../support/held-outlooks.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { RawClient, rawPost } from '../support/raw-client.ts';

const CACHED = `/v1/outlooks/${SLUG}`;
/** Never cached. */
const UNCACHED = `${CACHED}?asOf=2026-11-20T16:00:00.001Z`;
const MOST = 16;

let ledger: TestLedger;
let origin: string;
let clients: RawClient[];
let lines: { level: number; msg: string }[];
const start = async (options: Parameters<typeof startLedger>[0] = {}) => {
  lines = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]);
  ledger = await startLedger({ logger: pino({ level: 'debug' }, { write }), ...options });
  ledger.clock.now = new Date('2026-11-20T17:00:00.000Z');
  origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
};
beforeEach(() => void (clients = []));
afterEach(async () => {
  for (const { socket } of clients) socket.destroy();
  await ledger.close();
});

const open = async () => {
  const client = await RawClient.open(origin);
  clients.push(client);
  return client;
};
const statusOf = async (url: string) => (await fetch(origin + url)).status;
const metric = async (name: string) => {
  const text = await freshly(async () => (await fetch(`${origin}/metrics`)).text());
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );
};
const DROPPED = 'outlook_ledger_dropped_requests_total{reason="closed"}';
const STREAMS = 'outlook_ledger_event_streams';
const revision = (bear: number) =>
  rawPost(`${CACHED}/revisions`, ledger.keys.analyst, {
    probabilities: { bear, base: Number((0.75 - bear).toFixed(2)), bull: 0.25 },
    rationale: 'Moved.',
  });
const versions = async () => {
  const { rows } = await ledger.pool.query<{ bear: number }>(
    'select bear_bps as bear from outlook_versions order by version',
  );
  return rows.map(({ bear }) => bear);
};

describe('pipelined requests', () => {
  test('are answered in order, cached or not', async () => {
    await start();
    const client = await open();
    await statusOf(CACHED);
    client.send(
      `GET ${UNCACHED}`,
      `GET ${CACHED}`,
      'GET /nowhere',
      `HEAD ${CACHED}`,
      'GET /healthz',
    );
    await expect.poll(() => client.statuses).toEqual([200, 200, 404, 200, 200]);
    expect(lines.filter(({ level }) => level > 30)).toEqual([]);
  });

  test('start one after another', async () => {
    await start();
    const client = await open();
    client.send(revision(0.1), revision(0.2), `GET ${CACHED}`, revision(0.3));
    await expect.poll(() => client.statuses).toEqual([201, 201, 200, 201]);
    expect(client.received).toContain('"version":3,');
    expect(await versions()).toEqual([3000, 1000, 2000, 3000]);
  });

  test('end with the one that sends Connection: close', async () => {
    await start();
    const client = await open();
    const last = `GET ${CACHED} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    const ended = once(client.socket, 'close');
    client.send(`GET ${UNCACHED}`, last, revision(0.1));
    await ended;
    expect(client.statuses).toEqual([200, 200]);
    expect(await versions()).toHaveLength(1);
  });

  test('behind a stream take no slot', async () => {
    await start({ requestsAtOnce: 4 });
    const client = await open();
    client.send('GET /v1/events', ...Array<string>(10).fill(`GET ${UNCACHED}`));
    await expect.poll(() => client.statuses).toEqual([200]);
    expect(await statusOf(UNCACHED)).toBe(200);
    expect(await metric(STREAMS)).toBe(1);
  });

  test(`of which ${MOST} are unanswered are all answered`, async () => {
    await start();
    const client = await open();
    client.send(...Array<string>(MOST).fill(`GET ${UNCACHED}`));
    await expect.poll(() => client.statuses).toEqual(Array(MOST).fill(200));
  });

  test('beyond that get one refusal, after which the connection closes', async () => {
    await start();
    for (const [request, status] of [
      [`GET ${CACHED}`, 200],
      [`GET ${UNCACHED}`, 200],
      [`GET ${UNCACHED} HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n`, 417],
    ] as const) {
      const client = await open();
      const ended = once(client.socket, 'close');
      client.send(...Array<string>(250).fill(request));
      await ended;
      expect(client.statuses).toEqual([...Array<number>(MOST).fill(status), 429]);
      const refusal = client.received.slice(client.received.lastIndexOf('HTTP/1.1'));
      expect(refusal).toMatch(/\r\nconnection: close\r\n/i);
      expect(refusal).toContain('Your connection has 16 requests without a response');
    }
    // The rest is not even parsed.
    expect(await metric('outlook_ledger_dropped_requests_total{reason="pipelined"}')).toBe(3);
  });
});

describe('a connection that closes before its requests are answered', () => {
  test('frees their slots, and leaves no stream', async () => {
    await start({ requestsAtOnce: 4 });
    // The first stream looks up the newest event that everyone may see; later ones find it in memory.
    const first = await open();
    first.send('GET /v1/events');
    await expect.poll(() => first.statuses).toEqual([200]);
    await first.reset();
    const lock = await holdOutlooks(ledger);
    for (let turn = 0; turn < 2; turn += 1) {
      const client = await open();
      client.send('GET /v1/events', ...Array<string>(15).fill('GET /v1/series'));
      const other = await open();
      other.send(
        ...Array<string>(15).fill(`GET ${CACHED}?asOf=2026-11-20T16:00:01.00${turn}Z`),
        'GET /v1/events',
      );
      await expect.poll(() => client.statuses).toEqual([200]);
      await expect.poll(lock.waiting).toBe(turn + 1);
      await Promise.all([client.reset(), other.reset()]);
    }
    await lock.release();
    await expect.poll(() => statusOf(UNCACHED)).toBe(200);
    const all = Array.from({ length: 2 }, () => statusOf(UNCACHED));
    expect(await Promise.all(all)).toEqual([200, 200]);
    await expect.poll(() => metric(STREAMS)).toBe(0);
    expect(await metric(DROPPED)).toBe(2 * 15 + 2 * 16);
    expect(lines.filter(({ level }) => level > 30)).toEqual([]);
  });

  test('leaves no stream that was about to start', async () => {
    await start({ streamsPerAddress: 1 });
    const lock = await holdOutlooks(ledger);
    const client = await open();
    client.send(`GET ${CACHED}/events`);
    await expect.poll(lock.waiting).toBe(1);
    await client.reset();
    await expect.poll(() => metric(DROPPED)).toBe(1);
    await lock.release();
    const next = await open();
    await expect
      .poll(() => {
        next.send('GET /v1/events');
        return next.statuses.at(-1);
      })
      .toBe(200);
    expect(await metric(STREAMS)).toBe(1);
    expect(lines.filter(({ level }) => level > 30)).toEqual([]);
  });

  test('is no error, at whatever point of a request it is reset', async () => {
    await start({ requestsAtOnce: 4, rateLimitPerAddress: 1_000 });
    const { stackTraceLimit } = Error;
    const whole = revision(0.1);
    const begun = [
      ...Array<string>(20).fill(`GET ${UNCACHED} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(16)),
      ...Array<string>(20).fill(`GET ${CACHED} HTTP/1.1\r\nHost: x\r\n\r\n`),
      ...Array<string>(5).fill(whole),
      ...Array<string>(5).fill(`GET ${UNCACHED} HTTP/1.1\r\nHost: x\r\n\r\nNo HTTP.\r\n\r\n`),
      whole.slice(0, 60),
      whole.slice(0, -1),
      whole.slice(0, whole.indexOf('{')),
      whole.replace('\r\n\r\n', '\r\nExpect: 100-continue\r\n\r\n').slice(0, -1),
      whole.replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked').slice(0, -1),
    ];
    await Promise.all(
      begun.map(async (text) => {
        const client = await open();
        client.send(text);
        await client.reset();
      }),
    );
    await expect.poll(() => statusOf(UNCACHED)).toBe(200);
    expect(lines.filter(({ level }) => level > 30)).toEqual([]);
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });

  test('leaves a line in the log if it may have written', async () => {
    await start();
    const lock = await holdOutlooks(ledger);
    const client = await open();
    client.send(revision(0.1));
    await expect.poll(lock.waiting).toBe(1);
    await client.reset();
    await lock.release();
    await expect.poll(versions).toEqual([3000, 1000]);
    const messages = lines.filter(({ level }) => level >= 30).map(({ msg }) => msg);
    expect(messages).toContain('the connection closed before the response');
  });
});

describe('/readyz', () => {
  afterEach(() => void vi.useRealTimers());

  test('answers 503 if slots of closed connections are never freed, and logs it once', async () => {
    await start({ requestsAtOnce: 4 });
    const ready = async () => {
      const { statusCode } = await ledger.call({ url: '/readyz' });
      return statusCode;
    };
    vi.useFakeTimers({ toFake: ['performance'] });
    const responses = Array.from({ length: 2 }, () => new EventEmitter());
    for (const response of responses) {
      const request = { raw: { socket: { destroyed: true } } } as unknown as FastifyRequest;
      whenFinished(request, { raw: response } as unknown as FastifyReply, () => {});
    }
    expect(await ready()).toBe(200);
    vi.advanceTimersByTime(5_000);
    expect([await ready(), await ready()]).toEqual([503, 503]);
    expect(lines.filter(({ level }) => level > 40).map(({ msg }) => msg)).toEqual([
      'requests whose connections closed still hold slots',
    ]);
    for (const response of responses) response.emit('close');
    expect(await ready()).toBe(200);
  });
});

describe('bodies in chunks', () => {
  const head = (request: string, key = '') =>
    `${request} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n` +
    'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
  const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

  test('are read, and the connection goes on', async () => {
    await start();
    const client = await open();
    const body = JSON.stringify({
      probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
      rationale: 'Moved.',
    });
    const chunks = body.match(/.{1,7}/g) ?? [];
    client.send(
      head(`POST ${CACHED}/revisions`, ledger.keys.analyst) +
        chunks.map(chunk).join('') +
        chunk(''),
    );
    await expect.poll(() => client.statuses).toEqual([201]);
    client.send('GET /healthz');
    await expect.poll(() => client.statuses).toEqual([201, 200]);
  });

  test.each([
    ['a cached read', `GET ${CACHED}`, 200],
    ['another read', `GET ${UNCACHED}`, 200],
    ['a refused write', 'POST /v1/outlooks', 401],
  ])('end the connection if they go on after the response to %s', async (_, request, status) => {
    await start();
    await statusOf(CACHED);
    const client = await open();
    const ended = once(client.socket, 'end');
    client.send(head(request) + chunk('1'));
    await ended;
    expect(client.statuses).toEqual([status]);
    expect(client.received).toMatch(/\r\nconnection: close\r\n/i);
  });

  test('are refused if there are too many', async () => {
    await start();
    const client = await open();
    const closed = once(client.socket, 'close');
    client.send(head('POST /v1/outlooks', ledger.keys.analyst));
    const sending = setInterval(() => client.socket.write(chunk('1').repeat(1_000)), 1);
    await closed;
    clearInterval(sending);
    expect(client.statuses.filter((status) => status !== 400)).toEqual([]);
    expect(await versions()).toHaveLength(1);
  });
});
