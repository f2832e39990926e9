import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, send } from '../support/requests.ts';

let ledger: TestLedger;
/** Keys of two analysts of the main desk, of one of another desk, and of one of all desks. */
let keys: { ada: string; ben: string; cay: string; all: string };
beforeAll(async () => {
  ledger = await startLedger();
  const { pool, clock } = ledger;
  await pool.query(
    `insert into desks (slug, name, created_at) values ('rates', 'Rates desk', '2026-11-20')`,
  );
  const issue = async (name: string, desks?: readonly string[]) => {
    const request = { name, role: 'analyst', expiresAt: null, desks } as const;
    return (await issueKey(pool, request, clock.now)).key;
  };
  keys = {
    ada: await issue('Ada', ['main']),
    ben: await issue('Ben', ['main']),
    cay: await issue('Cay', ['rates']),
    all: await issue('Dee', ['main', 'rates']),
  };
});
afterAll(() => ledger.close());

const KINDS = [
  'to-approve',
  'returned',
  'review-due',
  'horizon-over',
  'contradicted',
  'series-silent',
];

type Item = {
  kind: string;
  desk: { slug: string; name: string };
  outlook: string | null;
  series: string | null;
  proposal: string | null;
  title: string;
  detail: string | null;
  since: string;
  url: string;
};
type Inbox = { items: Item[]; nextCursor: string | null; counts: Record<string, number> };

const asking = (key: string): InjectOptions => ({ headers: { authorization: `Bearer ${key}` } });

async function inbox(key: string, query = ''): Promise<Inbox> {
  const response = await ledger.call({ url: `/v1/inbox${query}`, ...asking(key) });
  expect([response.statusCode, response.body]).toEqual([200, response.body]);
  expect(response.headers['cache-control']).toBe('no-store');
  return response.json<Inbox>();
}

/** The items of a kind, each by what it is about. */
async function waiting(key: string, kind: string): Promise<(string | null)[]> {
  const { items } = await inbox(key, `?kind=${kind}&limit=100`);
  return items.map(({ outlook, series, proposal }) => proposal ?? series ?? outlook);
}

describe('what waits for an analyst', () => {
  test('is nothing at first', async () => {
    const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
    expect(await inbox(keys.ada)).toEqual({ items: [], nextCursor: null, counts });
  });

  test('has an outlook whose condition was triggered, since then', async () => {
    ledger.clock.now = new Date('2026-11-21T09:00:00.000Z');
    const observations = ['2026-11-18', '2026-11-19', '2026-11-20'].map((date) => ({
      date,
      value: 4.1,
    }));
    const url = '/v1/series/us-30y-yield/observations';
    const { statusCode } = await send(ledger, 'POST', url, { observations }, { as: 'feed' });
    expect(statusCode).toBe(200);
    ledger.clock.now = new Date('2026-11-21T10:00:00.000Z');
    const { items, counts } = await inbox(keys.ada, '?kind=review-due');
    expect(counts['review-due']).toBe(1);
    expect(items).toEqual([
      {
        kind: 'review-due',
        desk: { slug: 'main', name: 'Main desk' },
        outlook: SLUG,
        series: null,
        proposal: null,
        title: 'Russell 2000: the case for more downside',
        detail: expect.stringContaining('"rate-relief" is triggered'),
        since: '2026-11-21T09:00:00.000Z',
        url: `/v1/outlooks/${SLUG}`,
      },
    ]);
  });

  test('is that of their desks only', async () => {
    expect((await inbox(keys.cay)).items).toEqual([]);
    expect(await waiting(keys.all, 'review-due')).toEqual([SLUG]);
    const admin = await ledger.call({ url: '/v1/inbox?kind=review-due', as: 'admin' });
    expect(admin.json<Inbox>().counts['review-due']).toBe(1);
  });

  test('comes in pages, in an order that no page changes', async () => {
    for (const slug of ['due-2', 'due-1']) {
      ledger.clock.now = new Date(ledger.clock.now.getTime() + 1_000);
      await createOutlook(ledger, { slug, desk: 'main', invalidationConditions: [] });
    }
    await ledger.pool.query(
      `update outlooks set horizon_ended_at = horizon_to where slug like 'due-%'`,
    );
    const whole = await inbox(keys.ada, '?limit=100');
    expect(whole.items.map(({ kind, outlook }) => [kind, outlook]).slice(0, 3)).toEqual([
      ['review-due', SLUG],
      ['horizon-over', 'due-2'],
      ['horizon-over', 'due-1'],
    ]);
    const paged: Item[] = [];
    for (let query = '?limit=1'; ;) {
      const page: Inbox = await inbox(keys.ada, query);
      expect(page.counts).toEqual(whole.counts);
      paged.push(...page.items);
      if (page.nextCursor === null) break;
      query = `?limit=1&cursor=${page.nextCursor}`;
    }
    expect(paged).toEqual(whole.items);
  });

  test('needs a key, a known kind, and a cursor of its own', async () => {
    expect((await ledger.call({ url: '/v1/inbox' })).statusCode).toBe(401);
    const unknown = await ledger.call({ url: '/v1/inbox?kind=mail', ...asking(keys.ada) });
    expect(faultsOf(unknown.json())).toEqual({
      '/kind': `must be one of ${KINDS.join(', ')}`,
    });
    const { nextCursor } = await inbox(keys.ada, '?limit=1');
    for (const query of [`kind=review-due&cursor=${nextCursor}`, 'cursor=WyJ4Il0']) {
      const refused = await ledger.call({ url: `/v1/inbox?${query}`, ...asking(keys.ada) });
      expect(refused.statusCode).toBe(422);
    }
    const made = (kind: string, id: string) =>
      Buffer.from(
        JSON.stringify([
          ['inbox', null],
          [kind, 0, id],
        ]),
      ).toString('base64url');
    for (const cursor of [
      made('to-approve', '12'),
      made('returned', '-'.repeat(36)),
      made('review-due', '7d0c0e7b-4a52-4c3f-8f6f-0e4f8f537b1e'),
      made('series-silent', '9'.repeat(19)),
    ]) {
      const refused = await ledger.call({ url: `/v1/inbox?cursor=${cursor}`, ...asking(keys.ada) });
      expect([cursor, refused.statusCode]).toEqual([cursor, 422]);
    }
  });
});

