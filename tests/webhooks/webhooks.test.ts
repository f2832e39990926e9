import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DELIVERED_KINDS, EVENT_KINDS } from '../../src/domain/events.ts';
import { deleteOldDeliveries } from '../../src/webhooks/delivery-log.ts';
import { deleteExpiredSecrets } from '../../src/webhooks/webhooks.ts';
import { openSession } from '../support/plain-sql.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { deliveriesOf, subscribe } from '../support/receiver.ts';
import { faultsOf, send, stored } from '../support/requests.ts';

const URL = 'https://hooks.desk.example/ledger';
const NOBODY = '00000000-0000-4000-8000-000000000000';

let ledger: TestLedger;
let addresses = ['93.184.216.34'];
beforeAll(async () => {
  ledger = await startLedger({
    resolve: async () => {
      if (addresses.length === 0) throw new Error('getaddrinfo EAI_AGAIN');
      return addresses.map((address) => ({ address, family: 4 }));
    },
  });
});
afterAll(() => ledger.close());

type Webhook = { id: string; secret?: string; createdAt: string; description: string | null };
const create = (body: unknown, headers = {}) =>
  send(ledger, 'POST', '/v1/webhooks', body, { as: 'admin', headers });
const patch = (id: string, body: unknown) =>
  send(ledger, 'PATCH', `/v1/webhooks/${id}`, body, { as: 'admin' });
const admin = (url: string, method: 'GET' | 'DELETE' | 'POST' = 'GET') =>
  ledger.call({ method, url, as: 'admin' });

