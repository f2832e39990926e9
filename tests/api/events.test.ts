import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect as connectSocket, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { EventStreams } from '../../src/api/event-streams.ts';
import { PUBLIC_AUDIENCE } from '../../src/domain/desks.ts';
import { parseEventId, START } from '../../src/domain/events.ts';
import { holdOutlooks } from '../support/held-outlooks.ts';
import { changeState as changeStateOf } from '../support/plain-sql.ts';
import { fillLedger } from '../support/outlooks.ts';
import { ANALYST_ID, EVIDENCE_ID } from '../support/operations.ts';
import {
  connect,
  type EventClient,
  EventReader,
  type ReceivedEvent,
} from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, patchFramework } from '../support/requests.ts';

const ALL = '/v1/events';
const ONE = `/v1/outlooks/${SLUG}/events`;
const OTHER = 'another';

let ledger: TestLedger;
let origin: string;
let clients: EventClient[];
const start = async (options: Parameters<typeof startLedger>[0] = {}) => {
  ledger = await startLedger(options);
  origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
};
beforeEach(() => void (clients = []));
afterEach(async () => {
  await Promise.all(clients.map((client) => client.leave()));
  await ledger.close();
});

const follow = async (path = ALL, options: Parameters<typeof connect>[1] = {}) => {
  const client = await connect(origin + path, options);
  clients.push(client);
  return client;
};
/** Follows the stream from an event that was sent before. */
const resume = (lastEventId: string, path = ALL) => follow(path, { lastEventId });

/** Publishes the next version of the sample, whose bear case is this likely. */
async function revise(bear: number): Promise<void> {
  const probabilities = { bear, base: Number((0.75 - bear).toFixed(2)), bull: 0.25 };
  const revised = await ledger.revise({ probabilities, rationale: 'Moved.' });
  expect(revised.statusCode, revised.body).toBe(201);
}

const changeState = (change: string, slug = SLUG) =>
  changeStateOf(ledger.pool, change, `slug = '${slug}'`);

/**
 * Changes the review reasons of the sample and of another outlook alternately, `count` times in all.
 * Commits in between, as the rows that one transaction leaves behind slow it down more and more.
 */
const changeOften = (count: number, reason = "'reason ' || i") =>
  ledger.pool.query(`do $$ begin
    -- Due already, which would be an event of its own.
    alter table outlooks disable trigger guard_outlook, disable trigger announce_state;
    update outlooks set review_reasons = '{due}' where review_reasons = '{}';
    alter table outlooks enable trigger announce_state;
    for i in 1..${count} loop
      update outlooks set review_reasons = array[${reason}]
       where slug = case i % 2 when 1 then '${SLUG}' else '${OTHER}' end;
      if i % 100 = 0 then commit; end if;
    end loop;
    alter table outlooks enable trigger guard_outlook;
  end $$`);

/** The time at which something was recorded, from its event. */
async function recordedAt(position: number): Promise<string> {
  const { rows } = await ledger.pool.query<{ at: Date }>(
    'select recorded_at as at from events where position = $1',
    [position],
  );
  return rows[0]?.at.toISOString() ?? '';
}

/** Waits until the service has received all events up to this one. */
const heard = async (position: number) => {
  await expect.poll(() => ledger.feed.position).toBe(position);
};

/** The positions of events, from their ids. */
const positionOf = (id: string) => Number(/^(\d+)(?:-[0-9a-f]{8})?$/.exec(id)?.[1]);
const idsOf = (events: readonly ReceivedEvent[]) => events.map(({ id }) => positionOf(id));
const upTo = (last: number, first = 1) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);
/** The text of a stream, with a heartbeat before and after a version whose bear case is this likely. The timers are fake. */
async function readText(path: string, lastEventId: string, bear: number): Promise<string> {
  const leaving = new AbortController();
  const headers = lastEventId === '' ? {} : { 'last-event-id': lastEventId };
  const { body } = await fetch(origin + path, { headers, signal: leaving.signal });
  let text = '';
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const bytes of body ?? []) text += decoder.decode(bytes, { stream: true });
  })().catch(() => {});
  await expect.poll(() => text).toContain('stream.opened');
  vi.advanceTimersByTime(15_000);
  await revise(bear);
  await expect.poll(() => text).toContain(`"probabilities":{"bear":${bear},`);
  vi.advanceTimersByTime(15_000);
  await expect.poll(() => text).toMatch(/\n\n: heartbeat\n$/);
  leaving.abort();
  await reading;
  return text;
}
/** Whether it ends before the service cuts off a client that does not read. */
const isFinished = async (work: Promise<unknown>) =>
  Promise.race([work.then(() => true), delay(20_000, false)]);

