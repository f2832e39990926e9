import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { claimDeliveries } from '../../src/webhooks/deliveries.ts';
import { freshly } from '../support/fresh-metrics.ts';
import { connect } from '../support/event-client.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import {
  deliveriesOf,
  isSignedBy,
  perOutlook,
  Receiver,
  subscribe,
  verify,
} from '../support/receiver.ts';
import { createOutlook, send } from '../support/requests.ts';

const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000];

let ledger: TestLedger;
let origin = '';
/** What the service looks names up as. */
let names: Record<string, string> = {};
let lookups: string[] = [];
beforeAll(async () => {
  ledger = await startLedger({
    webhookPrivateAddresses: true,
    resolve: async (name) => {
      lookups.push(name);
      return [{ address: names[name] ?? expect.fail(`${name} is not known`), family: 4 }];
    },
  });
  origin = await ledger.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(() => ledger.close());

let receiver: Receiver;
beforeEach(async () => {
  // Receivers compare the signed time with their own clocks.
  ledger.clock.now = new Date();
  [names, lookups] = [{}, []];
  receiver = await new Receiver().open();
});
afterEach(async () => {
  await ledger.pool.query('delete from webhooks');
  await receiver.kill();
});

const advance = (milliseconds: number) => {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + milliseconds);
};
const adminCall = (method: 'GET' | 'POST' | 'DELETE', url: string) =>
  ledger.call({ method, url, as: 'admin' });
const patch = (id: string, body: object) =>
  send(ledger, 'PATCH', `/v1/webhooks/${id}`, body, { as: 'admin' });

let count = 0;
/** New outlooks, with a version each. */
async function outlooks(howMany: number): Promise<string[]> {
  const slugs = Array.from({ length: howMany }, () => `case-${(count += 1)}`);
  for (const slug of slugs) await createOutlook(ledger, { slug });
  return slugs;
}
let turn = 0;
async function revise(slug: string): Promise<void> {
  turn = (turn + 1) % 100;
  const probabilities = {
    bear: (1_000 + turn) / 10_000,
    base: (6_500 - turn) / 10_000,
    bull: 0.25,
  };
  const body = { probabilities, rationale: `Turn ${turn}.` };
  const answer = await send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, body);
  expect(answer.statusCode, answer.body).toBe(201);
}
/** The events that a receiver must get for the revisions of an outlook. */
const published = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `outlook.version.published ${from + index}`);
const KINDS = { kinds: ['outlook.version.published'] };

/** Waits until everything that is due was claimed: a later event has arrived at another receiver. */
async function settled(): Promise<void> {
  const other = await new Receiver().open();
  const { id } = await subscribe(ledger, other.url, { kinds: ['outlook.created'] });
  await outlooks(1);
  await expect.poll(() => other.accepted.length).toBe(1);
  await adminCall('DELETE', `/v1/webhooks/${id}`);
  await other.kill();
}

describe('a receiver that uses the published library', () => {
  test('accepts each delivery, which has the data of the event streams', async () => {
    const stream = await connect(`${origin}/v1/events`);
    const { secret } = await subscribe(ledger, receiver.url);
    const [slug = ''] = await outlooks(1);
    await revise(slug);
    const brief = {
      headline: 'Retail sales rose',
      summary: 'S',
      publisher: 'P',
      publishedAt: '2026-11-17T13:30:00Z',
    };
    await send(ledger, 'POST', `/v1/outlooks/${slug}/evidence`, brief);
    const received = await stream.received(3);
    await expect.poll(() => receiver.accepted.length).toBe(3);
    await stream.leave();
    expect(receiver.accepted.map(({ payload: { type, data } }) => [type, data])).toEqual(
      received.map(({ event, data }) => [event, data]),
    );
    for (const received of receiver.accepted) {
      expect(verify(secret, received)).toEqual(received.payload);
      expect(received.headers).toMatchObject({
        'content-type': 'application/json',
        'user-agent': expect.stringMatching(/^OutlookLedger\/\d/),
      });
      expect(Object.keys(received.payload)).toEqual(['type', 'timestamp', 'data']);
      expect(new Date(received.payload.timestamp).toISOString()).toBe(received.payload.timestamp);
    }
    expect(new Set(receiver.accepted.map(({ id }) => id)).size).toBe(3);
  });

  test('gets text of any kind byte for byte', async () => {
    const { secret } = await subscribe(ledger, receiver.url, { kinds: ['outlook.resolved'] });
    const [slug = ''] = await outlooks(1);
    const odd =
      '</script><script>alert("1")</script>\u202e\u2066שלום\u2069\u200f\u2028\u0007"\\ 📉';
    const reason = odd + 'ß'.repeat(10_000 - odd.length);
    advance(1);
    await send(ledger, 'POST', `/v1/outlooks/${slug}/resolution`, { outcome: 'bear', reason });
    await expect.poll(() => receiver.accepted.length).toBe(1);
    const [received] = receiver.accepted;
    if (!received) throw new Error('nothing came');
    expect(verify(secret, received)).toMatchObject({ data: { slug, resolution: { reason } } });
    expect(received.headers['content-length']).toBe(String(Buffer.byteLength(received.body)));
  });
});

