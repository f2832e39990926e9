import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, send, stored, withOneRecord } from '../support/requests.ts';

let ledger: TestLedger;
const desks: Record<string, string> = {};
beforeAll(async () => {
  ledger = await startLedger();
  for (const name of ['Ada', 'Ben', 'Cleo']) {
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
    invalidationConditions: [{ key: 'watched', invalidates: 'bear', statement: 'S' }],
  });
  expect(created.statusCode, created.body).toBe(201);
}

const by = (name: string) => ({ authorization: `Bearer ${desks[name]}` });
const json = { 'content-type': 'application/json' };
const put = (name: string, body: unknown) =>
  ledger.call({
    method: 'PUT',
    url: `${base}/views/me`,
    headers: { ...by(name), ...json },
    payload: JSON.stringify(body),
  });
const hold = async (name: string, bear: number, base_: number, bull: number, rationale = 'R') => {
  const answer = await put(name, { probabilities: { bear, base: base_, bull }, rationale });
  expect([200, 201], answer.body).toContain(answer.statusCode);
  return answer;
};
const get = (path: string, headers = {}) =>
  ledger.call({ url: `${base}${path}`, as: 'feed', headers });
const later = (days: number) =>
  void (ledger.clock.now = new Date(ledger.clock.now.getTime() + days * 86_400_000));
const near = (value: number) => expect.closeTo(value, 12);

type View = { analyst: { id: string; name: string }; version: number; probabilities: object };
type Consensus = {
  probabilities: Record<string, number>;
  exact: Record<string, number>;
  views: (View & { weight: number; distance: number })[];
};
async function consensus(query = ''): Promise<Consensus> {
  const answer = await get(`/consensus${query}`);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Consensus>();
}
const weights = ({ views }: Consensus) =>
  Object.fromEntries(views.map(({ analyst, weight }) => [analyst.name, weight]));