describe('a stream', () => {
  beforeEach(() => start());

  test('reports everything, in order', async () => {
    const client = await follow();
    await createOutlook(ledger, { slug: OTHER });
    ledger.clock.now = new Date('2026-11-20T16:31:00.000Z');
    const revised = await ledger.revise({
      probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
      rationale: 'Yields jumped.',
    });
    const patched = await patchFramework(ledger, { title: 'Reworded', rationale: 'Clearer.' });
    await changeState(`review_reasons = '{"Its horizon is over."}'`);
    await client.received(5);
    await changeState(`status = 'withdrawn'`);

    const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
    const change = { kind: 'probabilities', previousVersion: 1 };
    const stays = { bear: 0, base: 0, bull: 0 };
    expect(await client.received(6)).toEqual([
      {
        id: expect.stringMatching(/^2-[0-9a-f]{8}$/),
        event: 'outlook.created',
        data: {
          slug: OTHER,
          version: 1,
          publishedAt: '2026-11-20T16:00:00.000Z',
          change: { kind: 'created', previousVersion: null, deltas: null },
          probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
        },
      },
      {
        id: expect.stringMatching(/^3-[0-9a-f]{8}$/),
        event: 'outlook.version.published',
        data: {
          slug: SLUG,
          version: 2,
          publishedAt: '2026-11-20T16:31:00.000Z',
          change: { ...change, deltas: { bear: 0.05, base: -0.05, bull: 0 } },
          probabilities,
        },
      },
      {
        id: expect.stringMatching(/^4-[0-9a-f]{8}$/),
        event: 'outlook.version.published',
        data: {
          slug: SLUG,
          version: 3,
          publishedAt: '2026-11-20T16:31:00.000Z',
          change: { kind: 'framework', previousVersion: 2, deltas: stays },
          probabilities,
        },
      },
      {
        id: expect.stringMatching(/^5-[0-9a-f]{8}$/),
        event: 'outlook.state.changed',
        data: {
          slug: SLUG,
          version: 3,
          changedAt: await recordedAt(5),
          status: 'open',
          review: { due: true, reasons: ['Its horizon is over.'] },
        },
      },
      {
        id: expect.stringMatching(/^6-[0-9a-f]{8}$/),
        event: 'outlook.review.due',
        data: {
          slug: SLUG,
          version: 3,
          dueAt: await recordedAt(6),
          reasons: ['Its horizon is over.'],
        },
      },
      {
        id: expect.stringMatching(/^7-[0-9a-f]{8}$/),
        event: 'outlook.state.changed',
        data: {
          slug: SLUG,
          version: 3,
          changedAt: await recordedAt(7),
          status: 'withdrawn',
          review: { due: true, reasons: ['Its horizon is over.'] },
        },
      },
    ]);
    for (const [index, answer] of [revised, patched].entries()) {
      const { publishedAt, change, probabilities } = answer.json<Record<string, unknown>>();
      expect(client.events[index + 1]?.data).toMatchObject({ publishedAt, change, probabilities });
    }
  });

  test('reports evidence, conditions, due reviews and drawdowns', async () => {
    // Views show only to those with a key.
    const headers = { authorization: `Bearer ${ledger.keys.feed}` };
    const client = await follow(ONE, { headers });
    await fillLedger(ledger);
    const received = await client.received(11);
    const triggered =
      '"rate-relief" is triggered: us-30y-yield was 4.1 on 2026-11-18, below 4.25 for 3 observations in a row.';
    expect(received.map(({ event, data }) => [event, data])).toEqual([
      [
        'evidence.added',
        {
          slug: SLUG,
          version: 1,
          addedAt: '2026-11-20T16:00:00.000Z',
          evidence: {
            id: EVIDENCE_ID,
            headline: 'Yields jumped',
            publisher: 'A newswire',
            corrects: null,
          },
        },
      ],
      [
        'drawdown.label.changed',
        {
          slug: SLUG,
          version: 1,
          changedAt: '2026-11-20T16:00:00.000Z',
          drawdown: {
            label: 'correction',
            previous: null,
            depth: expect.closeTo(350 / 3000, 12),
            day: '2026-11-18',
          },
        },
      ],
      [
        'condition.triggered',
        {
          slug: SLUG,
          version: 1,
          changedAt: '2026-11-20T16:00:00.000Z',
          condition: {
            key: 'rate-relief',
            invalidates: 'bear',
            cause: 'observations',
            reason: triggered,
            day: '2026-11-18',
            observations: [{ series: 'us-30y-yield', date: '2026-11-18', value: 4.1 }],
          },
        },
      ],
      [
        'outlook.state.changed',
        expect.objectContaining({ review: { due: true, reasons: [triggered] } }),
      ],
      [
        'outlook.review.due',
        { slug: SLUG, version: 1, dueAt: expect.any(String), reasons: [triggered] },
      ],
      ['outlook.state.changed', expect.objectContaining({ review: { due: false, reasons: [] } })],
      ['outlook.version.published', expect.objectContaining({ version: 2 })],
      [
        'condition.cleared',
        expect.objectContaining({
          version: 2,
          condition: expect.objectContaining({ key: 'rate-relief', day: '2026-11-19' }),
        }),
      ],
      [
        'condition.expired',
        expect.objectContaining({
          condition: {
            key: 'orders-and-spending',
            invalidates: 'bear',
            cause: 'assessment',
            reason: 'analyst desk assessed "orders-and-spending" as expired.',
            day: null,
            observations: [],
          },
        }),
      ],
      [
        'view.published',
        {
          slug: SLUG,
          version: 2,
          recordedAt: '2026-11-20T16:00:00.000Z',
          view: {
            analyst: { id: ANALYST_ID, name: 'Another desk' },
            version: 1,
            probabilities: { bear: 0.4, base: 0.4, bull: 0.2 },
          },
        },
      ],
      [
        'view.published',
        expect.objectContaining({ view: expect.objectContaining({ version: 1 }) }),
      ],
    ]);
  });

  test('of one outlook reports no other', async () => {
    await createOutlook(ledger, { slug: OTHER });
    await heard(2); // a stream that opens before gets it
    const [one, other] = [await follow(ONE), await follow(`/v1/outlooks/${OTHER}/events`)];
    await patchFramework(ledger, { title: 'One', rationale: 'Clearer.' }, { slug: OTHER });
    await revise(0.2);
    await patchFramework(ledger, { title: 'Two', rationale: 'Clearer.' }, { slug: OTHER });
    await revise(0.3);
    await patchFramework(ledger, { title: 'Reworded', rationale: 'Clearer.' }, { slug: OTHER });
    await changeState(`status = 'void'`);
    await Promise.all([one.received(3), other.received(3)]);
    for (const [client, slug] of [
      [one, SLUG],
      [other, OTHER],
    ] as const) {
      expect(client.events.map(({ data }) => data)).toEqual(
        Array.from({ length: 3 }, () => expect.objectContaining({ slug })),
      );
    }
    expect([...idsOf(one.events), ...idsOf(other.events)].toSorted((a, b) => a - b)).toEqual(
      upTo(8, 3),
    );
  });

  test('of a missing outlook is a 404', async () => {
    const { statusCode } = await ledger.call({ url: '/v1/outlooks/nowhere/events' });
    expect(statusCode).toBe(404);
  });

  test('has headers that stop proxies from buffering it', async () => {
    for (const path of [ALL, ONE]) {
      const { headers } = (
        await follow(path, {
          headers: { origin: 'https://any.example', 'accept-encoding': 'br, gzip' },
        })
      ).response;
      expect(headers.get('content-type')).toBe('text/event-stream');
      expect(headers.get('cache-control')).toBe('no-store, no-transform');
      expect(headers.get('access-control-allow-origin')).toBe('*');
      expect(headers.get('x-accel-buffering')).toBe('no');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-request-id')).toMatch(/./);
      expect(headers.get('content-encoding')).toBeNull();
    }
  });

  test('has data in every block, with the id last', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      await createOutlook(ledger, { slug: OTHER });
      await heard(2);
      for (const [path, lastEventId, first, bear] of [
        [ALL, '', 'stream.opened', 0.1],
        [ONE, '1', 'stream.opened', 0.2],
        [ALL, '9-00000000', 'stream.reset', 0.3],
      ] as const) {
        const text = await readText(path, lastEventId, bear);
        // Some clients take every empty line for the end of a message, and drop an id without data.
        const blocks = text.split('\n\n');
        expect(blocks.pop()).toBe(': heartbeat\n');
        for (const block of blocks) {
          expect(block).toMatch(
            /^(?:retry: 1000\n|: heartbeat\n)*event: .+\ndata: \{.+\}\nid: \S+$/,
          );
        }
        expect(blocks[0]).toContain(`event: ${first}\n`);
        expect(blocks.join()).toContain(': heartbeat');
      }
    } finally {
      vi.useRealTimers();
    }
  });

  test('begins by saying where it starts, and whether it goes on after an id', async () => {
    await createOutlook(ledger, { slug: OTHER });
    await heard(2);
    for (const [lastEventId, data] of [
      ['', { position: 2, resumed: false }],
      ['0', { position: 0, resumed: true }],
      ['1', { position: 1, resumed: true }],
      ['9-00000000', { position: 2, resumed: false }],
    ] as const) {
      const client = await follow(ALL, { lastEventId });
      await expect.poll(() => client.openings).toHaveLength(1);
      const [opening] = client.openings;
      expect(opening).toMatchObject({ event: 'stream.opened', data });
      expect(positionOf(opening?.id ?? '')).toBe(data.position);
    }
  });

  test.each([ALL, ONE])('requested by HEAD is only its head: %s', async (path) => {
    const head = await fetch(origin + path, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    const { response } = await follow(path);
    const headersOf = ({ headers }: Response) =>
      ['content-type', 'cache-control', 'access-control-allow-origin'].map((name) =>
        headers.get(name),
      );
    expect(headersOf(head)).toEqual(headersOf(response));
    const unknown = await fetch(`${origin}${path}?lastEventId=no-id`, { method: 'HEAD' });
    expect(unknown.status).toBe(422);
  });

  test('of a page of another origin may be resumed', async () => {
    const { statusCode, headers } = await ledger.call({
      method: 'OPTIONS',
      url: ALL,
      headers: {
        origin: 'https://any.example',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'last-event-id',
      },
    });
    expect([statusCode, headers['access-control-allow-origin']]).toEqual([204, '*']);
    expect(String(headers['access-control-allow-headers']).split(', ')).toContain('Last-Event-ID');
  });

  test.each(['application/json', 'text/html', 'text/event-stream;q=0'])(
    'is not served as %s',
    async (accept) => {
      for (const url of [ALL, ONE]) {
        const refused = await ledger.call({ url, headers: { accept } });
        expect([url, refused.statusCode]).toEqual([url, 406]);
      }
    },
  );

  test.each(['text/event-stream', 'text/*', '*/*', 'application/json, text/event-stream;q=0.1'])(
    'is served to who accepts %s',
    async (accept) => {
      expect((await follow(ALL, { headers: { accept } })).response.status).toBe(200);
    },
  );
});

