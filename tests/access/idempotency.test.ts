import { randomUUID } from 'node:crypto';
import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deleteExpiredResponses } from '../../src/access/idempotency-store.ts';
import type { Role } from '../../src/domain/api-keys.ts';
import { REQUEST_EXAMPLES } from '../../src/http/openapi/examples.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, outlookBody, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
let webhook = '';
let analyst = '';
beforeAll(async () => {
  ledger = await startLedger();
  const me = await ledger.call({ url: '/v1/me', as: 'feed' });
  analyst = me.json<{ analyst: { id: string } }>().analyst.id;
  const body = { url: 'https://hooks.desk.example' };
  const created = await send(ledger, 'POST', '/v1/webhooks', body, { as: 'admin' });
  webhook = created.json<{ id: string }>().id;
});
afterAll(() => ledger.close());

let count = 0;
let slug = '';
beforeEach(async () => {
  count += 1;
  slug = `case-${count}`;
  ledger.clock.now = new Date('2026-11-23T12:00:00.000Z');
  await createOutlook(ledger, {
    desk: 'main',
    slug,
    invalidationConditions: [{ key: 'watched', invalidates: 'bear', statement: 'S' }],
  });
});

const view = { probabilities: { bear: 0.2, base: 0.5, bull: 0.3 }, rationale: 'R' };
type Sent = [method: 'POST' | 'PATCH', url: string, body: unknown];
const keyed = ([method, url, body]: Sent, key: string, headers = {}) =>
  send(ledger, method, url, body, { as: 'admin', headers: { 'idempotency-key': key, ...headers } });

/** The parts of a response that a client sees, without those that belong to the request. */
function seen({ statusCode, headers, body }: LightMyRequestResponse) {
  const { date: _, 'x-request-id': __, ...rest } = headers;
  return { statusCode, headers: rest, body };
}
const exampleOf = (operation: string, name: string) => REQUEST_EXAMPLES[operation]?.[name]?.value;
const revision = (bear = 0.35): Sent => [
  'POST',
  `/v1/outlooks/${slug}/revisions`,
  {
    probabilities: { bear, base: Math.round((0.75 - bear) * 100) / 100, bull: 0.25 },
    rationale: 'R',
  },
];

/** A step of a submitted proposal of the analyst, or of an admin's draft. */
async function proposed(part: string, body: object, as: Role = 'analyst'): Promise<Sent> {
  const proposal = { kind: 'revision', outlook: slug, body: revision()[2], submit: as !== 'admin' };
  const opened = await send(ledger, 'POST', '/v1/proposals', proposal, { as });
  return ['POST', `/v1/proposals/${opened.json<{ id: string }>().id}/${part}`, body];
}

/** The disclosure of something internal. */
async function disclosureOf(of: string): Promise<Sent> {
  const url = `${of}/disclosure`;
  const { confirm } = (await ledger.call({ url, as: 'admin' })).json<{ confirm: string }>();
  return ['POST', url, { confirm }];
}

const WRITES: Record<string, () => Sent | Promise<Sent>> = {
  createOutlook: () => [
    'POST',
    '/v1/outlooks',
    outlookBody({ slug: `new-${count}`, desk: 'main' }),
  ],
  reviseOutlook: () => revision(),
  reviseFramework: () => [
    'PATCH',
    `/v1/outlooks/${slug}/framework`,
    { rationale: 'R', title: 'Another' },
  ],
  addEvidence: () => ['POST', `/v1/outlooks/${slug}/evidence`, exampleOf('addEvidence', 'brief')],
  assessCondition: () => [
    'POST',
    `/v1/outlooks/${slug}/conditions/watched/assessments`,
    { state: 'triggered', rationale: 'R' },
  ],
  publishConsensus: () => ['POST', `/v1/outlooks/${slug}/consensus`, { rationale: 'R' }],
  withdrawOutlook: () => ['POST', `/v1/outlooks/${slug}/withdrawal`, { rationale: 'R' }],
  resolveOutlook: () => [
    'POST',
    `/v1/outlooks/${slug}/resolution`,
    { outcome: 'bear', reason: 'R' },
  ],
  createInstrument: () => [
    'POST',
    '/v1/instruments',
    { symbol: `I${count}`, name: 'N', kind: 'index' },
  ],
  patchInstrument: () => ['PATCH', '/v1/instruments/RUT', { closes: 'rut-close' }],
  createSeries: () => ['POST', '/v1/series', { ...seriesBody(), key: `s-${count}` }],
  recordObservations: () => [
    'POST',
    '/v1/series/rut-close/observations',
    { observations: [{ date: '2026-11-20', value: 2700 + count }] },
  ],
  addDesk: () => ['POST', '/v1/desks', { slug: `desk-${count}`, name: `Desk ${count}` }],
  renameDesk: () => ['PATCH', '/v1/desks/main', { name: `Main ${count}` }],
  changeAnalyst: () => ['PATCH', `/v1/analysts/${analyst}`, { name: `Feed ${count}` }],
  openProposal: () => [
    'POST',
    '/v1/proposals',
    { kind: 'revision', outlook: slug, body: revision()[2] },
  ],
  submitProposal: () => proposed('submission', {}, 'admin'),
  approveProposal: () => proposed('approvals', { draft: 1 }),
  returnProposal: () => proposed('return', { draft: 1, reason: 'R' }),
  commentProposal: () => proposed('comments', { text: 'T' }),
  discloseOutlook: async () => {
    const internal = { slug: `internal-${count}`, desk: 'main', visibility: 'internal' };
    await createOutlook(ledger, internal);
    return disclosureOf(`/v1/outlooks/${internal.slug}`);
  },
  discloseSeries: async () => {
    const internal = { ...seriesBody(), key: `internal-${count}`, visibility: 'internal' };
    await send(ledger, 'POST', '/v1/series', internal, { as: 'admin' });
    return disclosureOf(`/v1/series/${internal.key}`);
  },
  issueKey: () => ['POST', '/v1/keys', { name: 'Desk', role: 'analyst', desks: '*' }],
  createWebhook: () => ['POST', '/v1/webhooks', { url: 'https://hooks.desk.example' }],
  changeWebhook: () => ['PATCH', `/v1/webhooks/${webhook}`, { description: `D${count}` }],
  rotateWebhookSecret: () => ['POST', `/v1/webhooks/${webhook}/secret`, {}],
};

