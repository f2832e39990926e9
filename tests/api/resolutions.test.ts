import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, outlookBody, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const OVER = new Date('2027-04-01T12:00:00.000Z');
const BANDS = {
  bear: { max: -0.1 },
  base: { min: -0.1, max: 0.1 },
  bull: { min: 0.1 },
};
const banded = () => {
  const scenarios = outlookBody()['scenarios'] as Record<'bear' | 'base' | 'bull', object>;
  return {
    bear: { ...scenarios.bear, returnBand: BANDS.bear },
    base: { ...scenarios.base, returnBand: BANDS.base },
    bull: { ...scenarios.bull, returnBand: BANDS.bull },
  };
};

let count = 0;
let slug = '';
let series = '';
beforeEach(() => create());

/** An outlook with bands on an instrument of its own, a year long. */
async function create(): Promise<void> {
  count += 1;
  [slug, series] = [`case-${count}`, `closes-${count}`];
  ledger.clock.now = new Date('2026-11-20T16:00:00.000Z');
  const body = { key: series, name: 'N', unit: 'points', frequency: 'daily', source: 'S' };
  await send(ledger, 'POST', '/v1/series', body, { as: 'feed' });
  const instrument = { symbol: `I${count}`, name: 'N', kind: 'index', closes: series };
  await send(ledger, 'POST', '/v1/instruments', instrument);
  const created = await createOutlook(ledger, {
    slug,
    instrument: `I${count}`,
    scenarios: banded(),
    invalidationConditions: [
      { key: 'watched', invalidates: 'bear', statement: 'S' },
      { key: 'other', invalidates: 'bull', statement: 'S' },
    ],
  });
  expect(created.statusCode, created.body).toBe(201);
}

async function observe(closes: Record<string, number>): Promise<void> {
  const observations = Object.entries(closes).map(([date, value]) => ({ date, value }));
  const url = `/v1/series/${series}/observations`;
  const answer = await send(ledger, 'POST', url, { observations }, { as: 'feed' });
  expect(answer.statusCode, answer.body).toBe(200);
}
/** To 30 % below where it started. */
async function letFall(): Promise<void> {
  ledger.clock.now = OVER;
  await observe({ '2026-03-30': 100, '2026-04-01': 110, '2027-03-30': 70, '2027-03-31': 500 });
}

const resolve = (body: object) => send(ledger, 'POST', `/v1/outlooks/${slug}/resolution`, body);
const read = (path = '') => ledger.call({ url: `/v1/outlooks/${slug}${path}` });
const revise = (bear = 0.4) =>
  send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, {
    probabilities: { bear, base: Math.round((0.75 - bear) * 10_000) / 10_000, bull: 0.25 },
    rationale: 'R',
  });
async function refused(body: object): Promise<Record<string, unknown> & { errors: never[] }> {
  const before = await stored(ledger);
  const answer = await resolve(body);
  expect(await stored(ledger)).toEqual(before);
  return answer.json();
}

