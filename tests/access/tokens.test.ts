import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { identityFinder } from '../../src/access/identities.ts';
import type { Issuer } from '../../src/access/tokens.ts';
import { connect } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { outlookBody } from '../support/requests.ts';

const AUDIENCE = 'https://ledger.example';
const REVISION = {
  probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
  rationale: 'Why.',
};

type Pair = { publicKey: CryptoKey; privateKey: CryptoKey };
let pair: Pair;
let other: Pair;
let extractable: Pair;
/** An identity provider: its documents, and how often they were fetched. */
let provider: Server;
let issuer = '';
let published: { kid: string; key: CryptoKey }[] = [];
let publishedAlg: string | undefined = 'RS256';
let isDown = false;
let asked: string[] = [];
let claimsToBe = '';

beforeAll(async () => {
  pair = await generateKeyPair('RS256');
  other = await generateKeyPair('RS256');
  extractable = await generateKeyPair('RS256', { extractable: true });
  provider = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (isDown) return void response.writeHead(500).end();
    if (request.url === '/.well-known/openid-configuration') {
      return void response.end(JSON.stringify({ issuer: claimsToBe, jwks_uri: `${issuer}/keys` }));
    }
    return void Promise.all(
      published.map(async ({ kid, key }) => ({
        ...(await exportJWK(key)),
        kid,
        alg: publishedAlg,
      })),
    ).then((keys) => response.end(JSON.stringify({ keys })));
  });
  await new Promise<void>((resolve) => {
    provider.listen(0, '127.0.0.1', resolve);
  });
  issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
});
afterAll(
  () =>
    new Promise((resolve) => {
      provider.close(resolve);
    }),
);

let ledger: TestLedger;
const start = async (settings: Partial<Issuer> = {}, requireKeyForReads = false) => {
  const oidc = {
    issuer,
    audience: AUDIENCE,
    algorithm: 'RS256',
    jwksUrl: null,
    desksClaim: null,
    rolesClaim: 'realm_access.roles',
    roles: { 'desk-analysts': 'analyst', feeders: 'feed', bosses: 'admin' },
    ...settings,
  } as const;
  ledger = await startLedger({ oidc, requireKeyForReads });
};
beforeEach(() => {
  published = [{ kid: 'one', key: pair.publicKey }];
  isDown = false;
  publishedAlg = 'RS256';
  asked = [];
  claimsToBe = issuer;
});
afterEach(() => ledger.close());

const seconds = (moment: string) => Date.parse(moment) / 1000;
/** Claims that open the service at the time of the test's clock, 2026-11-20T16:00:00Z. */
const claims = (more: Record<string, unknown> = {}): JWTPayload => ({
  iss: issuer,
  aud: AUDIENCE,
  sub: 'ada',
  name: 'Ada',
  iat: seconds('2026-11-20T15:59:00Z'),
  exp: seconds('2026-11-20T16:05:00Z'),
  realm_access: { roles: ['desk-analysts'] },
  ...more,
});
const signed = (payload: JWTPayload = claims(), { key = pair.privateKey, kid = 'one' } = {}) =>
  new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid }).sign(key);
const revise = (token: string, body: object = REVISION) =>
  ledger.call({
    method: 'POST',
    url: `/v1/outlooks/${SLUG}/revisions`,
    headers: { authorization: `Bearer ${token}` },
    payload: body,
  });
const withToken = (url: string, token: string) =>
  ledger.call({ url, headers: { authorization: `Bearer ${token}` } });