describe('creating', () => {
  test('returns the webhook with its secret, only this once', async () => {
    const answer = await create({
      url: URL,
      kinds: ['view.published'],
      outlook: SLUG,
      description: 'D',
    });
    expect(answer.statusCode).toBe(201);
    expect(answer.headers['cache-control']).toBe('no-store');
    const { secret = '', ...known } = answer.json<Webhook>();
    expect(secret).toMatch(/^whsec_/);
    expect(Buffer.from(secret.slice('whsec_'.length), 'base64').length).toBe(32);
    expect(known).toEqual({
      id: known.id,
      url: URL,
      format: 'json',
      desk: null,
      kinds: ['view.published'],
      outlook: SLUG,
      description: 'D',
      createdAt: ledger.clock.now.toISOString(),
      failingSince: null,
      disabled: null,
      previousSecretUntil: null,
    });
    expect(answer.headers.location).toBe(`/v1/webhooks/${known.id}`);
    expect((await admin(`/v1/webhooks/${known.id}`)).json()).toEqual(known);
  });

  test.each(EVENT_KINDS)('accepts the kind %s', async (kind) => {
    expect((await create({ url: URL, kinds: [kind] })).json()).toMatchObject({ kinds: [kind] });
  });

  test('sent again with its key returns the same secret, which is legible in no other table', async () => {
    const headers = { 'idempotency-key': 'once' };
    const first = await create({ url: URL }, headers);
    expect((await create({ url: URL }, headers)).body).toBe(first.body);
    const { secret = '' } = first.json<Webhook>();
    const rotated = await ledger.call({
      method: 'POST',
      url: `/v1/webhooks/${first.json<Webhook>().id}/secret`,
      as: 'admin',
      headers: { 'idempotency-key': 'twice' },
    });
    const bytes = [secret, rotated.json<{ secret: string }>().secret].flatMap((text) => {
      const base64 = text.slice('whsec_'.length);
      return [text, base64, Buffer.from(base64, 'base64').toString('hex')];
    });
    const dump = async (table: string) => {
      const { rows } = await ledger.pool.query<{ row: string }>(
        `select t::text as row from ${table} t`,
      );
      const plain = rows.map(({ row }) => row).join('\n');
      const readable = plain.replaceAll(/\\x[0-9a-f]+/g, (hex) =>
        Buffer.from(hex.slice(2), 'hex').toString('latin1'),
      );
      return plain + readable;
    };
    for (const table of ['idempotency_keys', 'audit_entries', 'events']) {
      const text = await dump(table);
      for (const one of bytes) expect(text).not.toContain(one);
    }
    // Where it has to be, and so the look above would find it.
    expect(await dump('webhooks')).toContain(bytes[2]);
  });

  test('is in the audit trail, without its body', async () => {
    const { id } = await subscribe(ledger, `${URL}?token=abc`);
    await admin(`/v1/webhooks/${id}`, 'DELETE');
    const { items } = (await admin('/v1/audit?limit=2')).json<{ items: object[] }>();
    expect(items).toMatchObject([
      { method: 'DELETE', path: `/v1/webhooks/${id}`, status: 204 },
      { method: 'POST', path: '/v1/webhooks', status: 201, role: 'admin' },
    ]);
    expect(JSON.stringify(items)).not.toContain('token=abc');
  });

  const KINDS = `must be one of ${DELIVERED_KINDS.join(', ')}`;
  test.for<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['no URL', { url: undefined }, { '/url': 'is required' }],
    ['another scheme', { url: 'ftp://desk.example' }, { '/url': 'must be an http or https URL' }],
    ['plain http', { url: 'http://desk.example' }, { '/url': 'must be an https URL' }],
    ['what is no URL', { url: 'https://' }, { '/url': 'must be an http or https URL' }],
    [
      'credentials',
      { url: 'https://me:you@desk.example' },
      { '/url': 'must not contain a user or password; deliveries are signed instead' },
    ],
    [
      'a fragment',
      { url: `${URL}#a` },
      { '/url': 'must not have a fragment, which is never sent' },
    ],
    [
      'too long a URL',
      { url: `https://desk.example/${'a'.repeat(2000)}` },
      { '/url': 'must have at most 2000 characters' },
    ],
    [
      'a literal address of its own network',
      { url: 'https://127.1:8443/' },
      { '/url': 'must point to a public address; 127.0.0.1 is not public (loopback)' },
    ],
    ['an unknown kind', { kinds: ['outlook.deleted'] }, { '/kinds/0': KINDS }],
    [
      'no kind',
      { kinds: [] },
      { '/kinds': 'must contain at least one kind; leave it out or send null for all kinds' },
    ],
    [
      'an unknown outlook',
      { outlook: 'nowhere' },
      { '/outlook': 'must be the slug of an outlook that exists, or be left out' },
    ],
    [
      'two faults',
      { url: 'desk', kinds: ['a'] },
      { '/url': 'must be an http or https URL', '/kinds/0': KINDS },
    ],
    [
      'a secret of its own',
      { secret: 'whsec_mine' },
      {
        '/secret':
          'unknown property "secret"; allowed here: url, format, desk, kinds, outlook, description',
      },
    ],
  ])('with %s is refused', async ([, change, faults]) => {
    const before = await stored(ledger);
    const refused = await create({ url: URL, ...change });
    expect(refused.statusCode).toBe(422);
    expect(faultsOf(refused.json())).toEqual(faults);
    expect(await stored(ledger)).toEqual(before);
  });

  test('at a name in a private network is refused, and says why; so is a change to it', async () => {
    const { id } = await subscribe(ledger, URL);
    addresses = ['93.184.216.34', '10.0.0.7'];
    const fault = {
      '/url':
        'must point to a public address; hooks.desk.example is 10.0.0.7, which is not public (private)',
    };
    for (const refused of [await create({ url: URL }), await patch(id, { url: URL })]) {
      expect(refused.statusCode).toBe(422);
      expect(faultsOf(refused.json())).toEqual(fault);
    }
    addresses = ['93.184.216.34'];
  });

  test("at a name that can't be looked up now is accepted", async () => {
    addresses = [];
    expect((await create({ url: URL })).statusCode).toBe(201);
    addresses = ['93.184.216.34'];
  });
});