type Proposal = { id: string; state: string; draft: number };

async function act(key: string, path: string, body: unknown): Promise<Proposal> {
  const response = await ledger.call({
    method: 'POST',
    url: `/v1/proposals${path}`,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    payload: JSON.stringify(body),
  });
  if (response.statusCode >= 300) throw new Error(response.body);
  return response.json<Proposal>();
}

const proposed = (key: string, submit = true) =>
  act(key, '', {
    kind: 'withdrawal',
    outlook: SLUG,
    body: { rationale: 'The case is closed.' },
    submit,
  });

describe('a proposal', () => {
  beforeAll(() => void (ledger.clock.now = new Date('2026-11-21T11:00:00.000Z')));

  test('waits for the others of the desk, and not for its author', async () => {
    const { id } = await proposed(keys.ada);
    const { items } = await inbox(keys.ben, '?kind=to-approve');
    expect(items).toEqual([
      {
        kind: 'to-approve',
        desk: { slug: 'main', name: 'Main desk' },
        outlook: SLUG,
        series: null,
        proposal: id,
        title: 'Russell 2000: the case for more downside',
        detail: 'withdrawal by Ada',
        since: '2026-11-21T11:00:00.000Z',
        url: `/v1/proposals/${id}`,
      },
    ]);
    expect(await waiting(keys.all, 'to-approve')).toEqual([id]);
    for (const key of [keys.ada, keys.cay]) expect(await waiting(key, 'to-approve')).toEqual([]);
    expect(await waiting(ledger.keys.feed, 'to-approve')).toEqual([]);
  });

  test('that was returned waits for its author, with the words', async () => {
    const [id = ''] = await waiting(keys.ben, 'to-approve');
    await act(keys.ben, `/${id}/return`, { draft: 1, reason: 'Is it?' });
    expect(await waiting(keys.ben, 'to-approve')).toEqual([]);
    const { items } = await inbox(keys.ada, '?kind=returned');
    expect(items).toMatchObject([{ proposal: id, detail: 'Ben: Is it?' }]);
    expect(await waiting(keys.ben, 'returned')).toEqual([]);
    await act(keys.ada, `/${id}/submission`, {});
    expect(await waiting(keys.ada, 'returned')).toEqual([]);
    expect(await waiting(keys.ben, 'to-approve')).toEqual([id]);
  });

  test('that needs two approvals no longer waits for who gave one', async () => {
    const approvals = Object.fromEntries(
      ['outlook', 'revision', 'framework', 'resolution', 'consensus'].map((kind) => [kind, 0]),
    );
    const policy = { approvals: { ...approvals, withdrawal: 2 }, authorMayResolve: true };
    const set = await send(ledger, 'PUT', '/v1/desks/main/policy', policy, { as: 'admin' });
    expect([set.statusCode, set.body]).toEqual([200, set.body]);
    const [id = ''] = await waiting(keys.ben, 'to-approve');
    expect(await act(keys.ben, `/${id}/approvals`, { draft: 1 })).toMatchObject({
      state: 'submitted',
    });
    expect(await waiting(keys.ben, 'to-approve')).toEqual([]);
    expect(await waiting(keys.all, 'to-approve')).toEqual([id]);
  });

  test('that is only a draft waits for nobody', async () => {
    const { id } = await proposed(keys.ada, false);
    for (const key of [keys.ada, keys.ben, keys.all]) {
      expect(await waiting(key, 'to-approve')).not.toContain(id);
      expect(await waiting(key, 'returned')).toEqual([]);
    }
  });
});