test('a webhook gets later events, of its kinds and its outlook', async () => {
  const [one = '', two = ''] = await outlooks(2);
  await revise(one);
  const narrow = await new Receiver().open();
  await subscribe(ledger, receiver.url);
  await subscribe(ledger, narrow.url, { ...KINDS, outlook: one });
  for (const slug of [two, one, two, one]) await revise(slug);
  await expect
    .poll(() => perOutlook(receiver.accepted))
    .toEqual({
      [one]: published(3, 4),
      [two]: published(2, 3),
    });
  await expect.poll(() => perOutlook(narrow.accepted)).toEqual({ [one]: published(3, 4) });
  await send(ledger, 'POST', `/v1/outlooks/${one}/withdrawal`, { rationale: 'R' });
  const kindsOf = ({ accepted }: Receiver) => new Set(accepted.map(({ payload }) => payload.type));
  await expect.poll(() => [...kindsOf(receiver)]).toContain('outlook.state.changed');
  expect([...kindsOf(narrow)]).toEqual(KINDS.kinds);
  await narrow.kill();
});

test('while an event fails the later ones of its outlook wait, and other outlooks continue', async () => {
  const { id, secret } = await subscribe(ledger, receiver.url, KINDS);
  const [bad = '', good = ''] = await outlooks(2);
  let isBroken = true;
  receiver.answer = (received, response) => {
    if (isBroken && received.payload.data.slug === bad) response.writeHead(500).end('no');
    else receiver.accepting(received, response);
  };
  for (let round = 0; round < 3; round += 1) for (const slug of [bad, good]) await revise(slug);
  await expect.poll(() => perOutlook(receiver.accepted)).toEqual({ [good]: published(2, 4) });
  const first = () => receiver.attempts.filter(({ payload }) => payload.data.slug === bad);
  // At once, and then so long after the attempt before; never sooner.
  const waits = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR];
  for (const [index, wait] of waits.entries()) {
    await expect
      .poll(async () => (await deliveriesOf(ledger, id)).at(-2)?.attempts[0]?.fault)
      .not.toBeUndefined();
    const log = await deliveriesOf(ledger, id);
    const waiting = log.filter(({ slug }) => slug === bad).toReversed();
    expect(waiting.map(({ state }) => state)).toEqual(['due', 'behind', 'behind']);
    const [head] = waiting;
    expect(head?.attempts.length).toBe(index + 1);
    expect(head?.attempts[0]).toMatchObject({
      number: index + 1,
      status: 500,
      fault: 'answered 500',
    });
    const inTime = Date.parse(head?.nextAttemptAt ?? '') - ledger.clock.now.getTime();
    expect(inTime).toBeGreaterThanOrEqual(wait);
    expect(inTime).toBeLessThanOrEqual(1.1 * wait + 1);
    advance(wait - 1);
    await settled();
    expect(first().length).toBe(index + 1);
    advance(inTime - wait + 1);
    await expect.poll(() => first().length).toBe(index + 2);
    await expect
      .poll(
        async () =>
          (await deliveriesOf(ledger, id)).find(({ id: one }) => one === head?.id)?.attempts[0]
            ?.status,
      )
      .toBe(500);
  }
  expect(new Set(first().map((one) => one.id)).size).toBe(1);
  expect(new Set(first().map((one) => one.headers['webhook-timestamp'])).size).toBe(7);
  for (const received of first()) expect(isSignedBy(secret, received)).toBe(true);
  isBroken = false;
  advance(DAY);
  await expect
    .poll(() => perOutlook(receiver.accepted))
    .toEqual({
      [good]: published(2, 4),
      [bad]: published(2, 4),
    });
  await expect
    .poll(async () => (await deliveriesOf(ledger, id)).map(({ state }) => state))
    .toEqual(Array(6).fill('delivered'));
});