describe('changing', () => {
  test('changes the sent members and nothing else', async () => {
    const {
      id,
      secret: _,
      ...before
    } = await subscribe(ledger, URL, { kinds: ['view.published'] });
    const steps = [
      { kinds: ['outlook.resolved'] },
      { kinds: null },
      { description: 'Another' },
      { description: null },
      { url: `${URL}/other` },
      {},
    ];
    let expected: object = before;
    for (const step of steps) {
      expected = { ...expected, ...step };
      const answer = await patch(id, step);
      expect([answer.statusCode, answer.json()]).toEqual([200, { id, ...expected }]);
      expect((await admin(`/v1/webhooks/${id}`)).json()).toEqual({ id, ...expected });
    }
  });

  test('disables once: repeating it does not change the time', async () => {
    const { id } = await subscribe(ledger, URL);
    const at = ledger.clock.now.toISOString();
    await patch(id, { enabled: false });
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 1_000);
    const answer = await patch(id, { enabled: false });
    expect(answer.json()).toMatchObject({ disabled: { at, reason: 'asked' } });
  });

  test.for<[object, string]>([
    [{ outlook: SLUG }, '/outlook'],
    [{ url: 'http://desk.example' }, '/url'],
    [{ kinds: [] }, '/kinds'],
    [{ enabled: 'yes' }, '/enabled'],
    [{ enabled: null }, '/enabled'],
    [{ url: null }, '/url'],
  ])('%j is refused', async ([body, pointer]) => {
    const { id } = await subscribe(ledger, URL);
    const refused = await patch(id, body);
    expect(refused.statusCode).toBe(422);
    expect(Object.keys(faultsOf(refused.json()))).toEqual([pointer]);
  });
});

test('a missing webhook is not found', async () => {
  for (const id of [NOBODY, 'nowhere', '%00']) {
    const url = `/v1/webhooks/${id}`;
    const answers = [
      await admin(url),
      await admin(url, 'DELETE'),
      await admin(`${url}/deliveries`),
      await admin(`${url}/secret`, 'POST'),
      await admin(`${url}/test`, 'POST'),
      await patch(id, { enabled: true }),
    ];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(6).fill(404));
  }
});

/** All items of a list, page by page. */
async function walk(url: string, limit: number): Promise<{ id: string }[]> {
  const seen: { id: string }[] = [];
  for (let next = `${url}?limit=${limit}`; next !== '';) {
    const answer = await admin(next);
    seen.push(...answer.json<{ items: { id: string }[] }>().items);
    next = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? '';
  }
  return seen;
}

test('webhooks are listed newest first, without secrets, by pages of any size', async () => {
  await Promise.all(Array.from({ length: 3 }, () => subscribe(ledger, URL)));
  const all = (await admin('/v1/webhooks?limit=100')).json<{ items: Webhook[] }>().items;
  expect(all.length).toBeGreaterThan(5);
  expect(JSON.stringify(all)).not.toContain('whsec_');
  const times = all.map(({ createdAt }) => createdAt);
  expect(times).toEqual(times.toSorted().toReversed());
  for (const limit of [1, 2, 7]) expect(await walk('/v1/webhooks', limit)).toEqual(all);
});

