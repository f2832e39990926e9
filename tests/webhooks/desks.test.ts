import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ProposalEventKind } from '../../src/domain/events.ts';
import { addDesk, disclose, keyFor, publishFor, sendWith } from '../support/desks.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { deliveriesOf, type Received, Receiver, subscribe } from '../support/receiver.ts';
import { faultsOf, send, stored } from '../support/requests.ts';

const PROPOSALS = ['10000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000002'];

let ledger: TestLedger;
let rates = '';
let receiver: Receiver;
beforeAll(async () => {
  ledger = await startLedger({ webhookPrivateAddresses: true });
  for (const desk of ['rates', 'credit']) await addDesk(ledger, desk);
  rates = await keyFor(ledger, ['rates']);
  await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  await publishFor(ledger, rates, { slug: 'hidden', desk: 'rates', visibility: 'internal' });
});
afterAll(() => ledger.close());
beforeEach(async () => {
  receiver = await new Receiver().open();
  return async () => {
    await ledger.pool.query('delete from webhooks');
    await receiver.kill();
  };
});

let bear = 0.3;
async function revise(slug: string, key: string): Promise<void> {
  bear = Number((bear + 0.01).toFixed(2));
  const probabilities = { bear, base: Number((0.75 - bear).toFixed(2)), bull: 0.25 };
  const url = `/v1/outlooks/${slug}/revisions`;
  const body = { probabilities, rationale: 'R' };
  await sendWith(ledger, key, { method: 'POST', url, body, status: 201 });
}

/** Adds an event of a proposal, as its triggers do. */
async function propose(
  kind: ProposalEventKind,
  desk: string,
  proposal = PROPOSALS[0],
): Promise<void> {
  const data = {
    subject: `/v1/proposals/${proposal}`,
    proposal,
    desk,
    kind: 'revision',
    outlook: SLUG,
    title: 'T',
    state: 'submitted',
    draft: 1,
    publishAt: null,
    version: null,
    by: { id: '20000000-0000-4000-8000-000000000001', name: 'Ana' },
    text: kind,
  };
  await ledger.pool.query('insert into events (kind, data, recorded_at) values ($1, $2, now())', [
    kind,
    data,
  ]);
}

const said = ({ payload: { type, data } }: Received) =>
  `${type} ${type.startsWith('proposal.') ? (data as unknown as { desk: string }).desk : data.slug}`;

test('each webhook gets the events of its own desk, and those of public outlooks', async () => {
  const other = await new Receiver().open();
  const ofNone = await new Receiver().open();
  await subscribe(ledger, receiver.url, { desk: 'rates' });
  await subscribe(ledger, other.url, { desk: 'credit' });
  await subscribe(ledger, ofNone.url);
  await revise('hidden', rates);
  await propose('proposal.submitted', 'rates');
  await revise(SLUG, ledger.keys.analyst);
  await propose('proposal.submitted', 'credit', PROPOSALS[1]);
  const shown = `outlook.version.published ${SLUG}`;
  const expected: [Receiver, string[]][] = [
    [receiver, ['outlook.version.published hidden', shown, 'proposal.submitted rates']],
    [other, [shown, 'proposal.submitted credit']],
    [ofNone, [shown]],
  ];
  for (const [one, events] of expected) {
    await expect.poll(() => one.accepted.map(said).toSorted()).toEqual(events.toSorted());
  }
  await other.kill();
  await ofNone.kill();
});

test('the events of a proposal arrive in order, again until they are taken, and in the log', async () => {
  let refusals = 2;
  receiver.answer = (received, response) => {
    if (received.payload.type === 'proposal.opened' && refusals > 0) {
      refusals -= 1;
      response.writeHead(503).end();
    } else receiver.accepting(received, response);
  };
  const { id } = await subscribe(ledger, receiver.url, { desk: 'rates' });
  const kinds = ['opened', 'submitted', 'commented', 'approved', 'published'] as const;
  for (const kind of kinds) await propose(`proposal.${kind}`, 'rates');
  await propose('proposal.opened', 'rates', PROPOSALS[1]);
  for (const round of [0, 1]) {
    await expect.poll(() => refusals).toBeLessThan(2 - round);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 3_600_000);
    await sendWith(ledger, ledger.keys.admin, {
      method: 'PATCH',
      url: `/v1/webhooks/${id}`,
      body: { enabled: true },
      headers: { 'content-type': 'application/merge-patch+json' },
      status: 200,
    });
  }
  // The clock ends leases, so some may arrive twice.
  const once = () => [...new Map(receiver.accepted.map((one) => [one.id, one])).values()];
  await expect.poll(() => once().length).toBe(6);
  const own = once().filter(
    ({ payload }) => (payload.data as unknown as { proposal: string }).proposal === PROPOSALS[0],
  );
  expect(own.map(({ payload }) => payload.type)).toEqual(kinds.map((kind) => `proposal.${kind}`));
  await expect
    .poll(async () => (await deliveriesOf(ledger, id)).map(({ state }) => state))
    .toEqual(Array(6).fill('delivered'));
  await revise(SLUG, ledger.keys.analyst);
  await expect.poll(async () => (await deliveriesOf(ledger, id)).length).toBe(7);
  const logged = await deliveriesOf(ledger, id);
  expect(logged.map(({ kind }) => kind)).toEqual([
    'outlook.version.published',
    'proposal.opened',
    ...kinds.map((kind) => `proposal.${kind}`).toReversed(),
  ]);
  expect(logged[1]).toMatchObject({ subject: `/v1/proposals/${PROPOSALS[1]}`, slug: SLUG });
  const pages = [];
  for (let url: string | null = `/v1/webhooks/${id}/deliveries?limit=2`; url !== null;) {
    const page = await sendWith(ledger, ledger.keys.admin, { url, status: 200 });
    pages.push(...page.json<{ items: { id: string }[] }>().items.map((item) => item.id));
    url = /^<(.+)>; rel="next"$/.exec(String(page.headers.link))?.[1] ?? null;
  }
  expect(pages).toEqual(logged.map((one) => one.id));
});