test.each([false, true])('no other read is a stream (read before: %s)', async (isKept) => {
  await start();
  const reads = [`/v1/outlooks/${SLUG}`, '/v1/outlooks', `/v1/outlooks/${SLUG}/probabilities`];
  for (const url of reads) {
    if (isKept) await ledger.call({ url });
    const refused = await ledger.call({ url, headers: { accept: 'text/event-stream' } });
    expect([url, refused.statusCode]).toEqual([url, 406]);
  }
});

describe('where a stream starts', () => {
  beforeEach(async () => {
    await start();
    await revise(0.2);
    await revise(0.4);
    await heard(3);
  });

  test.each([ALL, ONE])('without an id: with the next event (%s)', async (path) => {
    const client = await follow(path);
    await revise(0.1);
    await revise(0.2);
    expect(idsOf(await client.received(2))).toEqual([4, 5]);
  });

  test.each([ALL, ONE])(
    'its first bytes are an id, so who is cut off before an event misses none (%s)',
    async (path) => {
      const client = await follow(path);
      await expect.poll(() => positionOf(client.lastEventId)).toBe(3);
      await client.leave();
      await revise(0.1);
      await revise(0.2);
      await heard(5);
      await client.connect();
      expect(idsOf(await client.received(2))).toEqual([4, 5]);
    },
  );

  test.each([
    ['0', [1, 2, 3]],
    ['1', [2, 3]],
    ['2', [3]],
    ['3', []],
  ])('behind the event of the id %s, by header and by query', async (id, behind) => {
    for (const path of [ALL, ONE]) {
      await resume(id, path);
      await follow(`${path}?lastEventId=${id}`);
    }
    for (const client of clients)
      expect(idsOf(await client.received(behind.length))).toEqual(behind);
    await revise(0.1);
    for (const client of clients) {
      expect(idsOf(await client.received(behind.length + 1))).toEqual([...behind, 4]);
    }
  });

  test('the header goes before the query, as a browser that resumes sends both', async () => {
    const client = await resume('2', `${ALL}?lastEventId=0`);
    expect(idsOf(await client.received(1))).toEqual([3]);
  });

  test.each([
    '9'.repeat(40),
    '-1',
    '1.5',
    '1e0',
    '0x1',
    'abc',
    '%',
    '1,2',
    '3-',
    '3-5f0c91a',
    '3-5f0c91abc',
    '3-5F0C91AB',
    '3-5f0c91ax',
    '-5f0c91ab',
  ])('the text %s, which is no id, is refused', async (id) => {
    const query = `?lastEventId=${encodeURIComponent(id)}`;
    for (const url of [ALL, ONE]) {
      for (const [pointer, where, request] of [
        ['/Last-Event-ID', 'header', { url, headers: { 'last-event-id': id } }],
        [
          '/Last-Event-ID',
          'header',
          { url: `${url}?lastEventId=1`, headers: { 'last-event-id': id } },
        ],
        ['/lastEventId', 'query', { url: url + query }],
      ] as const) {
        const refused = await ledger.call(request);
        const problem = refused.json<{
          type: string;
          errors: { pointer: string; detail: string; in: string }[];
        }>();
        expect([refused.statusCode, problem.type]).toEqual([422, '/problems/unknown-event']);
        expect(refused.headers['content-type']).toBe('application/problem+json');
        expect(faultsOf(problem)).toEqual({
          [pointer]: expect.stringContaining('must be the id of an event'),
        });
        expect(problem.errors[0]?.in).toBe(where);
      }
    }
  });

  test('accepts an id from another instance that this one has not received yet', async () => {
    await ledger.feed.close();
    await changeState(`status = 'void'`);
    const client = await resume('4');
    await expect.poll(() => positionOf(client.lastEventId)).toBe(4);
    expect(client.events).toEqual([]);
  });
});

