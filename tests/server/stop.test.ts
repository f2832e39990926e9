import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { get, SLUG } from '../support/http-client.ts';
import {
  cleanUp,
  isAlive,
  postmasterOf,
  type Service,
  startService,
  until,
} from '../support/service.ts';
import { stopService, type UsedFolder, useFolder } from '../support/used-folder.ts';

let used: UsedFolder;
beforeAll(async () => {
  used = await useFolder();
});
afterAll(cleanUp);

const BODY = Buffer.from(
  JSON.stringify({
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    rationale: 'Yields jumped.',
  }),
);

/** Sends a revision in two halves, the second once `meanwhile` is done; answers the status. */
function reviseSlowly(
  { origin }: Service,
  agent: Agent,
  meanwhile: () => Promise<void>,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sending = request(`${origin}/v1/outlooks/${SLUG}/revisions`, {
      agent,
      method: 'POST',
      headers: {
        authorization: `Bearer ${used.key}`,
        'content-type': 'application/json',
        'content-length': BODY.length,
        expect: '100-continue', // tells when the service has the request in hand
      },
    });
    sending.once('error', reject);
    sending.once('response', (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    });
    sending.once('continue', () => {
      sending.write(BODY.subarray(0, 20));
      meanwhile().then(() => sending.end(BODY.subarray(20)), reject);
    });
  });
}

/** Whether no connection to a URL is taken. */
const isRefused = (url: string) =>
  fetch(url).then(
    (response) => response.text().then(() => false),
    () => true,
  );

test.concurrent.each([
  ['SIGTERM', false],
  ['SIGINT', false],
  ['SIGTERM', true],
] as const)(
  '%s, twice as under npm, lets a request in flight finish (kept alive: %s)',
  async (signal, keepAlive) => {
    const dataDir = used.copy();
    const service = await startService({ DATA_DIR: dataDir });
    const postmaster = postmasterOf(dataDir);
    const agent = new Agent({ keepAlive });
    const status = await reviseSlowly(service, agent, async () => {
      service.kill(signal);
      await until(() => service.stdout().includes(`stopping on ${signal}`));
      service.kill(signal);
      await expect.poll(() => isRefused(`${service.origin}/healthz`)).toBe(true);
    });
    expect(status).toBe(201);
    expect(await service.ended).toEqual({ code: 0, signal: null });
    agent.destroy();
    expect(service.stderr()).toBe('');
    expect(postmaster && isAlive(postmaster)).toBe(false);

    const next = await startService({ DATA_DIR: dataDir });
    expect((await get(next.origin, `/v1/outlooks/${SLUG}`)).version).toBe(2);
    await stopService(next, dataDir);
  },
);

test.concurrent('a second Ctrl-C, later, does not wait for what hangs', async () => {
  const dataDir = used.copy();
  const service = await startService({ DATA_DIR: dataDir });
  const postmaster = postmasterOf(dataDir) ?? 0;
  let isOver = false;
  void service.ended.then(() => (isOver = true));
  const hanging = reviseSlowly(service, new Agent(), () =>
    until(() => {
      service.kill('SIGINT');
      return isOver;
    }),
  );
  await expect(hanging).rejects.toThrow('socket hang up');
  expect(await service.ended).toEqual({ code: 1, signal: null });
  await until(() => !isAlive(postmaster));
});

// Browsers open connections ahead of requests that may never come.
test.concurrent.each([
  ['sends nothing', ''],
  ['stops within its headers', 'GET / HTTP/1.1\r\nHost: '],
  ['waits between two requests', 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'],
])('a connection that %s does not hold up the stop', async (_, bytes) => {
  const dataDir = used.copy();
  const service = await startService({ DATA_DIR: dataDir });
  const { hostname, port } = new URL(service.origin);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  if (bytes !== '') socket.write(bytes);
  // Taken after this connection, so the service has this one too.
  expect((await fetch(`${service.origin}/healthz`)).status).toBe(200);
  await stopService(service, dataDir);
  socket.destroy();
});