test('what was internal at the time stays away, and the disclosure arrives', async () => {
  await publishFor(ledger, rates, { slug: 'opened', desk: 'rates', visibility: 'internal' });
  await subscribe(ledger, receiver.url);
  await revise('opened', rates);
  await revise(SLUG, ledger.keys.analyst);
  await expect
    .poll(() => receiver.accepted.map(said))
    .toEqual([`outlook.version.published ${SLUG}`]);
  await disclose(ledger, rates, '/v1/outlooks/opened');
  await revise('opened', rates);
  await expect
    .poll(() => receiver.accepted.map(said).slice(1))
    .toEqual(['outlook.disclosed opened', 'outlook.version.published opened']);
});

test('kinds and one outlook narrow the proposals, too', async () => {
  await subscribe(ledger, receiver.url, {
    desk: 'rates',
    kinds: ['proposal.approved'],
    outlook: SLUG,
  });
  await propose('proposal.submitted', 'rates');
  await propose('proposal.approved', 'rates');
  await expect.poll(() => receiver.accepted.map(said)).toEqual(['proposal.approved rates']);
});

const URL = 'https://hooks.desk.example/ledger';
test.for<[string, Record<string, unknown>, Record<string, string>]>([
  ['an unknown desk', { desk: 'none' }, { '/desk': 'must be the slug of a desk, or be left out' }],
  [
    'an internal outlook of another desk',
    { desk: 'credit', outlook: 'hidden' },
    { '/outlook': 'is internal to the desk "rates", so the webhook must be of that desk, too' },
  ],
  [
    'an unknown desk and outlook',
    { desk: 'none', outlook: 'nothing' },
    {
      '/desk': 'must be the slug of a desk, or be left out',
      '/outlook': 'must be the slug of an outlook that exists, or be left out',
    },
  ],
  [
    'proposals without a desk',
    { kinds: ['view.published', 'proposal.approved'] },
    { '/kinds/1': 'is only for a webhook with a "desk", which is set when it is created' },
  ],
  ['another format', { format: 'irc' }, { '/format': 'must be one of json, slack, teams' }],
])('a webhook with %s is refused', async ([, change, faults]) => {
  const before = await stored(ledger);
  const refused = await send(
    ledger,
    'POST',
    '/v1/webhooks',
    { url: URL, ...change },
    { as: 'admin' },
  );
  expect(refused.statusCode, refused.body).toBe(422);
  expect(faultsOf(refused.json())).toEqual(faults);
  expect(await stored(ledger)).toEqual(before);
});

test('the desk and the format stay, by the API and in Postgres', async () => {
  const { id } = await subscribe(ledger, receiver.url);
  const patch = (body: object) =>
    send(ledger, 'PATCH', `/v1/webhooks/${id}`, body, { as: 'admin' });
  const refused = await patch({ kinds: ['proposal.opened'] });
  expect(faultsOf(refused.json())).toEqual({
    '/kinds/0': 'is only for a webhook with a "desk", which is set when it is created',
  });
  expect((await patch({ format: 'slack' })).statusCode).toBe(422);
  const change = (column: string, value: unknown) =>
    ledger.pool.query(`update webhooks set ${column} = $2 where id = $1`, [id, value]);
  await expect(change('format', 'slack')).rejects.toMatchObject({ constraint: 'webhooks_fixed' });
  await expect(change('desk_id', 1)).rejects.toMatchObject({ constraint: 'webhooks_fixed' });
});

test('Postgres takes no delivery of another desk', async () => {
  const { id } = await subscribe(ledger, receiver.url, { desk: 'credit' });
  // As the release before plans them: for every webhook, the events of all outlooks.
  const planned = await ledger.servicePool.query(
    `insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at)
     select $1, e.position, e.outlook_id, now() from events e join outlooks o on o.id = e.outlook_id
      where o.slug in ('hidden', $2) and e.position <= 3`,
    [id, SLUG],
  );
  const { rows } = await ledger.pool.query(
    `select count(*) filter (where o.internal_to is null) as shown,
       count(*) filter (where o.internal_to is not null) as hidden
       from events e join outlooks o on o.id = e.outlook_id where e.position <= 3 and o.slug in ('hidden', $1)`,
    [SLUG],
  );
  expect(rows[0]).toEqual({ shown: planned.rowCount, hidden: expect.not.stringMatching('^0$') });
  await propose('proposal.opened', 'rates');
  await expect(
    ledger.servicePool.query(
      `insert into webhook_deliveries (webhook_id, event_id, subject, planned_at)
       select $1, id, data->>'subject', now() from events where kind = 'proposal.opened' and data->>'desk' = 'rates' limit 1`,
      [id],
    ),
  ).rejects.toMatchObject({ constraint: 'webhook_deliveries_desk' });
});