test('a receiver that is down, cuts off, hangs, redirects or sends nonsense gets everything afterwards', async () => {
  const { id } = await subscribe(ledger, receiver.url, KINDS);
  const slugs = await outlooks(2);
  const elsewhere = await new Receiver().open();
  const faults = async () => {
    const log = await deliveriesOf(ledger, id);
    return log.filter(({ state }) => state === 'due').map(({ attempts }) => attempts[0]?.fault);
  };
  const ways: [string, () => unknown][] = [
    ['the connection was refused', () => receiver.kill()],
    [
      'the connection closed before the response was complete',
      async () => {
        await receiver.open();
        receiver.answer = (_, response) => {
          response.writeHead(200, { 'content-length': 100 }).write('half');
          setTimeout(() => response.destroy(), 20);
        };
      },
    ],
    [
      'the connection was reset before a response arrived',
      () => void (receiver.answer = (_, response) => response.destroy()),
    ],
    [
      'no complete response within 15 s',
      // One outlook's delivery gets half an answer, the other's none.
      () =>
        void (receiver.answer = ({ payload }, response) =>
          payload.data.slug === slugs[0] && response.writeHead(200).write('and then')),
    ],
    [
      'answered 307; redirects are not followed',
      () =>
        void (receiver.answer = (_, response) =>
          response.writeHead(307, { location: elsewhere.url }).end()),
    ],
    ['answered 404', () => void (receiver.answer = (_, response) => response.writeHead(404).end())],
    [
      'answered 503',
      () =>
        void (receiver.answer = (_, response) =>
          response.writeHead(503, { 'retry-after': '1' }).end('x'.repeat(1_000_000))),
    ],
    [
      'Parse Error: Expected HTTP/, RTSP/ or ICE/',
      () => void (receiver.answer = (_, response) => response.socket?.end('nonsense\r\n\r\n')),
    ],
    [
      'answered 99, which is not an HTTP status',
      () =>
        void (receiver.answer = (_, response) =>
          response.socket?.end('HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n')),
    ],
    [
      'the connection closed without a response',
      () =>
        void (receiver.answer = (_, response) =>
          response.socket?.end(
            'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
          )),
    ],
  ];
  for (const [fault, misbehave] of ways) {
    await misbehave();
    for (const slug of slugs) await revise(slug);
    await expect.poll(faults).toEqual([fault, fault]);
    const next = (await deliveriesOf(ledger, id)).map(
      (one) => Date.parse(one.nextAttemptAt ?? '') || 0,
    );
    ledger.clock.now = new Date(Math.max(...next));
  }
  receiver.answer = (received, response) => receiver.accepting(received, response);
  advance(2 * DAY);
  const all = published(2, 1 + ways.length);
  await expect
    .poll(() => perOutlook(receiver.accepted))
    .toEqual(Object.fromEntries(slugs.map((slug) => [slug, all])));
  expect(elsewhere.attempts).toEqual([]);
  await elsewhere.kill();
});

test('a 2xx response of any length is a success, and its rest is not read', async () => {
  let closed = false;
  receiver.answer = (received, response) => {
    receiver.accepted.push(received);
    response.on('close', () => (closed = true)).writeHead(200);
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(10_000)));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };
  const { id } = await subscribe(ledger, receiver.url, KINDS);
  const [slug = ''] = await outlooks(1);
  await revise(slug);
  await expect.poll(async () => (await deliveriesOf(ledger, id))[0]?.state).toBe('delivered');
  await expect.poll(() => closed).toBe(true);
});

test('a slow receiver delays only itself', async () => {
  const held: (() => void)[] = [];
  receiver.answer = (received, response) =>
    void held.push(() => receiver.accepting(received, response));
  const quick = await new Receiver().open();
  await subscribe(ledger, receiver.url, KINDS);
  const slugs = await outlooks(12);
  await subscribe(ledger, quick.url, KINDS);
  for (let round = 0; round < 2; round += 1) for (const slug of slugs) await revise(slug);
  const all = Object.fromEntries(slugs.map((slug) => [slug, published(2, 3)]));
  await expect.poll(() => perOutlook(quick.accepted)).toEqual(all);
  // It has as many at once as one webhook may.
  await expect.poll(() => receiver.attempts.length).toBe(8);
  expect(receiver.accepted.length).toBe(0);
  // And nothing of the database while it is waited for.
  await expect.poll(() => ledger.servicePool.totalCount - ledger.servicePool.idleCount).toBe(0);
  const open = `select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`;
  expect((await ledger.pool.query(open)).rowCount).toBe(0);
  receiver.answer = (received, response) => receiver.accepting(received, response);
  for (const release of held) release();
  await expect.poll(() => perOutlook(receiver.accepted)).toEqual(all);
  await quick.kill();
});

