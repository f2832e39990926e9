import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createClient,
  type EventData,
  type LedgerEvent,
  type Probabilities,
  ProblemError,
  type SubscribeOptions,
  UnexpectedResponseError,
  type WebhookEvent,
} from '@outlook-ledger/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, expectTypeOf, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { Proxy } from '../support/proxy.ts';
import { createOutlook } from '../support/requests.ts';
import { takeSnapshot } from '../support/rollback.ts';
import { until } from '../support/service.ts';

let ledger: TestLedger;
let proxy: Proxy;
let url: string;
beforeAll(async () => {
  ledger = await startLedger();
  proxy = new Proxy(await ledger.app.listen({ host: '127.0.0.1', port: 0 }));
  url = (await proxy.listen()).replace(/\/$/, '');
});
afterAll(async () => {
  await proxy.close();
  await ledger.close();
});

let turn = 0;
async function revise(): Promise<void> {
  turn += 1;
  const revised = await ledger.revise(distinctRevision(turn));
  expect(revised.statusCode, revised.body).toBe(201);
}

/** A subscription whose events are collected. */
class Follower {
  readonly events: LedgerEvent[] = [];
  readonly openings: { lastEventId: string; resumed: boolean }[] = [];
  readonly losses: { error: unknown; retryIn: number }[] = [];
  readonly #stop = new AbortController();
  readonly ended: Promise<void>;

  constructor(baseUrl: string, options: SubscribeOptions = {}, key?: string) {
    const events = createClient({ baseUrl, key }).subscribe({
      signal: this.#stop.signal,
      onOpen: (opened) => this.openings.push(opened),
      onDisconnect: (lost) => this.losses.push(lost),
      ...options,
    });
    this.ended = (async () => {
      for await (const event of events) this.events.push(event);
    })();
    this.ended.catch(() => {});
  }

  async opened(count = 1): Promise<this> {
    await until(() => this.openings.length >= count);
    return this;
  }

  stop(): Promise<void> {
    this.#stop.abort();
    return this.ended;
  }
}

let followers: Follower[];
beforeEach(() => void (followers = []));
afterEach(async () => {
  await Promise.all(followers.map((one) => one.stop().catch(() => {})));
});
const follow = (baseUrl = url, options: SubscribeOptions = {}, key?: string) => {
  const follower = new Follower(baseUrl, options, key);
  followers.push(follower);
  return follower;
};
const positionsOf = ({ events }: Follower) => events.map(({ id }) => Number(id.split('-')[0]));

test('events and their data are typed', () => {
  const bearOf = (event: LedgerEvent): number | null => {
    switch (event.type) {
      case 'outlook.created':
      case 'outlook.version.published':
        expectTypeOf(event.data.probabilities).toEqualTypeOf<Probabilities>();
        return event.data.probabilities.bear;
      // @ts-expect-error: no such kind
      case 'outlook.version.publishd':
        return null;
      case 'stream.reset':
        expectTypeOf(event.data.lastEventId).toEqualTypeOf<string>();
        return null;
      default:
        return null;
    }
  };
  expect(bearOf({ type: 'evidence.added' } as LedgerEvent)).toBeNull();
  expectTypeOf<EventData<'view.withdrawn'>['view']['analyst']['name']>().toEqualTypeOf<string>();
  expectTypeOf<WebhookEvent<'webhook.test'>['data']['webhook']>().toEqualTypeOf<string>();
});

test('each event comes once while connections break, also before the first one', async () => {
  const [every, one] = [await follow().opened(), await follow(url, { slug: SLUG }).opened()];
  await createOutlook(ledger, { slug: 'another' });
  for (let round = 1; round <= 2; round += 1) {
    proxy.block();
    await revise();
    proxy.weather = 'calm';
    await Promise.all([every.opened(round + 1), one.opened(round + 1)]);
    await revise();
  }
  await expect.poll(() => every.events.length).toBe(5);
  await expect.poll(() => one.events.length).toBe(4);
  const first = positionsOf(every)[0] ?? 0;
  expect(positionsOf(every)).toEqual(Array.from({ length: 5 }, (_, index) => first + index));
  expect(one.events).toEqual(every.events.slice(1));
  expect(every.openings[0]?.resumed).toBe(false);
  expect(every.openings.slice(1).every(({ resumed }) => resumed)).toBe(true);
  expect(every.losses.length).toBeGreaterThanOrEqual(2);
  for (const { retryIn } of every.losses) expect(retryIn).toBeGreaterThanOrEqual(100);
});

test('it resumes after an id, and from the first event', async () => {
  await revise();
  const all = await follow(url, { lastEventId: '0' }).opened();
  await expect.poll(() => all.events.length).toBeGreaterThan(2);
  const rest = await follow(url, { lastEventId: all.events[1]?.id }).opened();
  await expect.poll(() => rest.events).toEqual(all.events.slice(2));
});

test('it says that the ledger went back, and goes on', async () => {
  const snapshot = await takeSnapshot(ledger);
  const follower = await follow().opened();
  await revise();
  await expect.poll(() => follower.events.length).toBe(1);
  await snapshot.goBack();
  await expect.poll(() => follower.events.length).toBe(2);
  const [lost, reset] = follower.events;
  expect(reset).toMatchObject({ type: 'stream.reset', data: { lastEventId: lost?.id } });
  await follower.opened(2);
  expect(follower.openings.at(-1)?.resumed).toBe(false);
  await revise();
  await expect.poll(() => follower.events.length).toBe(3);
});

test('leaving the loop closes the stream', async () => {
  const before = proxy.open;
  for await (const event of createClient({ baseUrl: url }).subscribe({ lastEventId: '0' })) {
    expect(event.type).toBe('outlook.created');
    break;
  }
  await expect.poll(() => proxy.open).toBe(before);
});