describe.each(Object.entries(WRITES))('%s', (_, write) => {
  test('sent again gets the same response, and is done once', async () => {
    await ledger.call({
      method: 'PUT',
      url: `/v1/outlooks/${slug}/views/me`,
      as: 'admin',
      payload: view,
    });
    const [sent, key] = [await write(), `"${randomUUID()}"`];
    const first = await keyed(sent, key);
    expect([200, 201], first.body).toContain(first.statusCode);
    const after = await stored(ledger);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 3_600_000);
    for (let turn = 0; turn < 3; turn += 1)
      expect(seen(await keyed(sent, key))).toEqual(seen(first));
    expect(await stored(ledger)).toEqual(after);
  });

  test('with the key of another request is refused, and changes nothing', async () => {
    const key = randomUUID();
    await keyed(['POST', '/v1/series', { ...seriesBody(), key: `other-${count}` }], key);
    const sent = await write();
    const before = await stored(ledger);
    const answer = await keyed(sent, key);
    expect(answer.json()).toMatchObject({
      type: '/problems/idempotency-key-reused',
      status: 422,
      detail: `The key ${key} was sent with another request.`,
    });
    expect(await stored(ledger)).toEqual(before);
  });
});

const seriesBody = () => ({
  name: 'N',
  unit: 'U',
  frequency: 'daily',
  source: 'S',
  desk: 'main',
});

test('every operation that takes a key is tried above', async () => {
  const { paths } = (await ledger.call({ url: '/openapi.json' })).json<{
    paths: Record<
      string,
      Record<string, { operationId: string; parameters?: { $ref?: string }[] }>
    >;
  }>();
  const documented = Object.values(paths)
    .flatMap((item) => Object.entries(item))
    .filter(([, { parameters = [] }]) =>
      parameters.some(({ $ref }) => $ref === '#/components/parameters/IdempotencyKey'),
    );
  expect(documented.map(([, { operationId }]) => operationId).toSorted()).toEqual(
    Object.keys(WRITES).toSorted(),
  );
  expect(new Set(documented.map(([method]) => method))).toEqual(new Set(['post', 'patch']));
});