describe('the log', () => {
  /** Deliveries of the events so far, delivered at some moments, in milliseconds from now; null for none. */
  async function delivered(id: string, ...times: (number | null)[]): Promise<string[]> {
    const ids: string[] = [];
    for (const [index, time] of times.entries()) {
      const at = time === null ? null : new Date(ledger.clock.now.getTime() + time);
      const { rows } = await ledger.pool.query<{ id: string }>(
        `insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at, attempts, delivered_at)
         select $1, position, outlook_id, $3, 1, $4 from events where position = $2 returning id`,
        [id, index + 1, ledger.clock.now, at],
      );
      const [one] = rows;
      if (!one) throw new Error('there are too few events');
      ids.push(one.id);
      await ledger.pool.query(
        `insert into webhook_attempts (delivery_id, number, started_at) values ($1, 1, now())`,
        [one.id],
      );
    }
    return ids;
  }

  test('is kept for as long as documented, and undelivered events until they are delivered', async () => {
    for (let index = 0; index < 4; index += 1) {
      const probabilities = { bear: 0.31 + index / 100, base: 0.44 - index / 100, bull: 0.25 };
      await ledger.revise({ probabilities, rationale: 'R' });
    }
    await ledger.pool.query('select sequence_events()');
    const { id } = await subscribe(ledger, URL);
    const [old, young, open] = await delivered(id, -1, 0, null);
    await deleteOldDeliveries(ledger.servicePool, ledger.clock.now);
    const left = (await deliveriesOf(ledger, id)).map((one) => one.id);
    expect(left).toEqual([open, young]);
    expect(left).not.toContain(old);
    const { rows } = await ledger.pool.query(
      'select from webhook_attempts where delivery_id = $1',
      [old],
    );
    expect(rows).toEqual([]);
    await deleteOldDeliveries(ledger.servicePool, new Date('2999-01-01'));
    expect((await deliveriesOf(ledger, id)).map((one) => one.id)).toEqual([open]);
  });

  test('is read by pages of any size, each delivery with its last twenty attempts', async () => {
    const { id } = await subscribe(ledger, URL);
    const ids = await delivered(id, 0, 0, 0, null);
    await ledger.pool.query(
      `insert into webhook_attempts (delivery_id, number, started_at, milliseconds, status, fault)
       select $1, n, now(), 1, 500, 'answered 500' from generate_series(2, 25) n`,
      [ids[3]],
    );
    for (const limit of [1, 2, 3, 4, 5]) {
      const seen = await walk(`/v1/webhooks/${id}/deliveries`, limit);
      expect(seen.map((one) => one.id)).toEqual(ids.toReversed());
    }
    const [newest] = await deliveriesOf(ledger, id);
    expect(newest?.attempts.map(({ number }) => number)).toEqual(
      Array.from({ length: 20 }, (_, index) => 25 - index),
    );
  });
});

test('deleting removes all its deliveries, however many', async () => {
  const { id } = await subscribe(ledger, URL);
  const other = await subscribe(ledger, URL);
  const session = await openSession(ledger.url);
  await session.query(`
    set session_replication_role = replica;
    insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at, attempts, delivered_at)
    select w.id, n, 1, now(), 1, case when n <= 2500 then now() end
      from webhooks w, generate_series(1, 2600) n where w.id in ('${id}', '${other.id}');
    insert into webhook_attempts (delivery_id, number, started_at) select id, 1, now() from webhook_deliveries
      where webhook_id in ('${id}', '${other.id}')`);
  await session.end();
  const counts = async () => {
    const { rows } = await ledger.pool.query(
      `select count(*)::int as deliveries, count(a.number)::int as attempts from webhook_deliveries d
         left join webhook_attempts a on a.delivery_id = d.id where d.webhook_id in ($1, $2)`,
      [id, other.id],
    );
    return rows;
  };
  expect(await counts()).toEqual([{ deliveries: 5200, attempts: 5200 }]);
  expect((await admin(`/v1/webhooks/${id}`, 'DELETE')).statusCode).toBe(204);
  expect(await counts()).toEqual([{ deliveries: 2600, attempts: 2600 }]);
});

test('a secret that no longer signs is deleted', async () => {
  const { id } = await subscribe(ledger, URL);
  await admin(`/v1/webhooks/${id}/secret`, 'POST');
  const previous = async () => {
    const { rows } = await ledger.pool.query(
      'select previous_secret is not null as there from webhooks where id = $1',
      [id],
    );
    return rows;
  };
  const until = ledger.clock.now.getTime() + 86_400_000;
  await deleteExpiredSecrets(ledger.servicePool, new Date(until - 1));
  expect(await previous()).toEqual([{ there: true }]);
  await deleteExpiredSecrets(ledger.servicePool, new Date(until));
  expect(await previous()).toEqual([{ there: false }]);
  expect((await admin(`/v1/webhooks/${id}`)).json()).toMatchObject({ previousSecretUntil: null });
});