describe('a view', () => {
  test('belongs to the analyst of the key, and anyone with a key may read it', async () => {
    const first = await hold('Ada', 0.4, 0.4, 0.2, 'Refinancing.');
    expect(first.statusCode).toBe(201);
    const view = first.json<View>();
    expect(view).toEqual({
      analyst: { id: expect.any(String), name: 'Ada' },
      version: 1,
      kind: 'held',
      recordedAt: '2026-11-20T16:00:00.000Z',
      probabilities: { bear: 0.4, base: 0.4, bull: 0.2 },
      rationale: 'Refinancing.',
    });
    expect(first.headers.location).toBe(`${base}/views/${view.analyst.id}`);
    const own = await get('/views/me', by('Ada'));
    expect([own.body, own.headers.etag]).toEqual([first.body, first.headers.etag]);
    expect((await get('/views')).json()).toEqual({ items: [view], nextCursor: null });
    expect((await get(`/views/${view.analyst.id}`)).json()).toEqual({
      items: [view],
      nextCursor: null,
    });
    expect((await get('/views/me', by('Ben'))).statusCode).toBe(404);
  });

  test('has versions, and all stay', async () => {
    const first = (await hold('Ada', 0.4, 0.4, 0.2)).json<View>();
    const second = await hold('Ada', 0.5, 0.3, 0.2);
    expect([second.statusCode, second.json<View>().version]).toEqual([200, 2]);
    const url = `/views/${first.analyst.id}`;
    const page = (await get(`${url}?limit=1`)).json<{ items: View[]; nextCursor: string }>();
    expect(page.items).toEqual([second.json()]);
    const rest = (await get(`${url}?limit=1&cursor=${page.nextCursor}`)).json();
    expect(rest).toEqual({ items: [first], nextCursor: null });
    expect((await get('/views')).json<{ items: View[] }>().items).toEqual([second.json()]);
  });

  test('that is sent again is the same version', async () => {
    const first = await hold('Ada', 0.4, 0.4, 0.2);
    const before = await stored(ledger);
    later(1);
    const again = await hold('Ada', 0.4, 0.4, 0.2);
    expect([again.statusCode, again.body]).toEqual([200, first.body]);
    expect(await stored(ledger)).toEqual(withOneRecord(before));
    expect((await hold('Ada', 0.4, 0.4, 0.2, 'Another reason.')).json<View>().version).toBe(2);
  });

  test('sent many times at once is recorded one after the other', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        hold('Ada', (index + 1) / 100, 0.4, (59 - index) / 100),
      ),
    );
    const versions = answers.map((answer) => answer.json<View>().version);
    expect(versions.toSorted((a, b) => a - b)).toEqual(versions.map((_, index) => index + 1));
  });

  test.each([
    [
      { probabilities: { bear: 0.4, base: 0.4, bull: 0.3 }, rationale: 'R' },
      'probability-sum',
      '/probabilities',
    ],
    [
      { probabilities: { bear: 40, base: 0.4, bull: 0.2 }, rationale: 'R' },
      'invalid-request',
      '/probabilities/bear',
    ],
    [{ probabilities: { bear: 0.4, base: 0.4, bull: 0.2 } }, 'invalid-request', '/rationale'],
    [
      { probabilities: { bear: 0.4, base: 0.4, bull: 0.2 }, rationale: 'R', analyst: 'x' },
      'invalid-request',
      '/analyst',
    ],
  ])('%j is refused', async (body, type, pointer) => {
    const before = await stored(ledger);
    const answer = await put('Ada', body);
    expect(answer.json()).toMatchObject({ type: `/problems/${type}`, status: 422 });
    expect(Object.keys(faultsOf(answer.json()))).toEqual([pointer]);
    expect(await stored(ledger)).toEqual(before);
  });

  test('of a missing outlook is refused', async () => {
    base = '/v1/outlooks/nowhere';
    const body = { probabilities: { bear: 0.4, base: 0.4, bull: 0.2 }, rationale: 'R' };
    expect((await put('Ada', body)).statusCode).toBe(404);
    for (const path of [
      '/views',
      '/consensus',
      `/views/${'0'.repeat(8)}-0000-4000-8000-${'0'.repeat(12)}`,
    ]) {
      expect((await get(path)).statusCode).toBe(404);
    }
  });

  test('lists walk through all holders', async () => {
    for (const name of ['Ada', 'Ben', 'Cleo']) await hold(name, 0.4, 0.4, 0.2);
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = await get(`/views?limit=1${cursor}`);
      const { items, nextCursor } = page.json<{ items: View[]; nextCursor: string | null }>();
      seen.push(...items.map(({ analyst }) => analyst.name));
      cursor = nextCursor === null ? '' : `&cursor=${nextCursor}`;
    } while (cursor !== '');
    expect(seen.toSorted()).toEqual(['Ada', 'Ben', 'Cleo']);
  });
});

