import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { connect, type EventClient } from '../support/event-client.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
let url: string;
let keys: { ada: string; ben: string; cay: string };
const clients: EventClient[] = [];
beforeAll(async () => {
  ledger = await startLedger();
  const { pool, clock } = ledger;
  await pool.query(
    `insert into desks (slug, name, created_at) values ('rates', 'Rates desk', '2026-11-20')`,
  );
  const issue = async (name: string, desk: string) => {
    const request = { name, role: 'analyst', expiresAt: null, desks: [desk] } as const;
    return (await issueKey(pool, request, clock.now)).key;
  };
  keys = {
    ada: await issue('Ada', 'main'),
    ben: await issue('Ben', 'main'),
    cay: await issue('Cay', 'rates'),
  };
  url = `${await ledger.app.listen({ host: '127.0.0.1', port: 0 })}/v1/inbox/events`;
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.leave()));
  await ledger.close();
});

async function follow(key: string, lastEventId = ''): Promise<EventClient> {
  const headers = { authorization: `Bearer ${key}` };
  const client = await connect(url, { headers, lastEventId });
  clients.push(client);
  return client;
}

async function act(key: string, path: string, body: object): Promise<{ id: string }> {
  const response = await ledger.call({
    method: 'POST',
    url: `/v1/proposals${path}`,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    payload: JSON.stringify(body),
  });
  if (response.statusCode >= 300) throw new Error(response.body);
  return response.json<{ id: string }>();
}

const propose = () =>
  act(keys.ada, '', {
    kind: 'withdrawal',
    outlook: SLUG,
    body: { rationale: 'The case is closed.' },
    submit: true,
  });
const kindsOf = ({ events }: EventClient) => events.map(({ event }) => event);

test('a stream has the events of the desk of its key, and resumes after any of them', async () => {
  const [ben, cay] = [await follow(keys.ben), await follow(keys.cay)];
  const { id } = await propose();
  await ben.received(2);
  await act(keys.ben, `/${id}/return`, { draft: 1, reason: 'Is it?' });
  await ben.received(3);
  expect(kindsOf(ben)).toEqual(['proposal.opened', 'proposal.submitted', 'proposal.returned']);
  expect(ben.events.at(-1)?.data).toMatchObject({
    proposal: id,
    desk: 'main',
    outlook: SLUG,
    state: 'returned',
    by: { name: 'Ben' },
    text: 'Is it?',
  });
  const later = await follow(keys.ada, ben.events[0]?.id);
  await later.received(2);
  expect(later.events).toEqual(ben.events.slice(1));
  expect(later.openings[0]?.data).toMatchObject({ resumed: true });
  expect(cay.events).toEqual([]);
});

test('an id that the ledger does not have gets stream.reset', async () => {
  const client = await follow(keys.ben, '1-00000000');
  await client.received(1);
  expect(client.events[0]).toMatchObject({
    event: 'stream.reset',
    data: { lastEventId: '1-00000000' },
  });
});

test('a stream needs a key, and ends before the first event after it is revoked', async () => {
  expect((await fetch(url)).status).toBe(401);
  const [ben, ada] = [await follow(keys.ben), await follow(keys.ada)];
  await ledger.pool.query(
    `update api_keys set revoked_at = now() where analyst_id = (select id from analysts where name = 'Ben')`,
  );
  await propose();
  await ada.received(2);
  expect(await ben.end).toBe('ended');
  expect(ben.events).toEqual([]);
});