describe('a key', () => {
  test('may be written with or without quotes', async () => {
    const key = randomUUID();
    const first = await keyed(revision(), key);
    expect(first.statusCode).toBe(201);
    expect(seen(await keyed(revision(), `"${key}"`))).toEqual(seen(first));
  });

  test.each([
    ['', 'nothing'],
    [' ', 'a space'],
    ['"', 'a quote'],
    ['"a', 'half of its quotes'],
    ['a'.repeat(256), 'more than it may have'],
    [`"${'a'.repeat(256)}"`, 'more than it may have, quoted'],
    ['"a", "b"', 'two'],
    ['a;b=c', 'a parameter'],
    ['schlüssel', 'a letter beyond ASCII'],
  ])('%j, which is %s, is refused', async (key) => {
    const before = await stored(ledger);
    const answer = await keyed(revision(), key);
    expect(answer.statusCode).toBe(422);
    expect(faultsOf(answer.json())).toEqual({
      '/idempotency-key': expect.stringContaining('must be given once'),
    });
    expect(await stored(ledger)).toEqual(before);
  });

  test('belongs to its sender: another analyst may use the same', async () => {
    const key = randomUUID();
    const first = await keyed(revision(0.35), key);
    const headers = { 'idempotency-key': key };
    const [method, url, body] = revision(0.36);
    const second = await send(ledger, method, url, body, { headers });
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
  });

  test('whose request is running is refused until that has its response', async () => {
    const key = randomUUID();
    const { rows } = await ledger.pool.query<{ id: string }>(
      `select id from analysts where name = 'admin desk'`,
    );
    const holder = await ledger.pool.connect();
    await holder.query('begin');
    await holder.query(
      `select pg_advisory_xact_lock(hashtextextended('outlook-ledger attempt ' || $1 || ' ' || $2, 0))`,
      [rows[0]?.id, key],
    );
    const answer = await keyed(revision(), key);
    expect(answer.json()).toMatchObject({
      type: '/problems/idempotency-key-in-flight',
      status: 409,
    });
    expect(answer.headers['retry-after']).toBe('1');
    await holder.query('rollback');
    holder.release();
    expect((await keyed(revision(), key)).statusCode).toBe(201);
  });

  test('of twenty requests at once takes effect once', async () => {
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 20 }, () => keyed(revision(), key)));
    const done = answers.filter(({ statusCode }) => statusCode === 201);
    expect(done.length).toBeGreaterThanOrEqual(1);
    expect(new Set(done.map(({ body }) => body)).size).toBe(1);
    for (const { statusCode } of answers) expect([201, 409]).toContain(statusCode);
    const outlook = await ledger.call({ url: `/v1/outlooks/${slug}` });
    expect(outlook.json()).toMatchObject({ version: 2 });
  });

  test('gets the first response, whatever happened since', async () => {
    const key = randomUUID();
    const first = await keyed(revision(0.35), key);
    await keyed(revision(0.4), randomUUID());
    await keyed(['POST', `/v1/outlooks/${slug}/withdrawal`, { rationale: 'R' }], randomUUID());
    expect(seen(await keyed(revision(0.35), key))).toEqual(seen(first));
  });

  test('of a refused request is free: a retry is tried again', async () => {
    const key = randomUUID();
    const same = revision(0.3);
    const refused = await keyed(same, key);
    expect(refused.json()).toMatchObject({ type: '/problems/no-change' });
    await keyed(revision(0.35), randomUUID());
    expect((await keyed(same, key)).statusCode).toBe(201);
  });

  test('is forgotten after a day', async () => {
    const key = randomUUID();
    const first = await keyed(revision(0.35), key);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 24 * 3_600_000);
    expect(seen(await keyed(revision(0.35), key))).toEqual(seen(first));
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 1);
    const again = await keyed(revision(0.35), key);
    expect(again.json()).toMatchObject({ type: '/problems/no-change' });
  });

  test('is deleted once it is old, and not before', async () => {
    const key = randomUUID();
    await keyed(revision(0.35), key);
    const kept = async () => {
      const { rowCount } = await ledger.pool.query('select from idempotency_keys where key = $1', [
        key,
      ]);
      return rowCount;
    };
    await deleteExpiredResponses(ledger.servicePool, ledger.clock.now);
    expect(await kept()).toBe(1);
    await deleteExpiredResponses(ledger.servicePool, new Date(ledger.clock.now.getTime() + 1));
    expect(await kept()).toBe(0);
  });

  test('guards a write that is conditional, too', async () => {
    const key = randomUUID();
    const { headers } = await ledger.call({ url: `/v1/outlooks/${slug}` });
    const condition = { 'if-match': String(headers.etag) };
    const first = await keyed(revision(), key, condition);
    expect(first.statusCode).toBe(201);
    expect(seen(await keyed(revision(), key, condition))).toEqual(seen(first));
    const other = await keyed(revision(), key, { 'if-match': '*' });
    expect(other.json()).toMatchObject({ type: '/problems/idempotency-key-reused' });
  });
});

describe('an issued key', () => {
  const issue: Sent = ['POST', '/v1/keys', { name: 'A desk', role: 'feed', desks: '*' }];

  test('is stored so that only the sender of the request can read it', async () => {
    const key = randomUUID();
    const first = await keyed(issue, key);
    const { key: issued } = first.json<{ key: string }>();
    const { rows } = await ledger.pool.query<{ body: Buffer; everything: string }>(
      `select body, to_json(i)::text as everything from idempotency_keys i where key = $1`,
      [key],
    );
    expect(rows[0]?.body.includes(issued)).toBe(false);
    expect(rows[0]?.everything).not.toContain(issued);
    expect((await keyed(issue, key)).json()).toMatchObject({ key: issued });
  });

  test('is not shown to another key of the same analyst', async () => {
    const body = { name: 'admin desk', role: 'admin', desks: '*' };
    const second = await send(ledger, 'POST', '/v1/keys', body, { as: 'admin' });
    const key = randomUUID();
    await keyed(issue, key);
    const authorization = `Bearer ${second.json<{ key: string }>().key}`;
    const answer = await ledger.call({
      method: 'POST',
      url: '/v1/keys',
      headers: { authorization, 'idempotency-key': key, 'content-type': 'application/json' },
      payload: JSON.stringify(issue[2]),
    });
    expect(answer.json()).toMatchObject({ type: '/problems/idempotency-key-reused', status: 422 });
  });
});

test("a stored response can't be altered with plain SQL", async () => {
  await keyed(revision(), randomUUID());
  await expect(ledger.pool.query(`update idempotency_keys set body = ''`)).rejects.toMatchObject({
    constraint: 'idempotency_keys_append_only',
  });
});