describe('a consensus', () => {
  test('is the mean of the views, with their spread', async () => {
    await hold('Ada', 0.3, 0.45, 0.25);
    await hold('Ben', 0.4, 0.4, 0.2);
    const found = await consensus();
    expect(found).toMatchObject({
      method: 'linear',
      weights: 'equal',
      asOf: null,
      probabilities: { bear: 0.35, base: 0.425, bull: 0.225 },
      spread: { bear: { min: 0.3, max: 0.4, standardDeviation: near(0.05) } },
    });
    expect(weights(found)).toEqual({ Ada: 0.5, Ben: 0.5 });
    expect(found.views.map(({ distance }) => distance)).toEqual([near(0.05), near(0.05)]);
    const log = await consensus('?method=logarithmic');
    expect(log.probabilities).toEqual({ bear: 0.3484, base: 0.4267, bull: 0.2249 });
    expect(log.exact['bear']).toBeCloseTo(0.348403, 6);
  });

  test('shows each view that was just recorded, whatever was cached', async () => {
    for (const [index, name] of ['Ada', 'Ben', 'Cleo'].entries()) {
      await hold(name, 0.3, 0.45, 0.25);
      expect((await consensus()).views).toHaveLength(index + 1);
      expect((await get('/views')).json<{ items: View[] }>().items).toHaveLength(index + 1);
    }
  });

  test('weighs newer views more on request', async () => {
    await hold('Ada', 0.3, 0.45, 0.25);
    later(30);
    await hold('Ben', 0.4, 0.4, 0.2);
    const found = await consensus('?weights=recency');
    expect(weights(found)).toEqual({ Ada: near(1 / 3), Ben: near(2 / 3) });
    later(100);
    expect(await consensus('?weights=recency')).toEqual(found);
  });

  test('weighs by proven skill, and says if there is none', async () => {
    await hold('Ada', 0.3, 0.45, 0.25);
    await hold('Ben', 0.4, 0.4, 0.2);
    const nobody = await get('/consensus?weights=skill');
    expect(nobody.json()).toMatchObject({ type: '/problems/no-weights', status: 409 });
    const before = ledger.clock.now;
    const here = base;
    // Each view is held for a whole horizon: below one, there is no skill.
    ledger.clock.now = new Date('2026-11-21T00:00:00.000Z');
    const elsewhere = async (outcome: string) => {
      count += 1;
      base = `/v1/outlooks/case-${count}`;
      const from = ledger.clock.now.toISOString().slice(0, 10);
      const to = new Date(ledger.clock.now.getTime() + 10 * 86_400_000).toISOString().slice(0, 10);
      const created = await createOutlook(ledger, {
        slug: `case-${count}`,
        horizon: { from, to },
        invalidationConditions: [],
      });
      expect(created.statusCode, created.body).toBe(201);
      await hold('Ada', 0.9, 0.05, 0.05);
      await hold('Ben', 0.05, 0.05, 0.9);
      later(10);
      const resolved = await send(ledger, 'POST', `${base}/resolution`, { outcome, reason: 'R' });
      expect(resolved.statusCode, resolved.body).toBe(201);
      base = here;
    };
    await elsewhere('bear');
    expect(weights(await consensus('?weights=skill'))).toEqual({ Ada: 1, Ben: 0 });
    for (let turn = 0; turn < 3; turn += 1) await elsewhere('bull');
    expect(weights(await consensus('?weights=skill'))).toEqual({ Ada: 0, Ben: 1 });
    const then = await get(`/consensus?weights=skill&asOf=${before.toISOString()}`);
    expect(then.json()).toMatchObject({ type: '/problems/no-weights' });
  });

  test('as of a given time pools the views at that time', async () => {
    await hold('Ada', 0.3, 0.45, 0.25);
    const then = ledger.clock.now.toISOString();
    later(1);
    await hold('Ada', 0.5, 0.25, 0.25);
    await hold('Ben', 0.4, 0.4, 0.2);
    const found = await consensus(`?asOf=${then}`);
    expect(found).toMatchObject({ asOf: then, views: [{ analyst: { name: 'Ada' }, version: 1 }] });
    const early = await get('/consensus?asOf=2026-11-20T15:00:00Z');
    expect(early.json()).toMatchObject({ type: '/problems/no-views', status: 409 });
  });

  test('without views, or of views that rule out everything, is a problem of its own', async () => {
    expect((await get('/consensus')).json()).toMatchObject({
      type: '/problems/no-views',
      status: 409,
    });
    await hold('Ada', 0, 0.5, 0.5);
    await hold('Ben', 1, 0, 0);
    expect((await get('/consensus?method=logarithmic')).json()).toMatchObject({
      type: '/problems/no-pool',
      status: 409,
    });
    expect((await consensus()).probabilities).toEqual({ bear: 0.5, base: 0.25, bull: 0.25 });
  });

  test.each(['method=median', 'weights=loudest', 'colour=red', 'asOf=2099-01-01T00:00:00Z'])(
    'with %s is refused',
    async (query) => {
      const answer = await get(`/consensus?${query}`);
      expect(answer.json()).toMatchObject({ type: '/problems/invalid-request', status: 422 });
    },
  );
});