describe('if an address may have 2 streams', () => {
  beforeEach(() => start({ streamsPerAddress: 2 }));

  test('a third is refused until one is closed', async () => {
    const first = await follow(ALL);
    await follow(ONE);
    for (const url of [ALL, ONE, `${ALL}?lastEventId=0`]) {
      const refused = await ledger.call({ url });
      expect([refused.statusCode, refused.json().type]).toEqual([
        429,
        '/problems/too-many-streams',
      ]);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    }
    expect((await ledger.call({ url: '/v1/outlooks' })).statusCode).toBe(200);
    await first.leave();
    await expect.poll(() => follow()).toMatchObject({ response: { status: 200 } });
    expect((await ledger.call({ url: ALL })).statusCode).toBe(429);
  });

  test('refused and HEAD requests do not count', async () => {
    for (let round = 0; round < 3; round += 1) {
      await ledger.call({ url: `${ALL}?lastEventId=no-id` });
      await ledger.call({ url: '/v1/outlooks/nowhere/events' });
      await fetch(origin + ALL, { method: 'HEAD' });
    }
    for (const path of [ALL, ONE]) expect((await follow(path)).response.status).toBe(200);
    for (let round = 0; round < 3; round += 1) await ledger.call({ url: ALL });
    const [first] = clients;
    await first?.leave();
    await expect.poll(() => follow()).toMatchObject({ response: { status: 200 } });
  });
});

