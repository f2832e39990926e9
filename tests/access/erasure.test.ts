import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import canonicalize from 'canonicalize';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { appendAudit } from '../../src/access/audit-log.ts';
import { type Erasure, eraseName, findByNameOrId } from '../../src/access/erasure.ts';
import { connect, type EventClient } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { fillLedger } from '../support/outlooks.ts';
import { serviceUrl } from '../support/database.ts';
import { openSession, refusal, rejection } from '../support/plain-sql.ts';
import { outlookBody } from '../support/requests.ts';

const NAME = 'Zebulon "Zeb" Quickstitch';
const SUBJECT = 'zeb@desk.example';
const AUDIENCE = 'https://ledger.example';

let pair: { publicKey: CryptoKey; privateKey: CryptoKey };
let provider: Server;
let issuer = '';
let ledger: TestLedger;
let client: EventClient;
let origin = '';
let id = '';
let erased: Erasure;
/** What an instance answered, and sent, before the erasure. */
let before: { etag: string; lastOfThem: string; digests: unknown[]; others: unknown[] };

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
      desksClaim: null,
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
const read = (url: string, headers: Record<string, string> = {}) =>
  ledger.call({ url, headers: { authorization: `Bearer ${ledger.keys.admin}`, ...headers } });
/** What readers see of an outlook and its people. */
const URLS = [
  '/v1/outlooks/of-zeb',
  '/v1/outlooks/of-zeb/versions',
  '/v1/outlooks/of-zeb/versions/1',
  '/v1/outlooks/of-zeb/evidence',
  '/v1/outlooks/of-zeb/conditions',
  '/v1/outlooks',
  '/v1/analysts',
  '/v1/keys',
  '/v1/audit?limit=100',
  '/v1/export',
];

test('before an erasure, the name is in many places', async () => {
  await leaveTraces();
  id = (await findByNameOrId(ledger.pool, NAME))?.id ?? '';
  const found = await tablesWith(...TRACES);
  expect(Object.keys(found).toSorted()).toEqual([
    'analyst_identities',
    'analysts',
    'api_keys',
    'audit_entries',
    'condition_changes',
    'events',
    'frameworks',
    'idempotency_keys',
    'openings',
    'outlooks',
    'row_digests',
  ]);
  for (const url of URLS) expect((await read(url)).body, url).toContain('Quickstitch');
  const { etag = '' } = (await read('/v1/outlooks/of-zeb/versions/1')).headers;
  origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  const erasedLast = await connect(`${origin}/v1/events`); // starts after what the person did last
  const revised = await ledger.revise({ ...REVISION, rationale: 'Not theirs.' });
  expect(revised.statusCode, revised.body).toBe(201);
  await erasedLast.received(1);
  const lastOfThem = erasedLast.openings[0]?.id ?? '';
  await erasedLast.leave();
  client = await connect(`${origin}/v1/outlooks/${SLUG}/events`);
  before = { etag, lastOfThem, digests: await digests(), others: await othersOpenings() };
});

/** Each digest of rows without what an erasure may delete. */
async function digests(): Promise<unknown[]> {
  const { rows } = await ledger.pool.query(
    `select write_id, number, relation, operation, encode(hashes, 'hex') as hashes from row_digests order by 1, 2`,
  );
  return rows;
}

/** The openings of what others did. */
async function othersOpenings(): Promise<unknown[]> {
  const { rows } = await ledger.pool.query(
    `select event_id, encode(salt, 'hex') as salt, content from openings
      where content !~ 'Quickstitch' order by event_id`,
  );
  return rows;
}

test('after it, the name is in none of them', async () => {
  erased = await eraseName(ledger.pool, { id, name: NAME }, ledger.clock.now);
  expect(erased.replacement).toBe(`Erased analyst ${id.slice(0, 8)}`);
  expect(await tablesWith(...TRACES)).toEqual({});
});