describe('a resolution', () => {
  test('is decided by the closes if no outcome is given', async () => {
    await letFall();
    const answer = await resolve({});
    expect(answer.statusCode, answer.body).toBe(201);
    expect(answer.headers.location).toBe(`/v1/outlooks/${slug}/resolution`);
    expect(answer.json()).toEqual({
      status: 'resolved',
      resolution: {
        number: 1,
        outcome: 'bear',
        realisedReturn: -0.3,
        decidedBy: 'closes',
        // The start of the day after the last close, which was recorded later.
        knownAt: '2027-03-31T00:00:00.000Z',
        reason: null,
        closes: {
          start: { date: '2026-03-30', value: 100 },
          end: { date: '2027-03-30', value: 70 },
          value: -0.3,
        },
        evidence: [],
        resolvedBy: { id: expect.any(String), name: 'analyst desk' },
        approvedBy: [],
        resolvedAt: OVER.toISOString(),
        supersededAt: null,
      },
      contradiction: null,
      superseded: [],
    });
    const again = await read('/resolution');
    expect([again.body, again.headers.etag]).toEqual([answer.body, answer.headers.etag]);
  });

  test('uses the closes as they are known now', async () => {
    await letFall();
    ledger.clock.now = new Date(OVER.getTime() + 1000);
    await observe({ '2027-03-30': 105 });
    expect((await resolve({})).json()).toMatchObject({
      resolution: { outcome: 'base', closes: { end: { value: 105 } } },
    });
  });

  test('closes the outlook, which shows the outcome from then on', async () => {
    const first = await read();
    expect(first.json()).toMatchObject({ status: 'open', resolution: null });
    ledger.clock.now = new Date('2026-12-01T00:00:00.000Z');
    await resolve({ outcome: 'bull', realisedReturn: 0.5, reason: 'It was taken over.' });
    expect((await read()).json()).toMatchObject({
      status: 'resolved',
      version: 1,
      resolution: {
        number: 1,
        outcome: 'bull',
        realisedReturn: 0.5,
        reason: 'It was taken over.',
        resolvedAt: '2026-12-01T00:00:00.000Z',
      },
    });
    const before = await read('?asOf=2026-11-30T00:00:00Z');
    expect(before.json()).toMatchObject({ status: 'open', resolution: null });
    expect((await read('?asOf=2026-12-01T00:00:00Z')).json()).toMatchObject({ status: 'resolved' });
    expect((await read('/versions/1')).json()).toMatchObject({ status: 'open', resolution: null });
    const listed = async (query: string) => {
      const url = `/v1/outlooks?instrument=I${count}${query}`;
      const { items } = (await ledger.call({ url })).json<{ items: { status: string }[] }>();
      return items.map(({ status }) => status);
    };
    expect(await listed('')).toEqual(['resolved']);
    expect(await listed('&asOf=2026-11-30T00:00:00Z')).toEqual(['open']);
    expect(await listed('&asOf=2026-12-01T00:00:00Z')).toEqual(['resolved']);
  });

  test('cites evidence of the outlook', async () => {
    const item = {
      headline: 'H',
      summary: 'S',
      publisher: 'P',
      publishedAt: '2026-11-20T15:00:00Z',
    };
    const added = await send(ledger, 'POST', `/v1/outlooks/${slug}/evidence`, item);
    const { id } = added.json<{ id: string }>();
    const answer = await resolve({ outcome: 'bull', reason: 'R', evidence: [id] });
    expect(answer.json()).toMatchObject({ resolution: { evidence: [id] } });
  });

  test('is reported to followers', async () => {
    await resolve({ outcome: 'void', reason: 'The index ended.' });
    const { rows } = await ledger.pool.query(
      `select e.kind, e.data from events e join outlooks o on o.id = e.outlook_id
        where o.slug = $1 and e.kind in ('outlook.resolved', 'outlook.state.changed') order by e.id`,
      [slug],
    );
    expect(rows).toEqual([
      { kind: 'outlook.state.changed', data: { status: 'void', reviewReasons: [] } },
      {
        kind: 'outlook.resolved',
        data: {
          number: 1,
          outcome: 'void',
          realisedReturn: null,
          knownAt: null,
          reason: 'The index ended.',
        },
      },
    ]);
  });

  test('of two at once, one is accepted', async () => {
    await letFall();
    const answers = await Promise.all(Array.from({ length: 8 }, () => resolve({})));
    const statuses = answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b);
    expect(statuses).toEqual([201, ...Array<number>(7).fill(409)]);
  });

  test('races with revisions, and none comes after it', async () => {
    const revisions = Array.from({ length: 10 }, (_, index) => revise((41 + index) / 100));
    const [resolved, ...revised] = await Promise.all([
      resolve({ outcome: 'bull', reason: 'R' }),
      ...revisions,
    ]);
    expect(resolved?.statusCode).toBe(201);
    const taken = revised.filter(({ statusCode }) => statusCode === 201).length;
    expect(revised.filter(({ statusCode }) => statusCode === 409)).toHaveLength(10 - taken);
    expect((await read()).json()).toMatchObject({ status: 'resolved', version: 1 + taken });
    expect((await revise(0.7)).statusCode).toBe(409);
  });
});