describe('a series', () => {
  const addSeries = async (key: string, frequency: string, dates: readonly string[]) => {
    const body = { key, name: key, unit: 'points', frequency, source: 'A test' };
    expect(
      (await send(ledger, 'POST', '/v1/series', { ...body, desk: 'main' }, { as: 'feed' }))
        .statusCode,
    ).toBe(201);
    if (dates.length === 0) return;
    const observations = dates.map((date) => ({ date, value: 1 }));
    const url = `/v1/series/${key}/observations`;
    await send(ledger, 'POST', url, { observations }, { as: 'feed' });
  };

  test('is silent after three of its periods; weekends do not count for a daily one', async () => {
    ledger.clock.now = new Date('2026-11-21T12:00:00.000Z'); // a Saturday
    await addSeries('of-days', 'daily', ['2026-11-20']);
    await addSeries('of-months', 'monthly', ['2026-10-31']);
    await addSeries('of-weeks', 'weekly', []);
    const ours = async (now: string) => {
      ledger.clock.now = new Date(now);
      const all = await waiting(keys.ada, 'series-silent');
      return all.filter((key) => key?.startsWith('of-'));
    };
    expect(await ours('2026-11-25T23:00:00.000Z')).toEqual([]);
    expect(await ours('2026-11-26T00:00:00.000Z')).toEqual(['of-days']);
    expect(await ours('2026-12-12T23:00:00.000Z')).toEqual(['of-days']);
    expect(await ours('2026-12-13T00:00:00.000Z')).toEqual(['of-days', 'of-weeks']);
    expect(await ours('2027-01-31T00:00:00.000Z')).toEqual(['of-days', 'of-weeks']);
    expect(await ours('2027-02-01T00:00:00.000Z')).toEqual(['of-days', 'of-months', 'of-weeks']);
    const { items } = await inbox(keys.ada, '?kind=series-silent&limit=100');
    expect(items.find(({ series }) => series === 'of-months')).toMatchObject({
      title: 'of-months',
      detail: 'The newest observation is of 2026-10-31.',
      since: '2026-11-21T12:00:00.000Z',
      url: '/v1/series/of-months',
    });
    expect(items.find(({ series }) => series === 'of-weeks')?.detail).toBe(
      'It has no observation.',
    );
  });

  test('whose source keeps failing is silent at once', async () => {
    await ledger.pool.query(
      `insert into series_sources (series_id, kind, provider_id, host, every_minutes, set_at, due_at, attempts, failures,
         last_error_at, last_error)
       select id, 'fred', 'X', 'fred', 60, now(), now(), 3, 3, now(), 'The server answered 500.'
         from series where key = 'of-days'`,
    );
    ledger.clock.now = new Date('2026-11-21T12:00:00.000Z');
    const { items } = await inbox(keys.ada, '?kind=series-silent&limit=100');
    expect(items.find(({ series }) => series === 'of-days')?.detail).toBe(
      'The newest observation is of 2026-11-20. The last pull failed: The server answered 500.',
    );
  });
});