describe('if reads need a key', () => {
  afterEach(() => void vi.useRealTimers());

  test('so do streams', async () => {
    await start({ requireKeyForReads: true });
    for (const path of [ALL, ONE]) {
      expect((await ledger.call({ url: path })).statusCode).toBe(401);
      const headers = { authorization: 'Bearer olk_unknown' };
      expect((await ledger.call({ url: path, headers })).statusCode).toBe(401);
      for (const key of Object.values(ledger.keys)) {
        const client = await follow(path, { headers: { authorization: `Bearer ${key}` } });
        expect(client.response.headers.get('access-control-allow-origin')).toBeNull();
      }
    }
    await revise(0.2);
    for (const client of clients) expect(idsOf(await client.received(1))).toEqual([2]);
  });

  test('a stream ends within a quarter of a minute after its key was revoked', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    await start({ requireKeyForReads: true });
    const { analyst, feed } = ledger.keys;
    const client = await follow(ALL, { headers: { authorization: `Bearer ${feed}` } });
    const other = await follow(ALL, { headers: { authorization: `Bearer ${analyst}` } });
    await ledger.pool.query(`update api_keys set revoked_at = now() where role = 'feed'`);
    vi.advanceTimersByTime(15_000);
    expect(await isFinished(client.end)).toBe(true);
    expect(await client.end).toBe('ended');
    await revise(0.2);
    expect(idsOf(await other.received(1))).toEqual([2]);
  });
});

