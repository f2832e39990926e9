import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendAudit } from '../../src/access/audit-log.ts';
import { type Erasure, eraseName, findByNameOrId } from '../../src/access/erasure.ts';
import { connect, type EventClient } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { fillLedger } from '../support/outlooks.ts';
import { openSession, refusal } from '../support/plain-sql.ts';
import { outlookBody } from '../support/requests.ts';

const NAME = 'Zebulon "Zeb" Quickstitch';
const SUBJECT = 'zeb@desk.example';
const AUDIENCE = 'https://ledger.example';

let pair: { publicKey: CryptoKey; privateKey: CryptoKey };
let provider: Server;
let issuer = '';
let ledger: TestLedger;
let client: EventClient;
let id = '';
let erased: Erasure;
/** What an instance answered, and sent, before the erasure. */
let before: { etag: string; lastEventId: string };

beforeAll(async () => {
  pair = await generateKeyPair('RS256');
  await startProvider();
  const roles = { bosses: 'admin' } as const;
  ledger = await startLedger({
    oidc: {
      issuer,
      audience: AUDIENCE,
      algorithm: 'RS256',
      jwksUrl: null,
      rolesClaim: 'roles',
      roles,
    },
  });
  await fillLedger(ledger);
});
afterAll(async () => {
  await client?.leave();
  await ledger.close();
  provider.close();
});

async function startProvider(): Promise<void> {
  provider = createServer((request, response) => {
    if (request.url === '/.well-known/openid-configuration') {
      return void response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` }));
    }
    return void exportJWK(pair.publicKey).then((key) =>
      response.end(JSON.stringify({ keys: [{ ...key, kid: 'one', alg: 'RS256' }] })),
    );
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
}

async function token(): Promise<string> {
  const now = ledger.clock.now.getTime() / 1000;
  return new SignJWT({ iss: issuer, aud: AUDIENCE, sub: SUBJECT, name: NAME, roles: ['bosses'] })
    .setProtectedHeader({ alg: 'RS256', kid: 'one' })
    .setIssuedAt(now)
    .setExpirationTime(now + 300)
    .sign(pair.privateKey);
}

/** Sends a request as the person, by a token or a key. */
async function act(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  url: string,
  payload?: object,
  headers: Record<string, string> = {},
) {
  const authorization = `Bearer ${await token()}`;
  const response = await ledger.call({
    method,
    url,
    ...(payload && { payload }),
    headers: { authorization, ...headers },
  });
  expect(response.statusCode, response.body).toBeLessThan(300);
  return response;
}

const REVISION = { probabilities: { bear: 0.2, base: 0.5, bull: 0.3 }, rationale: 'Why.' };

/** Leaves the name in every place that the ledger has for it. */
async function leaveTraces(): Promise<void> {
  await act('POST', '/v1/outlooks', outlookBody({ slug: 'of-zeb' }));
  await act('POST', '/v1/outlooks/of-zeb/evidence', {
    headline: 'H',
    summary: 'S',
    publisher: 'P',
    publishedAt: '2026-11-20T15:00:00Z',
  });
  await act('PUT', '/v1/outlooks/of-zeb/views/me', REVISION);
  const issued = await act('POST', '/v1/keys', { name: NAME, role: 'analyst' });
  const { key } = issued.json<{ key: string }>();
  await act('POST', '/v1/outlooks/of-zeb/revisions', REVISION, {
    authorization: `Bearer ${key}`,
    'idempotency-key': 'mine',
  });
  await act(
    'POST',
    '/v1/keys',
    { name: NAME, role: 'analyst' },
    { 'idempotency-key': 'a-key', authorization: `Bearer ${ledger.keys.admin}` },
  );
  await act('DELETE', '/v1/outlooks/of-zeb/views/me', undefined);
  await act('POST', `/v1/outlooks/of-zeb/conditions/orders-and-spending/assessments`, {
    state: 'triggered',
    rationale: 'Seen.',
  });
  const entry = {
    recordedAt: ledger.clock.now,
    kind: 'refusal',
    analystId: null,
    role: null,
  } as const;
  await appendAudit(ledger.servicePool, [
    {
      ...entry,
      credential: `${issuer} ${SUBJECT}`,
      method: 'GET',
      path: '/v1/keys',
      status: 403,
      subject: null,
      summary: null,
      problem: 'forbidden',
      detail: `The token of ${SUBJECT} grants no role in this service.`,
      address: '127.0.0.1',
      requestId: 'r',
      times: 1,
    },
  ]);
}

/** The tables with a row that holds a text, however it is written, with the number of such rows. */
async function tablesWith(...texts: string[]): Promise<Record<string, number>> {
  const { rows } = await ledger.pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  );
  const patterns = texts.flatMap((text) => [text.toLowerCase(), Buffer.from(text).toString('hex')]);
  const found: Record<string, number> = {};
  for (const { name } of rows) {
    const { rows: counted } = await ledger.pool.query<{ count: number }>(
      `select count(*) from ${name} t where exists (
         select from unnest($1::text[]) as p where position(p in lower(t::text)) > 0)`,
      [patterns],
    );
    if (counted[0]?.count) found[name] = counted[0].count;
  }
  return found;
}

const TRACES = ['Zebulon', 'Quickstitch', SUBJECT];

test('a name is in many places', async () => {
  await leaveTraces();
  id = (await findByNameOrId(ledger.pool, NAME))?.id ?? '';
  const found = await tablesWith(...TRACES);
  expect(found).toMatchObject({
    analysts: 1,
    analyst_identities: 1,
    api_keys: 1,
    audit_entries: expect.any(Number),
    condition_changes: 1,
    events: expect.any(Number),
    frameworks: 1,
    idempotency_keys: 1,
    openings: expect.any(Number),
    outlooks: 1,
    row_digests: 1,
  });
});

test('an erasure leaves it in none', async () => {
  erased = await eraseName(ledger.pool, { id, name: NAME }, ledger.clock.now);
  expect(erased.replacement).toBe(`Erased analyst ${id.slice(0, 8)}`);
  expect(await tablesWith(...TRACES)).toEqual({});
});