describe('is refused', () => {
  test('twice, unless it says what it corrects', async () => {
    await letFall();
    await resolve({});
    const problem = await refused({ outcome: 'bull', reason: 'R' });
    expect(problem).toMatchObject({ type: '/problems/already-resolved', status: 409 });
    expect(faultsOf(problem)).toEqual({
      '/supersedes': 'to correct the current resolution, send {"supersedes": 1} and a reason',
    });
    expect(await refused({ supersedes: 2, reason: 'R' })).toMatchObject({ status: 409 });
    expect(await refused({ supersedes: 1 })).toMatchObject({ type: '/problems/reason-required' });
  });

  test('against the closes without a reason', async () => {
    await letFall();
    const problem = await refused({ outcome: 'bull' });
    expect(problem).toMatchObject({
      type: '/problems/outcome-contradicted',
      status: 422,
      closes: { start: { value: 100 }, end: { value: 70 }, value: -0.3 },
    });
    expect(Object.keys(faultsOf(problem))).toEqual(['/outcome']);
    const taken = await resolve({ outcome: 'bull', reason: 'A special dividend made up for it.' });
    expect(taken.json()).toMatchObject({
      resolution: { outcome: 'bull', closes: { value: -0.3 } },
    });
  });

  test('early without a reason, and without an outcome', async () => {
    expect(await refused({ outcome: 'bear' })).toMatchObject({
      type: '/problems/reason-required',
      status: 422,
      errors: [{ pointer: '/reason' }],
    });
    expect(await refused({ reason: 'R' })).toMatchObject({
      type: '/problems/invalid-request',
      errors: [{ pointer: '/outcome' }],
    });
  });

  test.each([
    [{ outcome: 'sideways', reason: 'R' }, '/outcome'],
    [{ outcome: 'bear', reason: ' ' }, '/reason'],
    [{ outcome: 'bear', reason: 'R', realisedReturn: '-0.1' }, '/realisedReturn'],
    [{ outcome: 'bear', reason: 'R', realisedReturn: 1e308 }, '/realisedReturn'],
    [{ outcome: 'bear', reason: 'R', supersedes: 0 }, '/supersedes'],
    [{ outcome: 'bear', reason: 'R', supersedes: 1 }, '/supersedes'],
    [
      { outcome: 'bear', reason: 'R', evidence: ['00000000-0000-4000-8000-000000000000'] },
      '/evidence/0',
    ],
    [{ outcome: 'bear', reason: 'R', verdict: 1 }, '/verdict'],
  ])('%j, with a pointer to what is wrong', async (body, pointer) => {
    expect(await refused(body)).toMatchObject({ status: 422, errors: [{ pointer }] });
  });

  test('of a missing outlook', async () => {
    slug = 'nowhere';
    expect(await refused({ outcome: 'bear', reason: 'R' })).toMatchObject({ status: 404 });
    expect((await read('/resolution')).statusCode).toBe(404);
    expect((await read('/scores')).statusCode).toBe(404);
  });

  test('what an outlook no longer accepts once it is resolved', async () => {
    await resolve({ outcome: 'bull', reason: 'R' });
    const before = await stored(ledger);
    const base = `/v1/outlooks/${slug}`;
    const view = { probabilities: { bear: 0.4, base: 0.4, bull: 0.2 }, rationale: 'R' };
    const answers = [
      await revise(),
      await send(ledger, 'POST', `${base}/withdrawal`, { rationale: 'R' }),
      await send(ledger, 'PATCH', `${base}/framework`, { rationale: 'R', title: 'T' }),
      await send(ledger, 'PUT', `${base}/views/me`, view),
      await send(ledger, 'POST', `${base}/conditions/watched/assessments`, {
        state: 'triggered',
        rationale: 'R',
      }),
    ];
    expect(answers.map((answer) => answer.json<{ type: string }>().type)).toEqual(
      answers.map(() => '/problems/outlook-closed'),
    );
    expect(await stored(ledger)).toEqual(before);
  });
});

describe('a mistaken one', () => {
  test('is superseded, with a reason, and both stay', async () => {
    await letFall();
    await resolve({});
    ledger.clock.now = new Date('2027-04-02T00:00:00.000Z');
    const corrected = await resolve({ outcome: 'base', reason: 'Dividends.', supersedes: 1 });
    expect(corrected.json()).toMatchObject({
      status: 'resolved',
      resolution: { number: 2, outcome: 'base', supersededAt: null },
      superseded: [{ number: 1, outcome: 'bear', supersededAt: '2027-04-02T00:00:00.000Z' }],
    });
    ledger.clock.now = new Date('2027-04-03T00:00:00.000Z');
    await resolve({ outcome: 'void', reason: 'Fraud.', supersedes: 2 });
    expect((await read()).json()).toMatchObject({
      status: 'void',
      resolution: { outcome: 'void' },
    });
    expect((await read('?asOf=2027-04-02T12:00:00Z')).json()).toMatchObject({
      status: 'resolved',
      resolution: { number: 2, outcome: 'base' },
    });
    ledger.clock.now = new Date('2027-04-04T00:00:00.000Z');
    await resolve({ reason: 'It was none.', supersedes: 3 });
    expect((await read()).json()).toMatchObject({ status: 'resolved', resolution: { number: 4 } });
  });
});