describe('if reads need a key that ends', () => {
  beforeEach(() => start({ requireKeyForReads: true }));

  const followAs = (key: string, path = ALL) =>
    follow(path, { headers: { authorization: `Bearer ${key}` } });
  const issueUntil = async (expiresAt: string) => {
    const payload = { name: 'Guest', role: 'analyst', expiresAt };
    const issued = await ledger.call({ method: 'POST', url: '/v1/keys', as: 'admin', payload });
    return issued.json<{ key: string }>().key;
  };

  test('its streams end at once, before the next event', async () => {
    const guest = await issueUntil('2026-11-20T17:00:00Z');
    const { analyst, admin, feed } = ledger.keys;
    const ending = [await followAs(feed), await followAs(feed, ONE), await followAs(guest)];
    const staying = [await followAs(analyst), await followAs(admin, ONE)];
    await revise(0.1);
    for (const client of [...ending, ...staying])
      expect(idsOf(await client.received(1))).toEqual([2]);
    await ledger.pool.query(`update api_keys set revoked_at = now() where role = 'feed'`);
    ledger.clock.now = new Date('2026-11-20T17:00:00Z');
    await revise(0.2);
    for (const client of staying) expect(idsOf(await client.received(2))).toEqual([2, 3]);
    for (const client of ending) {
      expect(await client.end).toBe('ended');
      expect(idsOf(client.events)).toEqual([2]);
    }
  });

  test('it is looked up once for many streams', async () => {
    const followed = Array.from({ length: 15 }, () => followAs(ledger.keys.analyst));
    const all = await Promise.all(followed);
    const query = vi.spyOn(ledger.pool, 'query');
    await revise(0.1);
    for (const client of all) expect(idsOf(await client.received(1))).toEqual([2]);
    const lookUps = query.mock.calls.filter(([statement]) => {
      const { name } = statement as unknown as { name?: string };
      return name === 'find-keys';
    });
    expect(lookUps.length).toBeLessThan(5); // the revision's is one of them
  });
});

