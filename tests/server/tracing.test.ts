import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { SLUG } from '../support/http-client.ts';
import { cleanUp, run, type Service, startService } from '../support/service.ts';

/** A collector of traces that stores what it gets. */
let collector: Server;
let received = Buffer.alloc(0);
let paths: string[] = [];
let service: Service;
let key = '';
beforeAll(async () => {
  collector = createServer((request, response) => {
    paths.push(request.url ?? '');
    request.on('data', (bytes: Buffer) => (received = Buffer.concat([received, bytes])));
    request.on('end', () => response.end());
  });
  await new Promise<void>((resolve) => {
    collector.listen(0, '127.0.0.1', resolve);
  });
  const { port } = collector.address() as AddressInfo;
  const url = await createDatabase();
  service = await startService({
    ...databaseSettings(url),
    LOAD_SAMPLES: 'true',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=a-test',
  });
  const pool = openDatabase(url, 1);
  const issued = await issueKey(pool, { name: 'D', role: 'analyst', expiresAt: null }, new Date());
  key = issued.key;
  await pool.end();
});
afterAll(async () => {
  await cleanUp();
  await new Promise((resolve) => {
    collector.close(resolve);
  });
});

test("requests and their statements are traced, below the client's span, without their contents", async () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const written = await fetch(`${service.origin}/v1/outlooks/${SLUG}/revisions?x=${key}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{}',
  });
  expect(written.status).toBe(422);
  const revised = await fetch(`${service.origin}/v1/outlooks/${SLUG}/revisions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      traceparent: `00-${trace}-00f067aa0ba902b7-01`,
    },
    body: JSON.stringify({
      probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
      rationale: 'Never in a trace.',
    }),
  });
  expect(revised.status).toBe(201);
  await fetch(`${service.origin}/healthz`);
  service.kill('SIGTERM');
  expect(await service.ended).toEqual({ code: 0, signal: null });
  expect(new Set(paths)).toEqual(new Set(['/v1/traces']));
  for (const text of [
    'outlook-ledger',
    'a-test',
    'POST /v1/outlooks/:slug/revisions',
    'postgres find-keys',
    'postgres append-versions',
    'invalid-request',
  ]) {
    expect([text, received.includes(text)]).toEqual([text, true]);
  }
  const spans = received.toString('latin1').split(Buffer.from(trace, 'hex').toString('latin1'));
  expect(spans.length).toBeGreaterThan(4); // the request, and the statements below it
  for (const secret of [key.slice(4), 'Never in a trace.', '/healthz']) {
    expect([secret, received.includes(secret)]).toEqual([secret, false]);
  }
});

test('an unavailable collector is reported, and delays nothing', async () => {
  const url = await createDatabase();
  const started = run('server.js', [], {
    ...databaseSettings(url),
    PORT: '0',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
  });
  await expect.poll(() => started.stdout()).toContain('Swagger UI is at');
  started.kill('SIGTERM');
  expect(await started.ended).toEqual({ code: 0, signal: null });
});
