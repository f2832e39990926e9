import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendAudit } from '../../src/access/audit-log.ts';
import { connect, type EventClient } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { Receiver, subscribe } from '../support/receiver.ts';

// What belongs to no outlook has a leaf in the log, and nobody who follows events notices.

let ledger: TestLedger;
let receiver: Receiver;
let client: EventClient;
let origin = '';
let revisions = 0;
beforeAll(async () => {
  receiver = await new Receiver().open();
  ledger = await startLedger({ webhookPrivateAddresses: true });
  origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  await subscribe(ledger, receiver.url);
  client = await connect(`${origin}/v1/events`);
});
afterAll(async () => {
  await client.leave();
  await ledger.close();
  await receiver.kill();
});

type Method = 'POST' | 'PUT' | 'PATCH' | 'DELETE';
async function send<Body>(
  method: Method,
  url: string,
  as: 'admin' | 'feed' | 'analyst',
  payload?: object,
): Promise<Body> {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const body = payload && { payload, headers: { 'content-type': type } };
  const response = await ledger.call({ method, url, as, ...body });
  expect(response.statusCode, response.body).toBeLessThan(300);
  return (response.body === '' ? {} : response.json()) as Body;
}

type Opened = { kind: string; position: number | null; place: number; content: string };
type Content = { kind: string; subject: string; by: { name: string } | null };

/** The events since the last call, with what their leaves commit to. */
async function opened(): Promise<Opened[]> {
  await ledger.pool.query('select sequence_events()');
  const { rows } = await ledger.pool.query<Opened>(
    `select e.kind, e.position, coalesce(e.log_position, e.position) as place, o.content
       from events e join openings o on o.event_id = e.id
      where coalesce(e.log_position, e.position) > $1 order by 3`,
    [lastPlace],
  );
  lastPlace = rows.at(-1)?.place ?? lastPlace;
  return rows;
}
let lastPlace = 0;

const SERIES = { name: 'A', unit: 'index', frequency: 'daily', source: 'Somewhere' };

/** Each is one act, and the event that it is to have. */
const ACTS: [string, Content['kind'], string, string | null, () => Promise<unknown>][] = [
  [
    'a key',
    'key.issued',
    '/v1/keys/',
    'admin desk',
    async () => {
      issued = await send('POST', '/v1/keys', 'admin', { name: 'Another', role: 'analyst' });
    },
  ],
  [
    'its revocation',
    'key.revoked',
    '/v1/keys/',
    'admin desk',
    () => send('DELETE', `/v1/keys/${issued.id}`, 'admin'),
  ],
  [
    'an instrument',
    'instrument.added',
    '/v1/instruments/NEW',
    'analyst desk',
    () => send('POST', '/v1/instruments', 'analyst', { symbol: 'NEW', name: 'New', kind: 'index' }),
  ],
  [
    'a series',
    'series.added',
    '/v1/series/new-closes',
    'feed desk',
    () => send('POST', '/v1/series', 'feed', { key: 'new-closes', ...SERIES }),
  ],
  [
    'closes of an instrument',
    'instrument.changed',
    '/v1/instruments/NEW',
    'analyst desk',
    () => send('PATCH', '/v1/instruments/NEW', 'analyst', { closes: 'new-closes' }),
  ],
  [
    'observations',
    'observations.recorded',
    '/v1/series/new-closes',
    'feed desk',
    () =>
      send('POST', '/v1/series/new-closes/observations', 'feed', {
        observations: [
          { date: '2026-11-18', value: 1 },
          { date: '2026-11-19', value: 2 },
        ],
      }),
  ],
  [
    'a webhook',
    'webhook.changed',
    '/v1/webhooks/',
    'admin desk',
    async () => {
      hook = await send('POST', '/v1/webhooks', 'admin', { url: 'https://hooks.example/x' });
    },
  ],
  [
    'a change of it',
    'webhook.changed',
    '/v1/webhooks/',
    'admin desk',
    () => send('PATCH', `/v1/webhooks/${hook.id}`, 'admin', { url: 'https://hooks.example/y' }),
  ],
  [
    'the end of it',
    'webhook.changed',
    '/v1/webhooks/',
    'admin desk',
    () => send('DELETE', `/v1/webhooks/${hook.id}`, 'admin'),
  ],
  ['a refusal', 'refusals.recorded', '', null, () => appendAudit(ledger.servicePool, [REFUSAL])],
];
let issued: { id: string };
let hook: { id: string };
const REFUSAL = {
  recordedAt: new Date('2026-11-20T16:00:00Z'),
  kind: 'refusal',
  analystId: null,
  role: null,
  credential: 'https://id.example somebody',
  method: 'GET',
  path: '/v1/keys',
  status: 403,
  subject: null,
  summary: null,
  problem: 'forbidden',
  detail: 'No role.',
  address: '127.0.0.1',
  requestId: 'r',
  times: 1,
} as const;

async function revise(): Promise<void> {
  revisions += 1;
  const response = await ledger.revise(distinctRevision(revisions));
  expect(response.statusCode, response.body).toBe(201);
}

test.each(ACTS)('%s has a leaf of its own, and no position', async (_, kind, subject, by, act) => {
  await opened();
  await act();
  const events = await opened();
  expect(events.map(({ kind: one, position }) => [one, position])).toEqual([[kind, null]]);
  const content = JSON.parse(events[0]?.content ?? '') as Content;
  expect(content).toMatchObject({ kind, v: 1 });
  expect(content.subject.startsWith(subject)).toBe(true);
  expect(content.by?.name ?? null).toBe(by);
  await revise();
});

test('places and positions have no gaps', async () => {
  await ledger.pool.query('select sequence_events()');
  const { rows } = await ledger.pool.query(
    `select count(*) as events, max(coalesce(log_position, position)) as last, count(position) as public, max(position) as "lastPublic",
       bool_and((position is null) = (outlook_id is null)) as "isPublic" from events`,
  );
  const [{ events, last, public: count, lastPublic, isPublic }] = rows;
  expect([last, lastPublic, isPublic]).toEqual([events, count, true]);
});

test('a stream has the revisions alone, each once', async () => {
  const events = await client.received(revisions);
  expect(events.map(({ event }) => event)).toEqual(
    Array(revisions).fill('outlook.version.published'),
  );
  expect(events.map(({ data }) => (data as { version: number }).version)).toEqual(
    events.map((_, index) => index + 2),
  );
});

test.each(['/v1/events', `/v1/outlooks/${SLUG}/events`])('%s resumes across them', async (path) => {
  const middle = client.events[3];
  const resumed = await connect(origin + path, { lastEventId: middle?.id ?? '' });
  await resumed.received(revisions - 4);
  await revise();
  const events = await resumed.received(revisions - 4);
  await resumed.leave();
  expect(events.map(({ event }) => event)).toEqual(
    Array(revisions - 4).fill('outlook.version.published'),
  );
  await client.received(revisions);
});

test('webhooks, feeds, the export and metrics leave them out', async () => {
  await expect.poll(() => receiver.accepted.length, { timeout: 30_000 }).toBe(revisions);
  expect(new Set(receiver.accepted.map(({ payload }) => payload.type))).toEqual(
    new Set(['outlook.version.published']),
  );
  const { rows } = await ledger.pool.query('select count(*) from webhook_deliveries');
  expect(rows).toEqual([{ count: revisions }]);
  for (const url of ['/v1/feed.atom', '/v1/export']) {
    const { body, statusCode } = await ledger.call({ url });
    expect(statusCode, url).toBe(200);
    for (const kind of ['key.issued', 'write.recorded', 'webhook.changed'])
      expect(body).not.toContain(kind);
  }
});
