import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG } from '../support/http-client.ts';
import { cleanUp, keysShown, newFolder, type Service, startService } from '../support/service.ts';

const CONNECTIONS = 2_000;
/** How long the flood lasts, in milliseconds. */
const FLOOD = 30_000;
const MEGABYTE = 1_048_576;

let service: Service;
let key = '';
beforeAll(async () => {
  service = await startService({ DATA_DIR: newFolder(), LOG_LEVEL: 'fatal' });
  [key = ''] = keysShown(service.stdout());
});
afterAll(cleanUp);

/** The memory of the service's process, in bytes; only on Linux. */
function memory(): number {
  const status = readFileSync(`/proc/${service.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

/** Malicious clients: a byte of a header or of a body now and then, or as much as they can. */
const KINDS: ((socket: Socket) => void)[] = [
  (socket) => socket.write('GET /v1/outlooks HTTP/1.1\r\nHost: x\r\nX-Slow: '),
  (socket) =>
    socket.write(
      `POST /v1/outlooks/${SLUG}/revisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{',
    ),
  () => {}, // sends nothing at all
  (socket) => socket.write('GET /v1/outlooks?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50)), // never read
];

function flood(port: number): Socket[] {
  return Array.from({ length: CONNECTIONS }, (_, index) => {
    const socket = connect(port, '127.0.0.1');
    const kind = KINDS[index % KINDS.length];
    socket.on('error', () => {});
    socket.on('connect', () => {
      socket.pause();
      kind?.(socket);
    });
    return socket;
  });
}

async function timed(url: string): Promise<{ status: number; took: number }> {
  const began = performance.now();
  const response = await fetch(service.origin + url, { signal: AbortSignal.timeout(10_000) });
  await response.text();
  return { status: response.status, took: performance.now() - began };
}

test('2,000 connections that mean no good keep nobody else out', async () => {
  for (let turn = 0; turn < 200; turn += 1) await timed('/healthz');
  const before = memory();
  const sockets = flood(Number(new URL(service.origin).port));
  const trickle = setInterval(() => {
    for (const [index, socket] of sockets.entries()) {
      if (index % KINDS.length < 2 && socket.writable) socket.write('x');
    }
  }, 1_000);
  const waits: number[] = [];
  let most = before;
  for (const end = performance.now() + FLOOD; performance.now() < end; await delay(200)) {
    const { status, took } = await timed('/healthz');
    expect(status).toBe(200);
    waits.push(took);
    most = Math.max(most, memory());
  }
  clearInterval(trickle);
  const left = sockets.filter((socket) => !socket.destroyed).length;
  for (const socket of sockets) socket.destroy();
  const over = performance.now();
  const normal = async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, () => timed(`/v1/outlooks/${SLUG}/versions/1`)),
    );
    return all.every(({ status, took }) => status === 200 && took < 200);
  };
  while (!(await normal())) await delay(20);
  const recovery = performance.now() - over;
  const longest = Math.max(...waits);
  process.stdout.write(
    `health answered ${waits.length} times, within ${Math.round(longest)} ms; ${left} of ${CONNECTIONS} ` +
      `connections were left; memory rose by ${Math.round((most - before) / MEGABYTE)} MiB; ` +
      `normal ${Math.round(recovery)} ms after\n`,
  );
  expect(longest).toBeLessThan(1_000);
  expect(most - before).toBeLessThan(300 * MEGABYTE);
  expect(recovery).toBeLessThan(5_000);
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const revision = { probabilities: { bear: 0.4, base: 0.35, bull: 0.25 }, rationale: 'R' };
  const written = await fetch(`${service.origin}/v1/outlooks/${SLUG}/revisions`, {
    method: 'POST',
    headers,
    body: JSON.stringify(revision),
  });
  expect(written.status).toBe(201);
});
