import { once } from 'node:events';
import { request as requestOf, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { handleErrors } from '../../src/http/errors.ts';
import { sendLongBody } from '../../src/http/long-responses.ts';
import { RawClient } from '../support/raw-client.ts';

/** What the route sends, and what it has read so far. */
let parts: () => AsyncGenerator<string, void>;
const progress = { read: 0, returned: 0 };
let app: FastifyInstance;
let origin = '';

beforeEach(async () => {
  Object.assign(progress, { read: 0, returned: 0 });
  app = fastify();
  handleErrors(app);
  app.get('/', (request, reply) =>
    sendLongBody(request, reply, {
      parts: parts(),
      headers: { 'content-type': 'text/csv' },
      digest: 'state',
    }),
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
});
afterEach(() => app.close());

const PART = 'a line of text\r\n'.repeat(4_096);

async function* manyParts(count: number): AsyncGenerator<string, void> {
  try {
    for (; progress.read < count; progress.read += 1) yield PART;
  } finally {
    progress.returned += 1;
  }
}

/** A response whose body nobody reads yet. */
async function open(localAddress = '127.0.0.1'): Promise<IncomingMessage> {
  const sent = requestOf(origin, { agent: false, localAddress });
  sent.on('error', () => {}).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.on('error', () => {}).pause();
  return response;
}

async function settled(value: () => number): Promise<number> {
  for (let before = -1; ;) {
    const now = value();
    if (now === before && now > 0) return now;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

test.for([
  ['identity', (bytes: Buffer) => bytes],
  ['gzip', gunzipSync],
  ['br', brotliDecompressSync],
] as const)('all parts arrive as %s', async ([coding, decode]) => {
  parts = () => manyParts(40);
  const { rawPayload, headers } = await app.inject({
    url: '/',
    headers: { 'accept-encoding': coding },
  });
  expect(decode(rawPayload).toString()).toBe(PART.repeat(40));
  expect(headers.etag).toBe(coding === 'identity' ? 'W/"state"' : `W/"state-${coding}"`);
  expect(progress).toEqual({ read: 40, returned: 1 });
});

test('a slow client gets no more than it reads', async () => {
  parts = () => manyParts(10_000); // 655 MB
  const response = await open();
  const reached = await settled(() => progress.read);
  expect(reached).toBeLessThan(1_000);
  response.resume();
  await expect.poll(() => progress.read).toBeGreaterThan(reached);
  response.destroy();
  await expect.poll(() => progress.returned).toBe(1);
  expect(progress.read).toBeLessThan(10_000);
});

test('a body that can not be read to its end is no whole one', async () => {
  parts = async function* failing() {
    for (const part of [PART, PART, PART]) yield part;
    throw new Error('the database is gone');
  };
  await expect(fetch(origin).then((answer) => answer.text())).rejects.toThrow(
    /terminated|fetch failed/,
  );
  const zipped = fetch(origin, { headers: { 'accept-encoding': 'gzip' } });
  await expect(zipped.then((answer) => answer.text())).rejects.toThrow(/terminated|fetch failed/);
  // A short one: of a long one, Node's client takes a reset for an end (libuv, uv__stream_io).
  parts = async function* failing() {
    yield 'a line\r\n';
    throw new Error('the database is gone');
  };
  // Without chunks, the end of a connection is the end of a body. So it must not just end.
  const client = await RawClient.open(origin);
  const closed = new Promise((resolve) => client.socket.once('close', resolve));
  let isReset = false;
  client.socket.on('error', (error: NodeJS.ErrnoException) => {
    isReset = error.code === 'ECONNRESET';
  });
  client.send('GET / HTTP/1.0\r\nHost: x\r\n\r\n');
  await closed;
  expect(isReset).toBe(true);
});

test('a body that can not be read at all is answered with a problem, and frees its place', async () => {
  parts = async function* failing() {
    await Promise.reject(new Error('the database is gone'));
    yield PART;
  };
  for (let index = 0; index < 10; index += 1) {
    const answer = await fetch(origin);
    expect([answer.status, answer.headers.get('etag')]).toEqual([500, null]);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
  }
});

test('an address reads four at once; more are refused until one is complete', async () => {
  parts = () => manyParts(10_000);
  const responses = await Promise.all([open(), open(), open(), open()]);
  expect(responses.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200]);
  const fifth = await fetch(origin);
  expect([fifth.status, fifth.headers.get('retry-after'), fifth.headers.get('etag')]).toEqual([
    429,
    '5',
    null,
  ]);
  expect(await fifth.json()).toMatchObject({ type: '/problems/rate-limited' });
  // Neither needs to wait.
  expect((await fetch(origin, { method: 'HEAD' })).status).toBe(200);
  const known = { 'if-none-match': '"state"', 'accept-encoding': 'identity' };
  expect((await fetch(origin, { headers: known })).status).toBe(304);
  for (const response of responses) response.destroy();
  // The HEAD has read the first part.
  await expect.poll(() => progress.returned).toBe(5);
  const again = await open();
  expect(again.statusCode).toBe(200);
  again.destroy();
});

test('addresses that read several leave room for others', async () => {
  parts = () => manyParts(10_000);
  const responses: IncomingMessage[] = [];
  const statusFrom = async (address: string) => {
    const response = await open(address);
    responses.push(response);
    return response.statusCode;
  };
  for (let count = 0; count < 4; count += 1) expect(await statusFrom('127.0.0.1')).toBe(200);
  expect(await statusFrom('127.0.0.2')).toBe(200);
  expect(await statusFrom('127.0.0.2')).toBe(429);
  expect(await statusFrom('127.0.0.3')).toBe(200);
  expect(await statusFrom('127.0.0.4')).toBe(200);
  expect(await statusFrom('127.0.0.5')).toBe(200);
  expect(await statusFrom('127.0.0.6')).toBe(503);
  for (const response of responses) response.destroy();
});