test('instances that run show the replacement everywhere, and do not take it for a lost ledger', async () => {
  await ledger.feed.refresh();
  for (const url of URLS) {
    const { body, statusCode } = await read(url);
    expect([statusCode, body.includes('Quickstitch')], url).toEqual([200, false]);
    expect(body, url).toContain(erased.replacement);
  }
  const again = await read('/v1/outlooks/of-zeb/versions/1', { 'if-none-match': before.etag });
  expect(again.statusCode).toBe(200);
  expect(ledger.feed.resets).toBe(0);
  expect((await read('/v1/outlooks?q=Quickstitch')).json()).toMatchObject({ items: [] });
  expect((await read(`/v1/outlooks?q=Erased+${id.slice(0, 8)}`)).json()).toMatchObject({
    items: [{ slug: 'of-zeb' }],
  });
});

test('a stream goes on, and sends the replacement', async () => {
  const probabilities = { bear: 0.3, base: 0.4, bull: 0.3 };
  const revised = await ledger.revise({ probabilities, rationale: 'Later.' });
  expect(revised.statusCode, revised.body).toBe(201);
  await client.received(1);
  expect(client.events.map(({ event }) => event)).toEqual(['outlook.version.published']);
  const { rows } = await ledger.pool.query<{ position: number }>(
    `select position from events where kind = 'view.published' and data->'analyst'->>'id' = $1`,
    [id],
  );
  const replayed = await connect(`${origin}/v1/outlooks/of-zeb/events`, {
    lastEventId: String((rows[0]?.position ?? 0) - 1),
  });
  await replayed.received(3);
  const text = JSON.stringify(replayed.events);
  await replayed.leave();
  expect(text).toContain(erased.replacement);
  expect(text).not.toContain('Quickstitch');
});

test('a client that resumes after an event that held the name reads again', async () => {
  const resumed = await connect(`${origin}/v1/events`, { lastEventId: before.lastOfThem });
  await resumed.received(1);
  await resumed.leave();
  expect(resumed.events[0]).toMatchObject({
    event: 'stream.reset',
    data: { lastEventId: before.lastOfThem },
  });
});

test('keys are revoked, stored responses are deleted, and a token belongs to a new analyst', async () => {
  const { rows } = await ledger.pool.query(
    'select revoked_at is not null as "isRevoked" from api_keys where analyst_id = $1',
    [id],
  );
  expect(rows).toEqual([{ isRevoked: true }, { isRevoked: true }]);
  const me = (await act('GET', '/v1/me')).json<{ analyst: { id: string; name: string } }>();
  expect(me.analyst).toEqual({ id: expect.not.stringMatching(id), name: NAME });
});

test('the leaves and the openings of others stay, and the event of the erasure commits to what is left', async () => {
  const later = (await digests()).slice(0, before.digests.length);
  expect(later).toEqual(before.digests);
  const others = await othersOpenings();
  expect(others.slice(0, before.others.length)).toEqual(before.others);
  const { rows } = await ledger.pool.query<{ content: string; isOpen: boolean }>(
    `select e.content, o.salt is not null as "isOpen" from erased_openings e join openings o using (event_id)`,
  );
  expect(rows).toHaveLength(erased.openings);
  expect(erased.openings).toBeGreaterThan(8);
  for (const { content, isOpen } of rows) {
    expect([isOpen, canonicalize(JSON.parse(content))]).toEqual([false, content]);
    expect(JSON.parse(content)).toMatchObject({ by: { id }, v: 1 });
  }
  const { rows: events } = await ledger.pool.query<{ content: string }>(
    `select o.content from events e join openings o on o.event_id = e.id where e.kind = 'analyst.erased'`,
  );
  expect(events.map(({ content }) => JSON.parse(content))).toEqual([
    expect.objectContaining({ by: null, kind: 'analyst.erased', subject: `/v1/analysts/${id}` }),
  ]);
});

test('each row is as its newest digest says, and each rows root is that of its digests', async () => {
  const { rows: relations } = await ledger.pool.query<{ relation: string }>(
    'select distinct relation from row_digests order by 1',
  );
  for (const { relation } of relations) {
    const { rows } = await ledger.pool.query(
      `with newest as (
         select distinct on (key) key, operation, salt, i, substr(hashes, (32 * i - 31)::int, 32) as hash
           from row_digests d, unnest(keys) with ordinality as k (key, i) where relation = $1
          order by key, write_id desc, number desc)
       select n.key, n.operation, n.salt is null as erased from newest n left join ${relation} r on row_key(r) = n.key
        where n.key <> 'erased' and case when n.operation = 'delete' then row_key(r) is not null
          else (row_hash(row_salt(n.salt, n.i - 1), row_text(r)) = n.hash) is not true end`,
      [relation],
    );
    expect(rows, relation).toEqual([]);
  }
  const { rows } = await ledger.pool.query(
    `select o.event_id from openings o left join erased_openings e using (event_id)
      cross join lateral (select string_agg(hashes, '' order by number) as hashes from row_digests d
        where d.write_id = o.write_id) d
      where coalesce(o.content, e.content)::jsonb->'rows' is distinct from jsonb_build_object(
        'count', length(d.hashes) / 32, 'root', encode(merkle_root(d.hashes), 'base64'))`,
  );
  expect(rows).toEqual([]);
});

