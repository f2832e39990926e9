import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
const desks: Record<string, string> = {};
beforeAll(async () => {
  ledger = await startLedger();
  for (const name of ['Ada', 'Ben']) {
    const body = { name, role: 'analyst' };
    const issued = await send(ledger, 'POST', '/v1/keys', body, { as: 'admin' });
    desks[name] = issued.json<{ key: string }>().key;
  }
});
afterAll(() => ledger.close());

let count = 0;
let base = '';
beforeEach(() => create());

async function create(): Promise<void> {
  count += 1;
  base = `/v1/outlooks/case-${count}`;
  ledger.clock.now = new Date('2026-11-20T16:00:00.000Z');
  const created = await createOutlook(ledger, {
    slug: `case-${count}`,
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
  });
  expect(created.statusCode, created.body).toBe(201);
}

const by = (name: string) => ({ authorization: `Bearer ${desks[name]}` });
const hold = (name: string, bear: number, base_: number, bull: number, rationale = 'R') =>
  ledger.call({
    method: 'PUT',
    url: `${base}/views/me`,
    headers: { ...by(name), 'content-type': 'application/json' },
    payload: JSON.stringify({ probabilities: { bear, base: base_, bull }, rationale }),
  });
const withdraw = (name: string) =>
  ledger.call({ method: 'DELETE', url: `${base}/views/me`, headers: by(name) });
const get = (path: string, headers = {}) =>
  ledger.call({ url: `${base}${path}`, as: 'feed', headers });
const publish = (body: object) =>
  send(ledger, 'POST', `${base}/consensus`, { rationale: 'R', ...body });
const later = (days: number) =>
  void (ledger.clock.now = new Date(ledger.clock.now.getTime() + days * 86_400_000));

type View = { analyst: { id: string; name: string }; version: number; kind: string };
const namesOf = (views: readonly View[]) => views.map(({ analyst }) => analyst.name);
const listed = async () => namesOf((await get('/views')).json<{ items: View[] }>().items);
async function pooled(query = ''): Promise<string[]> {
  const answer = await get(`/consensus${query}`);
  expect(answer.statusCode, answer.body).toBe(200);
  return namesOf(answer.json<{ views: View[] }>().views);
}

describe('a withdrawn view', () => {
  test('leaves the list and the consensus from then on, and the record never', async () => {
    const held = (await hold('Ada', 0.4, 0.4, 0.2)).json<View>();
    await hold('Ben', 0.2, 0.6, 0.2);
    expect([await listed(), await pooled()].map((names) => names.toSorted())).toEqual([
      ['Ada', 'Ben'],
      ['Ada', 'Ben'],
    ]);
    const before = ledger.clock.now.toISOString();
    later(1);
    const answer = await withdraw('Ada');
    expect([answer.statusCode, answer.json()]).toEqual([
      200,
      {
        analyst: held.analyst,
        version: 2,
        kind: 'withdrawn',
        recordedAt: '2026-11-21T16:00:00.000Z',
        probabilities: { bear: 0.4, base: 0.4, bull: 0.2 },
        rationale: null,
      },
    ]);
    expect([await listed(), await pooled()]).toEqual([['Ben'], ['Ben']]);
    expect((await pooled(`?asOf=${before}`)).toSorted()).toEqual(['Ada', 'Ben']);
    expect((await get('/views/me', by('Ada'))).json()).toEqual(answer.json());
    const history = await get(`/views/${held.analyst.id}`);
    expect(history.json<{ items: View[] }>().items).toEqual([answer.json(), held]);
  });

  test('that was the only one leaves no consensus', async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    await withdraw('Ada');
    expect((await get('/consensus')).json()).toMatchObject({ type: '/problems/no-views' });
    expect((await publish({})).json()).toMatchObject({ type: '/problems/no-views' });
  });

  test('is withdrawn once, however often it is asked for', async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    const [first, ...rest] = await Promise.all(Array.from({ length: 6 }, () => withdraw('Ada')));
    later(1);
    for (const again of [...rest, await withdraw('Ada')]) {
      expect([again.statusCode, again.body]).toEqual([200, first?.body]);
    }
    const { rows } = await ledger.pool.query(
      `select kind, data - 'probabilities' as data from events e join outlooks o on o.id = e.outlook_id
        where o.slug = $1 and kind like 'view.%' order by e.id`,
      [`case-${count}`],
    );
    const analyst = { id: expect.any(String), name: 'Ada' };
    expect(rows).toEqual([
      { kind: 'view.published', data: { analyst, version: 1 } },
      { kind: 'view.withdrawn', data: { analyst, version: 2 } },
    ]);
  });

  test('is held again with the next view, even the same one', async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    await withdraw('Ada');
    const again = await hold('Ada', 0.4, 0.4, 0.2);
    expect([again.statusCode, again.json()]).toMatchObject([200, { version: 3, kind: 'held' }]);
    expect([await listed(), await pooled()]).toEqual([['Ada'], ['Ada']]);
    expect((await withdraw('Ada')).json()).toMatchObject({ version: 4, kind: 'withdrawn' });
  });

  test('has to have been held', async () => {
    const before = await stored(ledger);
    expect((await withdraw('Ada')).json()).toMatchObject({
      status: 404,
      detail: expect.stringContaining('has no view'),
    });
    expect(await stored(ledger)).toEqual(before);
    base = '/v1/outlooks/nowhere';
    expect((await withdraw('Ada')).statusCode).toBe(404);
  });

  test('of a closed outlook stays held', async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    await send(ledger, 'POST', `${base}/resolution`, { outcome: 'void', reason: 'R' });
    expect((await withdraw('Ada')).json()).toMatchObject({
      type: '/problems/outlook-closed',
      status: 409,
    });
    expect(await listed()).toEqual(['Ada']);
  });

  test('stays as it is once the horizon is over', async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    await hold('Ben', 0.2, 0.6, 0.2);
    const left = await withdraw('Ben');
    ledger.clock.now = new Date('2027-03-31T00:00:00.000Z');
    expect((await withdraw('Ada')).json()).toMatchObject({
      type: '/problems/horizon-ended',
      status: 409,
    });
    expect(await listed()).toEqual(['Ada']);
    const again = await withdraw('Ben');
    expect([again.statusCode, again.body]).toEqual([200, left.body]);
  });

  test('is recorded in the audit trail', async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    await withdraw('Ada');
    const { rows } = await ledger.pool.query(
      'select method, path, status from audit_entries order by id desc limit 1',
    );
    expect(rows).toEqual([{ method: 'DELETE', path: `${base}/views/me`, status: 200 }]);
  });
});