describe('a token of the configured issuer', () => {
  test('allows what its role may do, each time as the same analyst', async () => {
    await start();
    const first = await revise(await signed());
    expect([first.statusCode, first.json()]).toMatchObject([201, { author: { name: 'Ada' } }]);
    const renamed = await signed(claims({ name: 'Ada Lovelace', jti: 'another' }));
    const second = await revise(renamed, {
      ...REVISION,
      probabilities: { bear: 0.4, base: 0.4, bull: 0.2 },
    });
    const { author } = first.json<{ author: object }>();
    expect(second.json()).toMatchObject({ author });
    expect((await withToken('/v1/keys', renamed)).statusCode).toBe(403);
    expect(asked.filter((url) => url === '/keys')).toHaveLength(1);
    const trail = await ledger.call({ url: '/v1/audit?kind=write&limit=1', as: 'admin' });
    expect(trail.json()).toMatchObject({
      items: [{ analyst: author, role: 'analyst', credential: `${issuer} ada` }],
    });
  });

  test('may hold several roles, by a claim that is text or a list', async () => {
    await start({ rolesClaim: 'groups' });
    const both = await signed(claims({ groups: ['feeders', 'others', 'desk-analysts'] }));
    expect((await revise(both)).statusCode).toBe(201);
    const observations = { observations: [{ date: '2026-11-19', value: 9 }] };
    const fed = await ledger.call({
      method: 'POST',
      url: '/v1/series/rut-close/observations',
      headers: { authorization: `Bearer ${both}` },
      payload: observations,
    });
    expect(fed.statusCode).toBe(200);
    const admin = await signed(claims({ groups: 'bosses', sub: 'boss' }));
    expect((await withToken('/v1/keys', admin)).statusCode).toBe(200);
  });

  test('says whose it is, with all its roles', async () => {
    await start({ rolesClaim: 'groups' });
    const both = await signed(claims({ groups: ['feeders', 'desk-analysts', 'feeders'] }));
    const me = await withToken('/v1/me', both);
    expect(me.statusCode, me.body).toBe(200);
    expect(me.json()).toEqual({
      analyst: { id: expect.any(String), name: 'Ada' },
      roles: ['feed', 'analyst'],
      desks: ['*'],
      key: null,
      token: { issuer, subject: 'ada', expiresAt: '2026-11-20T16:05:00.000Z' },
    });
    expect((await withToken('/v1/me', await signed(claims({ groups: [] })))).statusCode).toBe(403);
  });

  test('without one of our roles allows nothing, and adds no analyst', async () => {
    await start();
    for (const roles of [[], ['owners'], ['constructor', '__proto__'], 'admin', [7], null]) {
      const answer = await revise(await signed(claims({ realm_access: { roles } })));
      expect([answer.statusCode, answer.json()]).toMatchObject([
        403,
        { detail: 'The token of ada grants no role in this service.' },
      ]);
    }
    const { rows } = await ledger.pool.query(`select from analysts where name like 'Ada%'`);
    expect(rows).toEqual([]);
  });

  test('does not act for another analyst whose name it claims', async () => {
    await start();
    const answer = await revise(await signed(claims({ name: 'analyst desk' })));
    expect(answer.json()).toMatchObject({ author: { name: 'analyst desk (ada)' } });
  });

  test('whose name is taken, with and without its subject, gets a free one', async () => {
    await start();
    const taken = ['Ada', 'Ada (ada)', 'Ada (ada, 2)'];
    for (const name of taken) {
      await ledger.pool.query('insert into analysts (name, created_at) values ($1, now())', [name]);
    }
    for (const [bear, bull] of [
      [0.35, 0.25],
      [0.4, 0.2],
    ]) {
      const probabilities = { bear, base: 0.4, bull };
      const revised = await revise(await signed(), { rationale: 'R', probabilities });
      expect(revised.json()).toMatchObject({ author: { name: 'Ada (ada, 3)' } });
    }
  });

  test('finds free names of at most 300 characters, for several new analysts at once', async () => {
    await start();
    const find = identityFinder(ledger.servicePool);
    const [name, subject] = ['\u{1f600}'.repeat(150), 'x'.repeat(255)];
    const found = await Promise.all(
      ['https://a', 'https://b', 'https://c', 'https://d'].map((of) =>
        find({ issuer: of, subject, name }, new Date()),
      ),
    );
    expect(new Set(found.map((analyst) => analyst.name)).size).toBe(4);
    expect(new Set(found.map(({ id }) => id)).size).toBe(4);
    const again = await identityFinder(ledger.servicePool)(
      { issuer: 'https://a', subject, name: 'Renamed' },
      new Date(),
    );
    expect(again).toEqual(found[0]);
  });

  test('of two requests at once makes one analyst', async () => {
    await start();
    const token = await signed();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => withToken(`/v1/outlooks/${SLUG}/views/me`, token)),
    );
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([404]));
    const { rows } = await ledger.pool.query(
      `select from analysts where name like 'Ada%' union all select from analyst_identities`,
    );
    expect(rows).toHaveLength(2);
  });

  test('of an analyst whom a restored ledger lacks makes the analyst anew', async () => {
    await start();
    const token = await signed();
    const { author } = (await revise(token)).json<{ author: { id: string; name: string } }>();
    await ledger.pool.query(`begin; set local session_replication_role = replica;
      truncate outlook_versions, outlooks, frameworks, events, audit_entries, webhooks cascade;
      truncate analyst_identities; delete from analyst_skeletons where analyst_id = '${author.id}';
      delete from analysts where id = '${author.id}'; commit`);
    const payload = outlookBody({ slug: 'after' });
    const headers = { authorization: `Bearer ${token}` };
    const created = await ledger.call({ method: 'POST', url: '/v1/outlooks', headers, payload });
    expect(created.statusCode, created.body).toBe(201);
    expect(created.json<{ author: object }>().author).toEqual({
      id: expect.not.stringMatching(author.id) as string,
      name: author.name,
    });
  });

  test('opens a stream that ends with it, before the next event', async () => {
    await start({}, true);
    const origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
    const headers = { authorization: `Bearer ${await signed()}` };
    const client = await connect(`${origin}/v1/events`, { headers });
    expect((await ledger.revise(REVISION)).statusCode).toBe(201);
    await client.received(1);
    // It is accepted for half a minute more, in case the clocks differ.
    ledger.clock.now = new Date('2026-11-20T16:05:30Z');
    const probabilities = { bear: 0.25, base: 0.5, bull: 0.25 };
    expect((await ledger.revise({ ...REVISION, probabilities })).statusCode).toBe(201);
    expect(await client.end).toBe('ended');
    expect(client.events).toHaveLength(1);
  });

  test('allows reads that need a key, until it expires', async () => {
    await start({}, true);
    const token = await signed();
    const read = () => withToken(`/v1/outlooks/${SLUG}`, token);
    expect((await read()).statusCode).toBe(200);
    ledger.clock.now = new Date('2026-11-20T16:05:29Z'); // within the tolerance for clocks
    expect((await read()).statusCode).toBe(200);
    ledger.clock.now = new Date('2026-11-20T16:05:30Z');
    const late = await read();
    expect([late.statusCode, late.json()]).toMatchObject([
      401,
      { detail: 'The token has expired.' },
    ]);
    expect(late.headers['www-authenticate']).toBe('Bearer realm="Outlook Ledger"');
  });

  test('is rate-limited like a key, by its subject', async () => {
    await start();
    const limited = await startLedger({
      rateLimitPerKey: 1,
      oidc: {
        issuer,
        audience: AUDIENCE,
        algorithm: 'RS256',
        jwksUrl: `${issuer}/keys`,
        rolesClaim: 'roles',
        desksClaim: null,
        roles: { admin: 'admin' },
      },
    });
    const ask = async (sub: string, jti: string) =>
      (
        await limited.call({
          url: '/v1/keys',
          headers: {
            authorization: `Bearer ${await signed(claims({ sub, jti, roles: ['admin'] }))}`,
          },
        })
      ).statusCode;
    expect([await ask('a', '1'), await ask('a', '2'), await ask('b', '3')]).toEqual([
      200, 429, 200,
    ]);
    await limited.close();
  });
});