describe('only the owner erases', () => {
  test.each([
    [
      'erasures',
      'insert into erasures (analyst_id, recorded_at) select id, now() from analysts limit 1',
    ],
    ['erased openings', `insert into erased_openings values (1, 1, '')`],
    ['openings', 'update openings set salt = null, content = null'],
    ['digests', 'update row_digests set salt = null'],
  ])('the service may not write %s', async (_, statement) => {
    const service = await openSession(serviceUrl(ledger.url));
    expect((await rejection(service, statement)).message).toMatch(/permission denied/);
    await service.end();
  });

  test.each([
    [`update analysts set name = 'Other'`, 'analysts_append_only'],
    ['delete from analyst_identities', 'analyst_identities_append_only'],
    [
      `update audit_entries set summary = 'Other' where summary is not null`,
      'audit_entries_append_only',
    ],
    [`update condition_changes set reason = 'Other'`, 'condition_changes_append_only'],
    [`update events set data = '{}'`, 'events_append_only'],
    [`update api_keys set issued_with = 'Other' where issued_by is not null`, 'api_keys_fixed'],
    ['update row_digests set salt = null', 'row_digests_append_only'],
    ['update openings set salt = null, content = null', 'openings_append_only'],
    ['update erasures set is_done = false', 'erasures_append_only'],
    ['delete from erasures', 'erasures_append_only'],
    [`update erased_openings set content = ''`, 'erased_openings_append_only'],
    [
      `insert into erased_openings select event_id, 1, 'x' from openings where salt is not null limit 1`,
      'erased_openings_erasure',
    ],
    [
      'insert into erasures (analyst_id, recorded_at) select analyst_id, now() from erasures',
      'erasures_analyst_id_unique',
    ],
    [
      'insert into erasures (analyst_id, recorded_at, is_done) select id, now(), true from analysts limit 1',
      'erasures_append_only',
    ],
  ])('outside an erasure, the owner is refused: %s', async (statement, rule) => {
    const owner = await openSession(ledger.url);
    expect(await refusal(owner, statement)).toBe(rule);
    await owner.end();
  });

  test('an erasure may change nothing but the name', async () => {
    const owner = await openSession(ledger.url);
    await owner.query(`create function meddle() returns trigger language plpgsql as
      $$ begin update outlook_versions set rationale = 'Never said'; return null; end $$;
      create trigger a_meddle after insert on erasures for each row execute function meddle()`);
    const erase = `insert into erasures (analyst_id, recorded_at) select id, now() from analysts where name = 'admin desk'`;
    expect(await refusal(owner, erase)).toBe('outlook_versions_append_only');
    await owner.query('drop trigger a_meddle on erasures; drop function meddle()');
    await owner.end();
  });
});

test('an erasure does not cover up for rows that were tampered with', async () => {
  const owner = await openSession(ledger.url);
  // The key's entry was written with another entry, by one statement.
  const statements = `
    insert into audit_entries (recorded_at, kind, method, path, status, subject, summary)
      select now(), 'write', 'LOCAL', '/x', 200, subject, summary from (
        select '/v1/keys/' || k.id, 'Issued to "admin desk"' from api_keys k join analysts a on a.id = k.analyst_id
         where a.name = 'admin desk' union all select '/v1/other', 'Another') as e (subject, summary);
    alter table audit_entries disable trigger user;
    update audit_entries set summary = 'Never said' where subject = '/v1/other';
    alter table audit_entries enable trigger user;
    insert into erasures (analyst_id, recorded_at) select id, now() from analysts where name = 'admin desk'`;
  expect(await refusal(owner, statements)).toBe('erasures_untampered');
  await owner.end();
});