test('events older than those in memory are all sent, while more happen', async () => {
  await start();
  await createOutlook(ledger, { slug: OTHER });
  await changeOften(4_600);
  await heard(4_602);
  const starts = [0, 1, 2, 700, 2_500, 2_602, 4_601, 4_602];
  const streams = await Promise.all([
    ...starts.map((id) => resume(String(id))),
    resume('0', ONE),
    resume('0', `/v1/outlooks/${OTHER}/events`),
  ]);
  await changeOften(400, "'later ' || i");
  const last = 5_002;

  for (const [index, position] of starts.entries()) {
    const received = await streams[index]?.received(last - position);
    expect(idsOf(received ?? [])).toEqual(upTo(last, position + 1));
  }
  const received = streams[0]?.events ?? [];
  expect(received.slice(2).map(({ data }) => data)).toMatchObject(
    upTo(5_000).map((turn) => ({
      slug: turn % 2 === 1 ? SLUG : OTHER,
      review: { due: true, reasons: [turn <= 4_600 ? `reason ${turn}` : `later ${turn - 4_600}`] },
    })),
  );
  for (const [index, slug] of [SLUG, OTHER].entries()) {
    const one = await streams[starts.length + index]?.received(2_501);
    expect(one).toEqual(received.filter(({ data }) => (data as { slug: string }).slug === slug));
  }
});