describe('a token is refused', () => {
  const NONE = "The token's signature is not valid.";
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const CASES: [string, () => Promise<string>, RegExp | string][] = [
    ['of another issuer', () => signed(claims({ iss: 'https://other.example' })), /"iss"/],
    ['for another audience', () => signed(claims({ aud: 'https://other.example' })), /"aud"/],
    ['without an audience', () => signed(claims({ aud: undefined })), /"aud"/],
    ['without an end', () => signed(claims({ exp: undefined })), /"exp"/],
    ['without a subject', () => signed(claims({ sub: undefined })), /"sub"/],
    ['not yet in force', () => signed(claims({ nbf: seconds('2026-11-20T16:01:00Z') })), /"nbf"/],
    ['signed by another key', () => signed(claims(), { key: other.privateKey }), NONE],
    ['of an unknown key', () => signed(claims(), { kid: 'two' }), NONE],
    ['signed by nobody', async () => `${encode({ alg: 'none' })}.${encode(claims())}.AA`, NONE],
    [
      'signed by what is public, as a secret',
      async () =>
        new SignJWT(claims())
          .setProtectedHeader({ alg: 'HS256', kid: 'one' })
          .sign(Buffer.from(JSON.stringify(await exportJWK(pair.publicKey)))),
      NONE,
    ],
    [
      'of another algorithm than is configured',
      async () =>
        new SignJWT(claims())
          .setProtectedHeader({ alg: 'PS256', kid: 'one' })
          .sign((await generateKeyPair('PS256')).privateKey),
      NONE,
    ],
    [
      'with other claims than were signed',
      async () => {
        const [head, , signature] = (await signed()).split('.');
        return `${head}.${encode(claims({ sub: 'boss' }))}.${signature}`;
      },
      NONE,
    ],
    ['that is none', async () => 'aaaa.bbbb.cccc', NONE],
    [
      'of a subject that can not be shown',
      () => signed(claims({ sub: 'a\u0000da' })),
      'The subject of the token cannot be used as an id.',
    ],
  ];
  test.for(CASES)('%s', async ([, make, detail]) => {
    await start();
    const answer = await revise(await make());
    expect(answer.statusCode).toBe(401);
    const message = answer.json<{ detail: string }>().detail;
    expect(message).toMatch(typeof detail === 'string' ? new RegExp(`^${detail}$`) : detail);
    expect((await ledger.call({ url: `/v1/outlooks/${SLUG}` })).json()).toMatchObject({
      version: 1,
    });
  });

  test('if no issuer is configured, like anything else that is not a key', async () => {
    ledger = await startLedger();
    const answer = await revise(await signed());
    expect([answer.statusCode, answer.json()]).toMatchObject([
      401,
      { detail: 'The Authorization header must be "Bearer", a space and a key (olk_…).' },
    ]);
  });
});

