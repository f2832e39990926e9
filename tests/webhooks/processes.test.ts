import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { generate } from 'selfsigned';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { type Certificate, perOutlook, Receiver, verify } from '../support/receiver.ts';
import { cleanUp, newFolder, type Service, startService } from '../support/service.ts';

const SLUGS = ['one', 'two', 'three', 'four', 'five'];

let certificate: Certificate;
let settings: Record<string, string>;
let pool: pg.Pool;
let services: Service[] = [];
let key = '';
let receiver: Receiver;
let secret = '';

async function newCertificate(): Promise<Certificate> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  });
  return { key, cert };
}

beforeAll(async () => {
  certificate = await newCertificate();
  const trusted = path.join(newFolder(), 'trusted.pem');
  writeFileSync(trusted, certificate.cert);
  const url = await createDatabase();
  pool = openDatabase(url, 2);
  const issued = { name: 'Desk', role: 'admin' as const, expiresAt: null };
  ({ key } = await issueKey(pool, issued, new Date()));
  settings = {
    ...databaseSettings(url),
    LOAD_SAMPLES: 'true',
    WEBHOOK_PRIVATE_ADDRESSES: 'true',
    LOG_LEVEL: 'debug',
    NODE_EXTRA_CA_CERTS: trusted,
  };
  await start(2);
  for (const slug of SLUGS) await post('/v1/outlooks', { ...SAMPLE_OUTLOOK, slug });
});
afterAll(async () => {
  await cleanUp();
  await pool.end();
});

beforeEach(async () => {
  receiver = await new Receiver(certificate).open();
  secret = await subscribe(`${receiver.url}?token=hush`);
});
afterEach(async () => {
  await pool.query('delete from webhooks');
  await receiver.kill();
});

async function start(howMany: number): Promise<void> {
  services = await Promise.all(Array.from({ length: howMany }, () => startService(settings)));
}

async function post<Body>(url: string, body: object, turn = 0): Promise<Body> {
  const response = await fetch((services[turn % services.length]?.origin ?? '') + url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`);
  return JSON.parse(text) as Body;
}

async function subscribe(url: string): Promise<string> {
  const created = await post<{ secret: string }>('/v1/webhooks', {
    url,
    kinds: ['outlook.version.published'],
  });
  return created.secret;
}

let revisions = 0;
/** Revises all outlooks at once; returns the expected events, by outlook. */
async function revise(times: number): Promise<Record<string, string[]>> {
  const published = await Promise.all(
    SLUGS.map(async (slug, index) => {
      const versions: string[] = [];
      for (let turn = 0; turn < times; turn += 1) {
        const body = distinctRevision((revisions += 1));
        const { version } = await post<{ version: number }>(
          `/v1/outlooks/${slug}/revisions`,
          body,
          index + turn,
        );
        versions.push(`outlook.version.published ${version}`);
      }
      return [slug, versions] as const;
    }),
  );
  return Object.fromEntries(published);
}

/** What is undelivered, in the order of its events. */
async function waiting(): Promise<{ due: boolean; fault: string | null }[]> {
  const { rows } = await pool.query<{ due: boolean; fault: string | null }>(
    `select d.due_at <= now() as due, a.fault from webhook_deliveries d
       left join webhook_attempts a on a.delivery_id = d.id and a.number = d.attempts
      where d.delivered_at is null order by d.position`,
  );
  return rows;
}

const hold = () => void (receiver.answer = () => {});
const accept = () =>
  void (receiver.answer = (received, response) => receiver.accepting(received, response));

test('two instances share the work: everything arrives once, in order, over TLS, and is accepted', async () => {
  const published = await revise(40);
  await expect.poll(() => receiver.accepted.length).toBe(200);
  expect(perOutlook(receiver.accepted)).toEqual(published);
  await expect.poll(waiting).toEqual([]);
  expect(receiver.attempts.length).toBe(200);
  for (const received of receiver.accepted)
    expect(verify(secret, received)).toEqual(received.payload);
  const shares = services.map(({ stdout }) => stdout().split('delivered to a webhook').length - 1);
  expect(Math.min(...shares)).toBeGreaterThan(0);
});

test('a receiver whose certificate nobody trusts gets nothing', async () => {
  const impostor = await new Receiver(await newCertificate()).open();
  await subscribe(impostor.url);
  await revise(1);
  await expect
    .poll(async () => (await waiting()).map(({ fault }) => fault))
    .toEqual(Array(SLUGS.length).fill('self-signed certificate'));
  expect(impostor.attempts).toEqual([]);
  await impostor.kill();
});

test('kill -9 amidst deliveries loses nothing', async () => {
  hold();
  const held = await revise(2);
  await expect.poll(() => receiver.attempts.length).toBe(SLUGS.length);
  for (const service of services) service.kill('SIGKILL');
  for (const service of services) await service.ended;
  const ids = new Set(receiver.attempts.map(({ id }) => id));
  accept();
  await start(2);
  const published = await revise(2);
  expect((await waiting()).filter(({ due }) => due)).toEqual([]);
  // A minute and a half, in which nobody else may go on.
  await pool.query(
    `update webhook_deliveries set due_at = due_at - interval '90 seconds' where due_at is not null`,
  );
  const all = Object.fromEntries(
    SLUGS.map((slug) => [slug, [...(held[slug] ?? []), ...(published[slug] ?? [])]]),
  );
  await expect.poll(() => perOutlook(receiver.accepted)).toEqual(all);
  expect(receiver.accepted.length).toBe(4 * SLUGS.length);
  for (const id of ids) expect(receiver.accepted.map((one) => one.id)).toContain(id);
});

test('a shutdown cuts off a receiver that hangs, and the next start sends at once', async () => {
  hold();
  const published = await revise(1);
  await expect.poll(() => receiver.attempts.length).toBe(SLUGS.length);
  for (const service of services) service.kill('SIGTERM');
  for (const service of services) expect(await service.ended).toEqual({ code: 0, signal: null });
  expect(await waiting()).toEqual(
    SLUGS.map(() => ({ due: true, fault: 'the service stopped during the attempt' })),
  );
  accept();
  await start(1);
  await expect.poll(() => perOutlook(receiver.accepted)).toEqual(published);
});

test('logs mention webhooks, but not their secrets or the queries of URLs', async () => {
  await revise(1);
  await expect.poll(() => receiver.accepted.length).toBe(SLUGS.length);
  receiver.answer = (_, response) => response.writeHead(500).end();
  await revise(1);
  const log = () => services.map(({ stdout, stderr }) => stdout() + stderr()).join('');
  await expect.poll(log).toContain('a webhook delivery failed');
  expect(log()).toContain('delivered to a webhook');
  expect(log()).toContain(`"receiver":"${new URL(receiver.url).origin}"`);
  for (const text of ['hush', 'whsec_', secret.slice('whsec_'.length)])
    expect(log()).not.toContain(text);
});