describe('maxAge', () => {
  const month = 30;
  beforeEach(async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    later(20);
    await hold('Ben', 0.2, 0.6, 0.2);
  });

  test('leaves out views that are older, and says so', async () => {
    later(10);
    expect((await pooled(`?maxAge=${month}`)).toSorted()).toEqual(['Ada', 'Ben']);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 1);
    // A URL of its own each time, because a cache follows the real clock.
    expect(await pooled(`?maxAge=${month}&method=linear`)).toEqual(['Ben']);
    expect((await pooled()).toSorted()).toEqual(['Ada', 'Ben']);
    const answer = await get('/consensus?maxAge=29');
    expect(answer.json()).toMatchObject({ maxAge: 29, probabilities: { bear: 0.2 } });
    expect((await get('/consensus?maxAge=1')).json()).toMatchObject({
      type: '/problems/no-views',
      status: 409,
      detail: expect.stringContaining('that is at most 1 day old'),
    });
  });

  test('counts from the time that is asked for', async () => {
    const then = ledger.clock.now.toISOString();
    later(100);
    expect((await pooled(`?maxAge=20&asOf=${then}`)).toSorted()).toEqual(['Ada', 'Ben']);
    expect(await pooled(`?maxAge=19&asOf=${then}`)).toEqual(['Ben']);
  });

  test('is recorded with the version that publishes such a consensus', async () => {
    const published = await publish({ maxAge: 19 });
    const consensus = { maxAge: 19, views: [{ analyst: { name: 'Ben' }, weight: 1 }] };
    expect(published.json()).toMatchObject({ probabilities: { bear: 0.2 }, consensus });
    const again = await publish({});
    expect(again.json()).toMatchObject({ consensus: { maxAge: null } });
    expect((await get('/versions/2')).json()).toMatchObject({ consensus });
  });

  test.each(['0', '-1', '1.5', '3661', 'x', '01', ''])('of %j is refused', async (text) => {
    const answer = await get(`/consensus?maxAge=${text}`);
    expect(answer.statusCode).toBe(422);
    expect(faultsOf(answer.json())).toEqual({
      '/maxAge': 'must be a whole number of days in 1–3660',
    });
    const sent = Number(text);
    if (text === '' || Number.isNaN(sent) || text === '01') return;
    expect(faultsOf((await publish({ maxAge: sent })).json())).toEqual({
      '/maxAge': 'must be a whole number of days in 1–3660',
    });
  });
});