test('an outlook that is missing and an id that is none are errors at once', async () => {
  for (const options of [{ slug: 'missing' }, { lastEventId: 'none' }]) {
    const follower = follow(url, options);
    await expect(follower.ended).rejects.toThrow(ProblemError);
    expect(follower.losses).toEqual([]);
  }
});

test('what a callback throws ends it', async () => {
  const onOpen = () => {
    throw new RangeError('enough');
  };
  await expect(follow(url, { onOpen }).ended).rejects.toThrow('enough');
});

// The service's own answers are above; those that it seldom gives come from a stand-in.
let server: Server;
let answers: ((response: ServerResponse) => void)[];
let requests: IncomingMessage[];
let standIn: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request);
    const answer = answers.shift();
    if (answer) answer(response);
    else response.writeHead(404, { 'content-type': 'application/problem+json' }).end(PROBLEM);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  standIn = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  [answers, requests] = [[], []];
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const PROBLEM = JSON.stringify({
  type: '/problems/not-found',
  title: 'T',
  status: 404,
  detail: 'D',
});
const event = (type: string, data: object, id: string) =>
  `event: ${type}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`;
const OPENED = event('stream.opened', { position: 1, resumed: false }, '1-00000000');
const stream = (text: string) => (response: ServerResponse) =>
  void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`retry: 100\n${text}`);
const status =
  (code: number, headers: object = {}) =>
  (response: ServerResponse) =>
    void response
      .writeHead(code, { 'content-type': 'application/problem+json', ...headers })
      .end(PROBLEM.replace('404', String(code)));

test.each([
  [401, false],
  [403, false],
  [404, false],
  [422, false],
  [501, false],
  [408, true],
  [429, true],
  [500, true],
  [503, true],
])('after the status %s it tries again: %s', async (code, isRepeated) => {
  answers = [stream(OPENED), status(code)];
  const follower = follow(standIn);
  await expect(follower.ended).rejects.toThrow(ProblemError);
  expect(requests).toHaveLength(isRepeated ? 3 : 2);
  expect(requests.slice(1).map(({ headers }) => headers['last-event-id'])).toEqual(
    Array.from({ length: requests.length - 1 }, () => '1-00000000'),
  );
});

test('it waits as long as the service asks, by seconds and by date', async () => {
  for (const value of ['1', new Date(Date.now() + 60_000).toUTCString()]) {
    answers = [status(503, { 'retry-after': value })];
    const follower = follow(standIn);
    await expect.poll(() => follower.losses).toHaveLength(1);
    expect(follower.losses[0]?.retryIn).toBeGreaterThanOrEqual(value === '1' ? 1_000 : 50_000);
    expect(follower.losses[0]?.error).toBeInstanceOf(ProblemError);
    await follower.stop();
  }
});

test('waits grow while it fails, and start anew once a stream opened', async () => {
  answers = [stream(OPENED), ...[1, 2, 3].map(() => stream('')), stream(OPENED), stream('')];
  const follower = follow(standIn);
  await expect(follower.ended).rejects.toThrow(ProblemError);
  const waits = follower.losses.map(({ retryIn }) => retryIn);
  for (const [index, least] of [100, 200, 400, 800, 100, 200].entries()) {
    expect(waits[index]).toBeGreaterThanOrEqual(least);
    expect(waits[index]).toBeLessThanOrEqual(least * 1.5);
  }
});

test('a key goes with each attempt', async () => {
  answers = [stream(OPENED), stream(OPENED)];
  await expect(follow(standIn, {}, 'olk_key').ended).rejects.toThrow(ProblemError);
  expect(requests.map(({ headers }) => headers.authorization)).toEqual(
    Array.from({ length: 3 }, () => 'Bearer olk_key'),
  );
});

test('an event that is repeated is left out, and one that is cut off comes whole', async () => {
  const [second, third] = ['2-00000000', '3-00000000'].map((id) => event('any', { id }, id));
  answers = [
    stream(OPENED + second + third?.slice(0, -1)),
    stream(event('stream.opened', { position: 2, resumed: true }, '2-00000000') + second + third),
  ];
  const follower = follow(standIn);
  await expect(follower.ended).rejects.toThrow(ProblemError);
  expect(requests[1]?.headers['last-event-id']).toBe('2-00000000');
  expect(follower.events.map(({ id }) => id)).toEqual(['2-00000000', '3-00000000']);
});

test.each([
  ['a page', (response: ServerResponse) => void response.end('<html>')],
  ['no content', (response: ServerResponse) => void response.writeHead(204).end()],
  ['text that is no JSON', stream(`${OPENED}event: any\ndata: <html>\nid: 2-00000000\n\n`)],
  ['an event without an id', stream(`${OPENED}event: any\ndata: {}\n\n`)],
  ['an event that never ends', stream(`${OPENED}data: ${'x'.repeat(5_000_000)}`)],
])('%s is not from the service', async (_, answer) => {
  answers = [answer];
  await expect(follow(standIn).ended).rejects.toThrow(UnexpectedResponseError);
});

test('a stream that falls silent is opened again', async () => {
  answers = [
    (response) =>
      void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(OPENED),
  ];
  const timers = { setTimeout: globalThis.setTimeout };
  // The silence that counts as death, in milliseconds.
  globalThis.setTimeout = ((ring: () => void, wait: number) =>
    timers.setTimeout(ring, wait === 45_000 ? 200 : wait)) as typeof setTimeout;
  try {
    const follower = await follow(standIn).opened();
    await expect(follower.ended).rejects.toThrow(ProblemError);
    expect(requests).toHaveLength(2);
  } finally {
    globalThis.setTimeout = timers.setTimeout;
  }
});