describe('a revision from the consensus', () => {
  const publish = (body: object, headers = {}) =>
    ledger.call({
      method: 'POST',
      url: `${base}/consensus`,
      headers: { ...by('Cleo'), ...json, ...headers },
      payload: JSON.stringify(body),
    });

  test('publishes the pool of the views, and records them', async () => {
    await hold('Ada', 0.3, 0.45, 0.25);
    await hold('Ben', 0.4, 0.4, 0.2);
    await hold('Ben', 0.5, 0.3, 0.2);
    const answer = await publish({ method: 'linear', rationale: 'All of us.' });
    expect(answer.statusCode, answer.body).toBe(201);
    expect(answer.headers.location).toBe(`${base}/versions/2`);
    expect(answer.json()).toMatchObject({
      version: 2,
      author: { name: 'Cleo' },
      rationale: 'All of us.',
      change: { kind: 'probabilities' },
      probabilities: { bear: 0.4, base: 0.375, bull: 0.225 },
      consensus: {
        method: 'linear',
        weights: 'equal',
        views: [
          { analyst: { name: 'Ada' }, version: 1, weight: 0.5 },
          { analyst: { name: 'Ben' }, version: 2, weight: 0.5 },
        ],
      },
    });
    await hold('Ada', 0.1, 0.8, 0.1);
    const { consensus: recorded } = answer.json<{ consensus: object }>();
    for (const path of ['', '/versions/2']) {
      expect((await get(path)).json()).toMatchObject({ consensus: recorded });
    }
    expect((await get('/versions/1')).json()).toMatchObject({ consensus: null });
  });

  test('is refused without views, or if it changes nothing', async () => {
    const before = await stored(ledger);
    expect((await publish({ rationale: 'R' })).json()).toMatchObject({
      type: '/problems/no-views',
    });
    expect(await stored(ledger)).toEqual(before);
    await hold('Ada', 0.3, 0.45, 0.25);
    expect((await publish({ rationale: 'R' })).json()).toMatchObject({
      type: '/problems/no-change',
      errors: [
        {
          pointer: '',
          detail: 'the consensus equals version 1; there is nothing to publish',
        },
      ],
    });
    expect((await publish({ method: 'linear' })).statusCode).toBe(422);
  });

  test('answers a triggered condition like any revision', async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    const url = `${base}/conditions/watched/assessments`;
    await send(ledger, 'POST', url, { state: 'triggered', rationale: 'R' });
    expect((await publish({ rationale: 'R' })).json()).toMatchObject({
      type: '/problems/condition-unanswered',
    });
    const acknowledges = [{ condition: 'watched', reason: 'It will pass.' }];
    const answer = await publish({ rationale: 'R', acknowledges });
    expect(answer.json()).toMatchObject({
      answers: [{ condition: 'watched', way: 'acknowledged' }],
      consensus: { method: 'linear' },
    });
  });

  test('with If-Match is for what was read', async () => {
    await hold('Ada', 0.4, 0.4, 0.2);
    expect((await publish({ rationale: 'R' }, { 'if-match': '"other"' })).statusCode).toBe(412);
  });

  test('pools the views that are current when it is published, despite concurrent writes', async () => {
    await hold('Ada', 0.1, 0.8, 0.1);
    const writes = Array.from({ length: 8 }, (_, index) =>
      hold('Ada', (index + 20) / 100, 0.4, (40 - index) / 100),
    );
    const [answer] = await Promise.all([publish({ rationale: 'R' }), ...writes]);
    const { probabilities, consensus: recorded } = answer.json<
      View & { consensus: { views: { analyst: { id: string }; version: number }[] } }
    >();
    const [pooled] = recorded.views;
    const all = await get(`/views/${pooled?.analyst.id}?limit=100`);
    const { items } = all.json<{ items: View[] }>();
    const used = items.find(({ version }) => version === pooled?.version);
    expect(probabilities).toEqual(used?.probabilities);
  });
});

test('the bands imply an expected outcome of the current version', async () => {
  const answer = await get('/expected-outcome');
  expect(answer.json()).toMatchObject({
    expectedReturn: { min: null, max: null, central: null },
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
  });
  expect(answer.json<{ missing: object[] }>().missing).toHaveLength(3);
});
