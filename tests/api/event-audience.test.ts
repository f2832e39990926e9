import { EventEmitter } from 'node:events';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EventStreams } from '../../src/api/event-streams.ts';
import { type Audience, PUBLIC_AUDIENCE } from '../../src/domain/desks.ts';
import { eventIdOf, type EventRef } from '../../src/domain/events.ts';
import { newestEvent, readEventRef, readEvents } from '../../src/postgres/outbox.ts';
import { addDesk, disclose, keyFor, publishFor, sendWith } from '../support/desks.ts';
import { connect, type EventClient } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { openSession } from '../support/plain-sql.ts';

let ledger: TestLedger;
let origin: string;
let rates = '';
let credit = '';
let clients: EventClient[] = [];
beforeAll(async () => {
  ledger = await startLedger();
  origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  for (const desk of ['rates', 'credit']) await addDesk(ledger, desk);
  rates = await keyFor(ledger, ['rates']);
  credit = await keyFor(ledger, ['credit']);
  await publishInternally('hidden-case');
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.leave()));
  clients = [];
});
afterAll(() => ledger.close());

const publishInternally = (slug: string) =>
  publishFor(ledger, rates, { slug, desk: 'rates', visibility: 'internal' });

const follow = async (key: string | null, lastEventId = '', path = '/v1/events') => {
  const headers = key === null ? {} : { authorization: `Bearer ${key}` };
  const client = await connect(origin + path, { lastEventId, headers });
  clients.push(client);
  await expect.poll(() => client.openings.length).toBe(1);
  return client;
};

async function revise(slug: string, key: string, bear: number): Promise<void> {
  const probabilities = { bear, base: Number((0.75 - bear).toFixed(2)), bull: 0.25 };
  const body = { probabilities, rationale: 'Moved.' };
  const url = `/v1/outlooks/${slug}/revisions`;
  await sendWith(ledger, key, { method: 'POST', url, body, status: 201 });
}

async function holdView(slug: string, key: string, bear: number): Promise<void> {
  const probabilities = { bear, base: Number((0.75 - bear).toFixed(2)), bull: 0.25 };
  const body = { probabilities, rationale: 'Mine.' };
  const url = `/v1/outlooks/${slug}/views/me`;
  await sendWith(ledger, key, { method: 'PUT', url, body });
}

/** Ends what a test waits for: everyone sees it. */
async function revisePublicly(bear: number): Promise<number> {
  await revise(SLUG, ledger.keys.analyst, bear);
  return (await newestEvent(ledger.servicePool)).position;
}

const seen = (client: EventClient) =>
  client.events.map(({ event, data }) => `${event} ${(data as { slug: string }).slug}`);
const positionsOf = (client: EventClient) => client.events.map(({ id }) => Number.parseInt(id, 10));

test('each caller gets the events that it may see', async () => {
  const reader = await follow(null);
  const own = await follow(rates);
  const other = await follow(credit);
  const all = await follow(ledger.keys.admin);
  await revise('hidden-case', rates, 0.35);
  await holdView(SLUG, ledger.keys.analyst, 0.3);
  await revisePublicly(0.36);
  const [hidden, view, shown] = [
    'outlook.version.published hidden-case',
    `view.published ${SLUG}`,
    `outlook.version.published ${SLUG}`,
  ];
  for (const client of [own, all]) await client.received(3);
  await other.received(2);
  await reader.received(1);
  expect(seen(own)).toEqual([hidden, view, shown]);
  expect(seen(all)).toEqual([hidden, view, shown]);
  expect(seen(other)).toEqual([view, shown]);
  expect(seen(reader)).toEqual([shown]);
});