test('another instance delivers what a lost one had claimed, once the lease ends', async () => {
  const { id } = await subscribe(ledger, receiver.url, KINDS);
  const [slug = ''] = await outlooks(1);
  // Claims what the service would, and ends without recording an outcome.
  await ledger.pool.query('select sequence_events()');
  await ledger.pool.query('update webhooks set position = (select max(position) from events)');
  await ledger.pool.query(
    `with version as (
       select e.position, e.outlook_id from events e join outlooks o on o.id = e.outlook_id where o.slug = $2 limit 1)
     insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at, due_at)
     select $1, position, outlook_id, $3, $4 from version`,
    [id, slug, ledger.clock.now, new Date(ledger.clock.now.getTime() + HOUR)],
  );
  const due = new Date(ledger.clock.now.getTime() + HOUR);
  const times = { now: due, leaseUntil: new Date(due.getTime() + 90 * SECOND) };
  const most = { perWebhook: 8, total: 64 };
  expect(await claimDeliveries(ledger.servicePool, times, new Map(), most)).toMatchObject([
    { attempt: 1 },
  ]);
  expect(await claimDeliveries(ledger.servicePool, times, new Map(), most)).toEqual([]);
  advance(HOUR + 89 * SECOND);
  await settled();
  expect((await deliveriesOf(ledger, id))[0]?.attempts.length).toBe(1);
  advance(SECOND);
  await expect.poll(() => receiver.accepted.length).toBe(1);
  await expect
    .poll(async () => (await deliveriesOf(ledger, id))[0]?.attempts)
    .toMatchObject([
      { number: 2, status: 204, fault: null },
      { number: 1, milliseconds: null, status: null, fault: null },
    ]);
});

describe('a webhook is disabled', () => {
  const webhook = async (id: string) => (await adminCall('GET', `/v1/webhooks/${id}`)).json();
  const refuse = (status: number) => {
    receiver.answer = (_, response) => response.writeHead(status).end();
  };
  const acceptAll = () => {
    receiver.answer = (received, response) => receiver.accepting(received, response);
  };

  test('by 410, and once enabled continues where it stopped', async () => {
    const { id } = await subscribe(ledger, receiver.url, KINDS);
    const [slug = ''] = await outlooks(1);
    refuse(410);
    await revise(slug);
    await expect
      .poll(async () => (await webhook(id)).disabled)
      .toEqual({
        at: ledger.clock.now.toISOString(),
        reason: 'gone',
      });
    acceptAll();
    await revise(slug);
    advance(10 * DAY);
    await settled();
    expect((await deliveriesOf(ledger, id)).map(({ attempts }) => attempts.length)).toEqual([1]);
    expect((await patch(id, { enabled: true })).json()).toMatchObject({
      disabled: null,
      failingSince: null,
    });
    await expect.poll(() => perOutlook(receiver.accepted)).toEqual({ [slug]: published(2, 3) });
  });

  test('by five days of only failures, not by fewer days or some failures', async () => {
    const { id } = await subscribe(ledger, receiver.url, KINDS);
    const [bad = '', good = ''] = await outlooks(2);
    const since = ledger.clock.now;
    receiver.answer = (received, response) =>
      received.payload.data.slug === bad
        ? response.writeHead(500).end()
        : receiver.accepting(received, response);
    await revise(bad);
    const attempts = async () =>
      (await deliveriesOf(ledger, id))
        .at(-1)
        ?.attempts.filter(({ milliseconds }) => milliseconds !== null).length;
    await expect.poll(attempts).toBe(1);
    expect(await webhook(id)).toMatchObject({ failingSince: since.toISOString(), disabled: null });
    advance(5 * DAY - 1);
    await expect.poll(attempts).toBe(2);
    expect(await webhook(id)).toMatchObject({ failingSince: since.toISOString(), disabled: null });
    await revise(good);
    await expect.poll(async () => (await webhook(id)).failingSince).toBeNull();
    advance(DAY);
    await expect.poll(attempts).toBe(3);
    expect(await webhook(id)).toMatchObject({ disabled: null });
    advance(5 * DAY);
    await expect
      .poll(async () => (await webhook(id)).disabled)
      .toEqual({
        at: ledger.clock.now.toISOString(),
        reason: 'failing',
      });
    // The count starts again: another failure does not disable it at once.
    expect((await patch(id, { enabled: true })).statusCode).toBe(200);
    await expect.poll(attempts).toBe(5);
    expect(await webhook(id)).toMatchObject({
      disabled: null,
      failingSince: ledger.clock.now.toISOString(),
    });
  });

  test('if an admin asks for it; a deleted one gets nothing', async () => {
    const { id } = await subscribe(ledger, receiver.url, KINDS);
    const [slug = ''] = await outlooks(1);
    expect((await patch(id, { enabled: false })).json()).toMatchObject({
      disabled: { reason: 'asked' },
    });
    await revise(slug);
    await settled();
    expect(await deliveriesOf(ledger, id)).toEqual([]);
    await patch(id, { enabled: true });
    await expect.poll(() => receiver.accepted.length).toBe(1);
    expect((await adminCall('DELETE', `/v1/webhooks/${id}`)).statusCode).toBe(204);
    await revise(slug);
    await settled();
    expect(receiver.attempts.length).toBe(1);
  });
});