test('a token of another algorithm is refused, even if the key could verify it', async () => {
  const jwk = await exportJWK(extractable.privateKey);
  published = [{ kid: 'one', key: extractable.publicKey }];
  publishedAlg = undefined;
  const sign = async (alg: string) =>
    new SignJWT(claims()).setProtectedHeader({ alg, kid: 'one' }).sign(await importJWK(jwk, alg));
  await start();
  expect((await revise(await sign('PS256'))).statusCode).toBe(401);
  expect((await revise(await sign('RS256'))).statusCode).toBe(201);
});

describe('an issuer', () => {
  test('that is unavailable affects its tokens but not keys, and is asked again', async () => {
    await start();
    isDown = true;
    const answer = await revise(await signed());
    expect([answer.statusCode, answer.headers['retry-after'], answer.json()]).toMatchObject([
      503,
      '5',
      { detail: "The identity provider's signing keys are unavailable; try again." },
    ]);
    expect((await ledger.revise(REVISION)).statusCode).toBe(201);
    isDown = false;
    expect((await withToken(`/v1/outlooks/${SLUG}/views/me`, await signed())).statusCode).toBe(404);
  });

  test('whose discovery document names another issuer is not trusted', async () => {
    claimsToBe = 'https://other.example';
    await start();
    expect((await revise(await signed())).statusCode).toBe(503);
  });
});

describe('with a claim for desks', () => {
  const desksOf = async (more: Record<string, unknown>) =>
    (await withToken('/v1/me', await signed(claims(more)))).json<{ desks: string[] }>().desks;
  const startWithDesks = async () => {
    await start({ desksClaim: 'desks' });
    await ledger.pool.query(
      `insert into desks (slug, name, created_at) values ('rates', 'Rates', now()), ('credit', 'Credit', now())`,
    );
  };

  test('a token acts for the desks that it names, of those that exist', async () => {
    await startWithDesks();
    const many = Array.from({ length: 300 }, (_, at) => `desk-${at}`);
    for (const [desks, acts] of [
      [['rates'], ['rates']],
      ['rates', ['rates']],
      [
        ['rates', 'rates', 'credit'],
        ['credit', 'rates'],
      ],
      ['*', ['*']],
      [['rates', '*'], ['*']],
      [['nowhere'], []],
      [[...many, 'rates'], ['rates']],
      [[], []],
      [undefined, []],
      [null, []],
      [{ rates: true }, []],
      [[['rates'], 1, 'Rates', "'; drop table desks"], []],
      ['rates credit', []],
    ] as const) {
      expect([desks, await desksOf({ desks })]).toEqual([desks, acts]);
    }
  });

  test('a token without the claim acts for none, and may still hold views', async () => {
    await startWithDesks();
    const token = await signed();
    const refused = await revise(token);
    expect([refused.statusCode, refused.json()]).toMatchObject([
      403,
      { type: '/problems/wrong-desk' },
    ]);
    const view = await ledger.call({
      method: 'PUT',
      url: `/v1/outlooks/${SLUG}/views/me`,
      headers: { authorization: `Bearer ${token}` },
      payload: { probabilities: { bear: 0.4, base: 0.4, bull: 0.2 }, rationale: 'Why.' },
    });
    expect(view.statusCode, view.body).toBe(201);
    expect((await revise(await signed(claims({ desks: ['rates'] })))).statusCode).toBe(403);
    expect((await revise(await signed(claims({ desks: ['main'] })))).statusCode).toBe(201);
  });

  test('a token of an admin acts for all desks', async () => {
    await startWithDesks();
    expect(await desksOf({ realm_access: { roles: ['desk-analysts', 'bosses'] } })).toEqual(['*']);
  });
});