describe('a withdrawal', () => {
  const withdraw = (headers = {}) =>
    send(
      ledger,
      'POST',
      `/v1/outlooks/${slug}/withdrawal`,
      { rationale: 'We no longer cover it.' },
      { headers },
    );

  test('is the last version, of its own kind, with a reason', async () => {
    const [before] = [(await read()).json<Record<string, unknown>>()];
    ledger.clock.now = new Date('2026-12-01T00:00:00.000Z');
    const answer = await withdraw();
    expect(answer.statusCode, answer.body).toBe(201);
    expect(answer.headers.location).toBe(`/v1/outlooks/${slug}/versions/2`);
    expect(answer.json()).toMatchObject({
      status: 'withdrawn',
      version: 2,
      rationale: 'We no longer cover it.',
      change: { kind: 'withdrawn', deltas: { bear: 0, base: 0, bull: 0 } },
      probabilities: before['probabilities'],
      frameworkHash: before['frameworkHash'],
    });
    expect((await read()).body).toBe(answer.body);
    expect((await read('/versions/2')).json()).toMatchObject({ status: 'withdrawn' });
    expect((await read('/versions/1')).json()).toMatchObject({ status: 'open' });
    expect((await read('?asOf=2026-11-30T00:00:00Z')).json()).toMatchObject({ status: 'open' });
    expect((await read('?asOf=2026-12-01T00:00:00Z')).json()).toMatchObject({
      status: 'withdrawn',
    });
    for (const again of [await withdraw(), await revise()]) {
      expect(again.json()).toMatchObject({ type: '/problems/outlook-closed', status: 409 });
    }
  });

  test('needs no answer to a triggered condition, and leaves no review due', async () => {
    const url = `/v1/outlooks/${slug}/conditions/watched/assessments`;
    await send(ledger, 'POST', url, { state: 'triggered', rationale: 'R' });
    expect((await read()).json()).toMatchObject({ review: { due: true } });
    expect((await withdraw()).statusCode).toBe(201);
    expect((await read()).json()).toMatchObject({
      status: 'withdrawn',
      review: { due: false, reasons: [] },
    });
  });

  test('leaves no review due in a resolved outlook, either; earlier versions still show one', async () => {
    const url = `/v1/outlooks/${slug}/conditions/watched/assessments`;
    await send(ledger, 'POST', url, { state: 'triggered', rationale: 'R' });
    ledger.clock.now = new Date('2026-12-01T00:00:00.000Z');
    await resolve({ outcome: 'bull', reason: 'R' });
    const reviewOf = async (query: string) =>
      (await read(query)).json<{ review: { due: boolean } }>().review.due;
    expect(await reviewOf('')).toBe(false);
    expect(await reviewOf('?asOf=2026-11-30T00:00:00Z')).toBe(true);
    expect(await reviewOf('?asOf=2026-12-01T00:00:00Z')).toBe(false);
  });

  test('with If-Match applies only to the state that was read', async () => {
    const etag = String((await read()).headers.etag);
    await revise();
    expect((await withdraw({ 'if-match': etag })).statusCode).toBe(412);
    const fresh = String((await read()).headers.etag);
    expect((await withdraw({ 'if-match': fresh })).statusCode).toBe(201);
  });

  test('keeps the record: a withdrawn outlook is resolved, and scored for the time it was open', async () => {
    ledger.clock.now = new Date('2026-12-20T16:00:00.000Z');
    await withdraw();
    await letFall();
    const resolved = await resolve({});
    expect(resolved.json()).toMatchObject({ status: 'withdrawn', resolution: { outcome: 'bear' } });
    expect((await read()).json()).toMatchObject({
      status: 'withdrawn',
      resolution: { outcome: 'bear' },
    });
    const scores = (await read('/scores')).json<{
      status: string;
      outlook: { coverage: number };
      versions: { version: number; share: number }[];
    }>();
    expect(scores.status).toBe('withdrawn');
    expect(scores.versions).toEqual([expect.objectContaining({ version: 1 })]);
    expect(scores.outlook.coverage).toBeCloseTo(30 / 365, 12);
  });
});