test('enabling an enabled one tries waiting deliveries at once', async () => {
  const { id } = await subscribe(ledger, receiver.url, KINDS);
  const [slug = ''] = await outlooks(1);
  receiver.answer = (_, response) => response.writeHead(500).end();
  await revise(slug);
  await expect.poll(async () => (await deliveriesOf(ledger, id))[0]?.attempts[0]?.status).toBe(500);
  receiver.answer = (received, response) => receiver.accepting(received, response);
  await patch(id, { enabled: true });
  await expect.poll(() => receiver.accepted.length).toBe(1);
});

test('for a day after a rotation both secrets sign, and then the new one', async () => {
  const { id, secret: old } = await subscribe(ledger, receiver.url, KINDS);
  const [slug = ''] = await outlooks(1);
  const rotated = await adminCall('POST', `/v1/webhooks/${id}/secret`);
  expect(rotated.headers['cache-control']).toBe('no-store');
  const { secret: fresh } = rotated.json<{ secret: string }>();
  expect(fresh).not.toBe(old);
  const signers = async () => {
    await revise(slug);
    const before = receiver.accepted.length;
    await expect.poll(() => receiver.accepted.length).toBe(before + 1);
    const last = receiver.accepted.at(-1);
    return [old, fresh].map((secret) => last && isSignedBy(secret, last));
  };
  expect(await signers()).toEqual([true, true]);
  advance(DAY - 1);
  expect(await signers()).toEqual([true, true]);
  advance(1);
  expect(await signers()).toEqual([false, true]);
});

describe('a test delivery', () => {
  type Answer = { delivered: boolean; status: number | null; fault: string | null };
  const tested = async (id: string) =>
    (await adminCall('POST', `/v1/webhooks/${id}/test`)).json<Answer>();

  test("shows the receiver's response, also for a disabled webhook", async () => {
    const { id, secret } = await subscribe(ledger, receiver.url, KINDS);
    await patch(id, { enabled: false });
    expect(await tested(id)).toMatchObject({ delivered: true, status: 204, fault: null });
    const trail = await adminCall('GET', '/v1/audit?limit=1');
    expect(trail.json()).toMatchObject({
      items: [{ method: 'POST', path: `/v1/webhooks/${id}/test`, role: 'admin' }],
    });
    const [received] = receiver.accepted;
    expect(received && verify(secret, received)).toMatchObject({
      type: 'webhook.test',
      data: { webhook: id },
    });
    receiver.answer = (_, response) => response.writeHead(410).end('secret text');
    const refused = await tested(id);
    expect(refused).toMatchObject({ delivered: false, status: 410, fault: 'answered 410' });
    expect(JSON.stringify(refused)).not.toContain('secret text');
    await receiver.kill();
    expect(await tested(id)).toMatchObject({
      delivered: false,
      status: null,
      fault: 'the connection was refused',
    });
    expect(await deliveriesOf(ledger, id)).toEqual([]);
  });

  test('goes to the address that was looked up once, under the given name', async () => {
    const { port } = new URL(receiver.url);
    names = { 'hooks.desk.example': '127.0.0.1' };
    const { id } = await subscribe(ledger, `http://hooks.desk.example:${port}/a?b=c`);
    lookups = [];
    expect(await tested(id)).toMatchObject({ delivered: true });
    expect(lookups).toEqual(['hooks.desk.example']);
    expect(receiver.accepted[0]?.headers.host).toBe(`hooks.desk.example:${port}`);
  });

  test('refuses a name that now resolves to another address', async () => {
    const { port } = new URL(receiver.url);
    names = { 'hooks.desk.example': '127.0.0.1' };
    const { id } = await subscribe(ledger, `http://hooks.desk.example:${port}/`);
    names = { 'hooks.desk.example': '169.254.169.254' };
    expect(await tested(id)).toMatchObject({
      delivered: false,
      status: null,
      fault:
        'the URL must point to a public address; hooks.desk.example is 169.254.169.254, which is not public (linkLocal)',
    });
    names = { 'hooks.desk.example': '93.184.216.34' };
    expect(await tested(id)).toMatchObject({
      fault:
        'the URL must be an https URL, because hooks.desk.example is 93.184.216.34, which is a public address',
    });
  });
});