describe('clients that do not read', () => {
  const DRAIN_WITHIN = 700;
  const EVENTS = 2_000;
  const SIZE = 8_000;
  const SLOW = 3;

  let server: Server;
  let streams: EventStreams;
  let followed: ServerResponse[];
  let cutOff: number;
  beforeEach(async () => {
    await start();
    await createOutlook(ledger, { slug: OTHER });
    followed = [];
    cutOff = 0;
    const { pool, feed } = ledger;
    streams = new EventStreams({ pool, feed, maxPerAddress: 100, drainWithin: DRAIN_WITHIN });
    server = createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      followed.push(response);
      const last = parseEventId(String(request.headers['last-event-id'] ?? 0)) ?? START;
      const following = streams.follow(response, {
        slug: null,
        audience: PUBLIC_AUDIENCE,
        start: { last, shown: last, isResumed: true, lostId: null, resets: 0 },
        isAllowed: async () => true,
      });
      following.catch(() => (cutOff += 1));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  afterEach(async () => {
    streams.close();
    const closed = once(server.close(), 'close');
    server.closeAllConnections();
    await closed;
  });

  const address = () => server.address() as AddressInfo;

  /** Requests a stream and reads nothing of it. By HTTP/1.0, which has no chunks. */
  async function ask(): Promise<Socket> {
    const socket = connectSocket(address().port, '127.0.0.1').pause();
    await once(socket, 'connect');
    socket.write('GET / HTTP/1.0\r\nHost: localhost\r\n\r\n');
    return socket;
  }

  /** The part of the response that is still in the network. */
  async function readAll(socket: Socket): Promise<EventReader> {
    const pieces: Buffer[] = [];
    socket.on('data', (piece) => void pieces.push(piece)).on('error', () => {});
    await once(socket.resume(), 'close');
    const text = Buffer.concat(pieces).toString();
    const reader = new EventReader();
    reader.feed(text.slice(text.indexOf('\r\n\r\n') + 4));
    return reader;
  }

  test('are cut off, cost no more than a batch, and delay nobody', async () => {
    const sockets = await Promise.all(Array.from({ length: SLOW }, ask));
    await expect.poll(() => streams.size).toBe(SLOW);
    const reading = await connect(`http://127.0.0.1:${address().port}`, { lastEventId: '0' });
    clients.push(reading);

    let waiting = 0;
    const measure = setInterval(() => {
      const most = followed.map(({ writableLength }) => writableLength);
      waiting = Math.max(waiting, ...most);
    }, 5);
    await changeOften(EVENTS, `repeat(chr(97 + i % 26), ${SIZE})`);
    const received = await reading.received(EVENTS + 2);
    await expect.poll(() => cutOff).toBe(SLOW);
    clearInterval(measure);

    expect(idsOf(received)).toEqual(upTo(EVENTS + 2));
    expect(streams.size).toBe(1);
    // Otherwise the network buffered everything, and no client was slow.
    expect(waiting).toBeGreaterThan(SIZE);
    expect(waiting).toBeLessThan(200 * (SIZE + 1_000));

    for (const socket of sockets) {
      const { events, lastEventId } = await readAll(socket);
      expect(idsOf(events)).toEqual(upTo(positionOf(lastEventId)));
      expect(events.length).toBeLessThan(EVENTS);
      const resumed = await connect(reading.response.url, { lastEventId });
      clients.push(resumed);
      const rest = await resumed.received(EVENTS + 2 - events.length);
      expect([...idsOf(events), ...idsOf(rest)]).toEqual(upTo(EVENTS + 2));
    }
  });

  test('and have little waiting do not delay a shutdown', async () => {
    const socket = await ask();
    await expect.poll(() => followed.length).toBe(1);
    const [response] = followed;
    const waiting = () => response?.writableLength ?? 0;
    for (let turn = 0; turn < 20_000 && waiting() === 0; turn += 1) {
      response?.write(`:${'.'.repeat(2_000)}\n`);
      await delay(turn % 50 === 0 ? 5 : 0); // so that the network can take the data
    }
    expect(waiting()).toBeGreaterThan(0);
    expect(response?.writableNeedDrain).toBe(false);
    const closed = once(response ?? server, 'close');
    streams.close();
    expect(await isFinished(closed)).toBe(true);
    socket.destroy();
  });
});

describe('closing the service', () => {
  beforeEach(() => start());

  const closes = (app: FastifyInstance) => isFinished(app.close());

  test('ends streams in order, at once', async () => {
    const open = [await follow(), await follow(ONE), await resume('0')];
    await revise(0.2);
    for (const client of open) await client.received(1);
    expect(await closes(ledger.app)).toBe(true);
    for (const client of open) expect(await client.end).toBe('ended');
  });

  test('waits for no client that does not read', async () => {
    await createOutlook(ledger, { slug: OTHER });
    await changeOften(2_000, 'repeat(chr(97 + i % 26), 6000)');
    let isWaiting = () => false;
    ledger.app.server.once('request', (_, response) => {
      isWaiting = () => response.writableNeedDrain;
    });
    const { hostname, port } = new URL(origin);
    const socket = connectSocket(Number(port), hostname).pause();
    socket.write(`GET ${ALL}?lastEventId=0 HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    // What it waits for may only have been on its way.
    const isStuck = async () => isWaiting() && (await delay(200)) === undefined && isWaiting();
    await expect.poll(isStuck).toBe(true);
    expect(await closes(ledger.app)).toBe(true);
    socket.destroy();
  });

  test('waits for no stream that starts meanwhile', async () => {
    const held = await holdOutlooks(ledger);
    const starting = follow(ONE).catch(() => null);
    await expect.poll(held.waiting).toBe(1);
    const closing = closes(ledger.app);
    await delay(100);
    await held.release();
    expect(await closing).toBe(true);
    expect(await (await starting)?.end).not.toBe('left');
  });
});