test('resuming, from memory and from Postgres, repeats and shows the same', async () => {
  const every = await readEvents(ledger.servicePool, { from: 1, limit: 1_000, slug: null });
  const shown = every.filter(
    ({ internalTo, kind }) => internalTo === null && !kind.startsWith('view.'),
  );
  expect(shown.length).toBeLessThan(every.length);
  const fromMemory = await follow(null, '0');
  await fromMemory.received(shown.length);
  expect(positionsOf(fromMemory)).toEqual(shown.map(({ position }) => position));

  // Streams that have heard no event yet: all are read from Postgres.
  const streams = new EventStreams({
    pool: ledger.servicePool,
    feed: ledger.feed,
    maxPerAddress: 1,
  });
  const audiences: [Audience, number][] = [
    [PUBLIC_AUDIENCE, shown.length],
    [{ hasKey: true, desks: [] }, every.filter(({ internalTo }) => internalTo === null).length],
    [{ hasKey: true, desks: 'all' }, every.length],
  ];
  for (const [audience, count] of audiences) {
    expect(await storedEventsOf(streams, audience, count)).toHaveLength(count);
  }
  streams.close();
});

/** The ids of the stored events that a stream from the start writes to an audience. */
async function storedEventsOf(streams: EventStreams, audience: Audience, count: number) {
  let text = '';
  const response = Object.assign(new EventEmitter(), {
    writableEnded: false,
    writableNeedDrain: false,
    write: (more: string) => ((text += more), true),
    end: () => {
      response.writableEnded = true;
      response.emit('close');
    },
    destroy: () => {},
  });
  const start: EventRef = { position: 0, digest: '' };
  const following = streams.follow(response as never, {
    slug: null,
    audience,
    start: { last: start, shown: start, isResumed: true, lostId: null, resets: ledger.feed.resets },
    isAllowed: async () => true,
  });
  const ids = () => [...text.matchAll(/^id: (\d+-\w+)$/gm)].map(([, id]) => id);
  await expect.poll(ids).toHaveLength(count);
  response.end();
  await following;
  return ids();
}

test('no id that a stream sends belongs to an event that its reader may not see', async () => {
  await holdView(SLUG, ledger.keys.analyst, 0.4);
  await revise('hidden-case', rates, 0.2);
  const newest = await newestEvent(ledger.servicePool);
  const { rows } = await ledger.pool.query<{ position: number }>(
    `select max(e.position) as position from events e join outlooks o on o.id = e.outlook_id
      where o.internal_to is null and e.kind not like 'view.%'`,
  );
  const position = rows[0]?.position ?? 0;
  const reader = await follow(null);
  const own = await follow(rates);
  const shown = await readEventRef(ledger.servicePool, position);
  expect(reader.openings).toMatchObject([
    { data: { position, resumed: false }, id: shown && eventIdOf(shown) },
  ]);
  expect(own.openings).toMatchObject([
    { data: { position: newest.position }, id: eventIdOf(newest) },
  ]);
  // It goes on from there, and repeats nothing.
  const last = await revisePublicly(0.34);
  expect((await reader.received(1)).map(({ id }) => Number.parseInt(id, 10))).toEqual([last]);
});

test('an export starts at an event that its reader may see', async () => {
  await holdView(SLUG, ledger.keys.analyst, 0.41);
  await revise('hidden-case', rates, 0.21);
  const newest = await newestEvent(ledger.servicePool);
  for (const key of [null, credit, rates]) {
    const { body } = await sendWith(ledger, key, { url: '/v1/export', status: 200 });
    const { position } = JSON.parse(body.slice(0, body.indexOf('\n'))) as { position: string };
    expect(position).toBe((await follow(key)).openings[0]?.id);
    expect(position === eventIdOf(newest)).toBe(key === rates);
  }
});

test('an id does not tell what a hidden event says: right or wrong, it is unknown', async () => {
  await revise('hidden-case', rates, 0.25);
  const hidden = await newestEvent(ledger.servicePool);
  const right = eventIdOf(hidden);
  const wrong = `${hidden.position}-00000000`;
  const without = async (id: string) => {
    const client = await follow(null, id);
    await client.received(1);
    return { events: client.events, openings: client.openings, id };
  };
  const answers = [await without(right), await without(wrong)];
  for (const { events, openings, id } of answers) {
    expect(events).toMatchObject([{ event: 'stream.reset', data: { lastEventId: id } }]);
    expect(JSON.stringify(openings)).not.toContain(right);
  }
  expect(answers[0]?.openings).toEqual(answers[1]?.openings);
  // The id of an earlier release, without a digest, is a position only; what follows is shown.
  const old = await follow(null, String(hidden.position));
  const position = await revisePublicly(0.37);
  await old.received(1);
  expect(old.openings).toMatchObject([
    { id: String(hidden.position), data: { position: hidden.position, resumed: true } },
  ]);
  expect(positionsOf(old)).toEqual([position]);
  const resumed = await follow(rates, right);
  expect(resumed.openings).toMatchObject([{ id: right, data: { resumed: true } }]);
});