test('metrics show how attempts ended, what waits and what is disabled', async () => {
  const sample = async (name: string) => {
    const { body } = await freshly(() => adminCall('GET', '/metrics'));
    const line = body.split('\n').find((one) => one.startsWith(`outlook_ledger_webhook${name} `));
    return Number(line?.split(' ').at(-1));
  };
  const [delivered, failed] = [
    '_attempts_total{outcome="delivered"}',
    '_attempts_total{outcome="failed"}',
  ];
  const before = [await sample(delivered), await sample(failed)];
  const { id } = await subscribe(ledger, receiver.url, KINDS);
  const gone = await subscribe(ledger, receiver.url, KINDS);
  await ledger.pool.query(
    `update webhooks set disabled_at = now(), disabled_reason = 'gone' where id = $1`,
    [gone.id],
  );
  const [bad = '', good = ''] = await outlooks(2);
  receiver.answer = (received, response) =>
    received.payload.data.slug === bad
      ? response.writeHead(500).end()
      : receiver.accepting(received, response);
  for (const slug of [good, bad, bad]) await revise(slug);
  await expect
    .poll(async () => [await sample(delivered), await sample(failed)])
    .toEqual(before.map((value) => value + 1));
  await expect.poll(() => sample('_deliveries_waiting')).toBe(2);
  expect(await sample('s_disabled')).toBe(1);
  const age = await sample('_oldest_waiting_seconds');
  expect(age).toBeLessThan(1);
  expect((await deliveriesOf(ledger, id)).length).toBe(3);
});

test('without permission no private address is reached, by any name', async () => {
  let answered = '93.184.216.34';
  const strict = await startLedger({ resolve: async () => [{ address: answered, family: 4 }] });
  await strict.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = new URL(receiver.url);
  const { id } = await subscribe(strict, `https://hooks.desk.example:${port}/`);
  answered = '127.0.0.1';
  await strict.revise({ probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'R' });
  await expect
    .poll(async () => (await deliveriesOf(strict, id))[0]?.attempts[0]?.fault)
    .toBe(
      'the URL must point to a public address; hooks.desk.example is 127.0.0.1, which is not public (loopback)',
    );
  // As if the setting had been different before.
  await strict.pool.query('update webhooks set url = $1', [receiver.url]);
  const test = await strict.call({ method: 'POST', url: `/v1/webhooks/${id}/test`, as: 'admin' });
  expect(test.json()).toMatchObject({ delivered: false, fault: 'the URL must be an https URL' });
  expect(receiver.attempts).toEqual([]);
  await strict.close();
});

test('a shutdown does not wait long for receivers, and the next start continues', async () => {
  const own = await startLedger({ webhookPrivateAddresses: true });
  own.clock.now = new Date();
  await own.app.listen({ port: 0, host: '127.0.0.1' });
  receiver.answer = () => {};
  const { id } = await subscribe(own, receiver.url, KINDS);
  await own.revise({ probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'R' });
  await expect.poll(() => receiver.attempts.length).toBe(1);
  await own.app.close();
  const { rows } = await own.pool.query(
    `select d.due_at <= $2 as due, a.fault, w.failing_since from webhook_deliveries d
       join webhook_attempts a on a.delivery_id = d.id join webhooks w on w.id = d.webhook_id where w.id = $1`,
    [id, own.clock.now],
  );
  expect(rows).toEqual([
    { due: true, fault: 'the service stopped during the attempt', failing_since: null },
  ]);
  await own.close();
});