test('a disclosure is heard by everyone, and opens the events before it', async () => {
  await publishInternally('opened-case');
  await revise('opened-case', rates, 0.2);
  const reader = await follow(null);
  const other = await follow(credit);
  await disclose(ledger, rates, '/v1/outlooks/opened-case');
  for (const client of [reader, other]) {
    await client.received(1);
    expect(seen(client)).toEqual(['outlook.disclosed opened-case']);
  }
  const own = await follow(null, '0', '/v1/outlooks/opened-case/events');
  await own.received(3);
  expect(seen(own)).toEqual([
    'outlook.created opened-case',
    'outlook.version.published opened-case',
    'outlook.disclosed opened-case',
  ]);
  const from = own.events[0]?.id ?? '';
  const again = await follow(null, from);
  await again.received(2);
  expect(seen(again).slice(0, 2)).toEqual([
    'outlook.version.published opened-case',
    'outlook.disclosed opened-case',
  ]);
});

test('the stream of an internal outlook is for those who see it, views only for keys', async () => {
  const path = '/v1/outlooks/hidden-case/events';
  await expect(follow(null, '', path)).rejects.toThrow('404');
  await expect(follow(credit, '', path)).rejects.toThrow('404');
  const own = await follow(rates, '0', path);
  await own.received(1);
  expect(seen(own)[0]).toBe('outlook.created hidden-case');
  const reader = await follow(null, '', `/v1/outlooks/${SLUG}/events`);
  await holdView(SLUG, ledger.keys.analyst, 0.31);
  await revisePublicly(0.38);
  await reader.received(1);
  expect(seen(reader)).toEqual([`outlook.version.published ${SLUG}`]);
});

test('feeds have no entry of what the reader may not see', async () => {
  for (const path of ['/v1/feed.atom', '/v1/feed.json']) {
    expect((await sendWith(ledger, null, { url: path, status: 200 })).body).not.toContain(
      'hidden-case',
    );
    expect((await sendWith(ledger, credit, { url: path, status: 200 })).body).not.toContain(
      'hidden-case',
    );
    expect((await sendWith(ledger, rates, { url: path, status: 200 })).body).toContain(
      'hidden-case',
    );
  }
});

test('the events of proposals are for the analysts of their desk', async () => {
  const feed = await keyFor(ledger, ['rates'], { role: 'feed' });
  const [own, ...others] = [
    await follow(rates, '', '/v1/inbox/events'),
    await follow(feed, '', '/v1/inbox/events'),
    await follow(credit, '', '/v1/inbox/events'),
  ];
  const body = { kind: 'withdrawal', outlook: 'hidden-case', body: {}, note: 'Not before Monday.' };
  // The second is looked for after all have read the first.
  for (const count of [1, 2]) {
    await sendWith(ledger, rates, { method: 'POST', url: '/v1/proposals', body, status: 201 });
    expect((await own.received(count)).at(-1)).toMatchObject({ event: 'proposal.opened' });
  }
  expect(others.flatMap(({ events }) => events)).toEqual([]);
});

test('a long run of hidden events costs one look', async () => {
  const writer = await openSession(ledger.url);
  await writer.query('set session_replication_role = replica');
  await writer.query(
    `insert into events (kind, outlook_id, version, data, recorded_at)
     select 'evidence.added', (select id from outlooks where slug = 'hidden-case'), 1, '{}', now()
       from generate_series(1, 3000)`,
  );
  await writer.end();
  const before = await newestEvent(ledger.servicePool);
  await expect.poll(() => ledger.feed.position).toBeGreaterThan(before.position - 1);
  const first = await follow(null);
  const second = await follow(null);
  expect(first.openings).toEqual(second.openings);
  const position = await revisePublicly(0.39);
  await first.received(1);
  expect(positionsOf(first)).toEqual([position]);
});
