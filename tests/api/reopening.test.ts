import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { endHorizons } from '../../src/ledger/end-horizons.ts';
import { verifyLedger } from '../../src/ledger/verification.ts';
import { BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { faultsOf, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
let outlook: BandedOutlook;
beforeAll(async () => {
  ledger = await startLedger({ cacheMaxBytes: 0 });
});
afterAll(() => ledger.close());
beforeEach(async () => {
  outlook = await BandedOutlook.create(ledger);
});

const at = (time: string) => void (ledger.clock.now = new Date(time));
const reopen = (change: object = {}) =>
  outlook.resolve({ outcome: 'reopened', supersedes: 1, reason: 'A mistaken click.', ...change });
const revise = (bear: number) =>
  outlook.post('/revisions', {
    probabilities: { bear, base: 0.25, bull: Math.round((0.75 - bear) * 10_000) / 10_000 },
    rationale: 'R',
  });

describe('a resolution by mistake', () => {
  test('is taken back: the outlook is open again, with its history', async () => {
    at('2026-12-01T12:00:00.000Z');
    await outlook.resolve({ outcome: 'bear', reason: 'Oops.' });
    at('2026-12-01T12:05:00.000Z');
    const answer = await reopen();
    expect(answer.statusCode, answer.body).toBe(201);
    expect(answer.json()).toMatchObject({
      status: 'open',
      resolution: null,
      contradiction: null,
      superseded: [
        {
          number: 2,
          outcome: 'reopened',
          reason: 'A mistaken click.',
          realisedReturn: null,
          decidedBy: null,
          knownAt: null,
          closes: null,
          supersededAt: null,
        },
        { number: 1, outcome: 'bear', supersededAt: '2026-12-01T12:05:00.000Z' },
      ],
    });
    expect(await outlook.read()).toMatchObject({ status: 'open', resolution: null });
    const statusAt = async (time: string) =>
      (await outlook.read<{ status: string }>(`?asOf=${time}`)).status;
    expect(await statusAt('2026-12-01T12:00:00Z')).toBe('resolved');
    expect(await statusAt('2026-12-01T12:05:00Z')).toBe('open');
    expect(await outlook.isListed('status=open')).toBe(true);
    expect(await outlook.read('/scores')).toMatchObject({
      status: 'open',
      resolution: null,
      outlook: { coverage: null, attainableCoverage: null },
      versions: [{ share: null, outcome: null }],
    });
    expect(await outlook.events('outlook.reopened', 'outlook.state.changed')).toEqual([
      { kind: 'outlook.state.changed', data: { status: 'resolved', reviewReasons: [] } },
      { kind: 'outlook.state.changed', data: { status: 'open', reviewReasons: [] } },
      { kind: 'outlook.reopened', data: { number: 2, reason: 'A mistaken click.' } },
    ]);
    const record = await ledger.call({ url: `/v1/track-record?instrument=${outlook.symbol}` });
    expect(record.json()).toMatchObject({ n: 0, counts: { open: 1, void: 0, resolved: 0 } });
    expect((await verifyLedger(ledger.servicePool)).faults).toEqual([]);
  });

  test('is followed by versions, and by another resolution that needs no reason', async () => {
    at('2026-12-01T12:00:00.000Z');
    await outlook.resolve({ outcome: 'bear', reason: 'Oops.' });
    await reopen();
    expect((await revise(0.5)).statusCode).toBe(201);
    at('2027-04-01T12:00:00.000Z');
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 120 });
    const answer = await outlook.resolve();
    expect(answer.json()).toMatchObject({
      status: 'resolved',
      resolution: { number: 3, outcome: 'bull', reason: null, knownAt: '2027-03-31T00:00:00.000Z' },
      superseded: [{ number: 2, outcome: 'reopened' }, { number: 1 }],
    });
    // The time between the resolution and the reopening counts as before.
    const whole = Date.parse('2027-03-31') - Date.parse('2026-03-31');
    const stood = Date.parse('2027-03-31') - Date.parse('2026-11-20T16:00:00Z');
    expect(await outlook.read('/scores')).toMatchObject({
      outlook: { coverage: expect.closeTo(stood / whole, 12) },
    });
    const again = await outlook.resolve({ outcome: 'bear', reason: 'R' });
    expect(faultsOf(again.json<never>())['/supersedes']).toContain('{"supersedes": 3}');
  });

  test('may be superseded by the number of the reopening, too, and its time starts over', async () => {
    at('2026-12-01T12:00:00.000Z');
    await outlook.resolve({ outcome: 'bear', reason: 'Oops.' });
    await reopen();
    at('2027-01-01T12:00:00.000Z');
    const answer = await outlook.resolve({ outcome: 'bull', reason: 'R', supersedes: 2 });
    expect(answer.json()).toMatchObject({
      resolution: { number: 3, knownAt: '2027-01-01T12:00:00.000Z' },
    });
    expect((await reopen({ supersedes: 3 })).json()).toMatchObject({ status: 'open' });
    expect((await outlook.resolve({ outcome: 'bear', reason: 'R' })).json()).toMatchObject({
      resolution: { number: 5 },
    });
  });

  test('awaits its resolution again, if the horizon is over', async () => {
    at('2027-04-01T12:00:00.000Z');
    await endHorizons(ledger.servicePool, ledger.clock.now);
    await outlook.resolve({ outcome: 'bear' });
    await reopen();
    const reasons = ['The horizon ended on 2027-03-30; record the outcome.'];
    expect(await outlook.read()).toMatchObject({ status: 'open', review: { due: true, reasons } });
    expect(await outlook.isListed('awaitingResolution=true')).toBe(true);
    expect((await revise(0.5)).json()).toMatchObject({ type: '/problems/horizon-ended' });
  });

  test('that was early, and is taken back after the end, has its end noted then', async () => {
    at('2026-12-01T12:00:00.000Z');
    await outlook.resolve({ outcome: 'bear', reason: 'Oops.' });
    at('2027-04-01T12:00:00.000Z');
    expect(await endHorizons(ledger.servicePool, ledger.clock.now)).not.toContain(outlook.slug);
    await reopen();
    expect(await endHorizons(ledger.servicePool, ledger.clock.now)).toEqual([outlook.slug]);
    expect(await outlook.read()).toMatchObject({ review: { due: true } });
  });

  test('asks again for the answers to triggered conditions, while the horizon runs', async () => {
    await outlook.post('/conditions/watched/assessments', { state: 'triggered', rationale: 'R' });
    at('2026-12-01T12:00:00.000Z');
    await outlook.resolve({ outcome: 'bear', reason: 'Oops.' });
    expect(await outlook.read()).toMatchObject({ review: { due: false } });
    await reopen();
    const reasons = ['analyst desk assessed "watched" as triggered.'];
    expect(await outlook.read()).toMatchObject({ review: { due: true, reasons } });
    expect((await revise(0.5)).json()).toMatchObject({ type: '/problems/condition-unanswered' });
  });

  test('of a withdrawn outlook leaves it withdrawn, without an outcome', async () => {
    await outlook.post('/withdrawal', { rationale: 'R' });
    await outlook.resolve({ outcome: 'bear', reason: 'R' });
    expect((await reopen()).json()).toMatchObject({ status: 'withdrawn', resolution: null });
    expect(await outlook.read()).toMatchObject({ status: 'withdrawn', resolution: null });
    expect(await outlook.read('/scores')).toMatchObject({ status: 'withdrawn', resolution: null });
    expect((await verifyLedger(ledger.servicePool)).faults).toEqual([]);
  });

  test('that declared the outlook void is taken back, too', async () => {
    await outlook.resolve({ outcome: 'void', reason: 'R' });
    expect((await reopen()).json()).toMatchObject({ status: 'open' });
  });
});

describe('a reopening is refused', () => {
  const refused = async (body: object) => {
    const before = await stored(ledger);
    const answer = await outlook.resolve(body);
    expect(await stored(ledger)).toEqual(before);
    return answer.json<{ type: string; errors: { pointer: string; detail: string }[] }>();
  };
  const REOPEN = { outcome: 'reopened', supersedes: 1, reason: 'R' };

  test('of an outlook that is open', async () => {
    const problem = await refused(REOPEN);
    expect(faultsOf(problem)).toEqual({
      '/outcome': 'cannot be reopened, because the outlook is open already',
    });
    await outlook.resolve({ outcome: 'bear', reason: 'R' });
    await outlook.resolve(REOPEN);
    expect(Object.keys(faultsOf(await refused({ ...REOPEN, supersedes: 2 })))).toEqual([
      '/outcome',
    ]);
  });

  test('without the number, without a reason, and with what an outcome has, each by its pointer', async () => {
    await outlook.resolve({ outcome: 'bear', reason: 'R' });
    expect(Object.keys(faultsOf(await refused({ ...REOPEN, supersedes: null })))).toEqual([
      '/supersedes',
    ]);
    const problem = await refused({
      outcome: 'reopened',
      supersedes: 1,
      realisedReturn: 0.1,
      knownAt: '2026-11-20T16:00:00Z',
    });
    expect(problem.type).toBe('/problems/reason-required');
    expect(faultsOf(problem)).toEqual({
      '/realisedReturn': 'must be left out, because a reopened outlook has no outcome',
      '/knownAt': 'must be left out, because a reopened outlook has no outcome',
      '/reason': 'is required: it takes back a resolution',
    });
  });

  test('twice at once', async () => {
    await outlook.resolve({ outcome: 'bear', reason: 'R' });
    const answers = await Promise.all(Array.from({ length: 5 }, () => reopen()));
    const statuses = answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b);
    expect(statuses).toEqual([201, 422, 422, 422, 422]);
  });
});

test('a rule that came to hold while the outlook was closed triggers when it is reopened', async () => {
  const series = { key: 'reopened-rule', name: 'N', unit: '%', frequency: 'daily', source: 'S' };
  await send(ledger, 'POST', '/v1/series', series, { as: 'feed' });
  const observe = async (date: string, value: number) => {
    const url = `/v1/series/${series.key}/observations`;
    const body = { observations: [{ date, value }] };
    expect((await send(ledger, 'POST', url, body, { as: 'feed' })).statusCode).toBe(200);
  };
  const rule = { series: series.key, operator: 'lt', threshold: 90, forObservations: 1 };
  const condition = { key: 'low', invalidates: 'bull', statement: 'S', rule };
  outlook = await BandedOutlook.create(ledger, { invalidationConditions: [condition] });
  at('2026-11-24T12:00:00.000Z');
  await observe('2026-11-24', 95);
  await outlook.resolve({ outcome: 'bull', reason: 'Oops.' });
  // What was known before the resolution triggers nothing anew.
  expect((await reopen()).statusCode).toBe(201);
  expect(await outlook.read('/conditions/low')).toMatchObject({ state: 'untriggered' });

  await outlook.resolve({ outcome: 'bull', reason: 'Oops.' });
  at('2026-11-25T12:00:00.000Z');
  await observe('2026-11-25', 80);
  expect(await outlook.read('/conditions/low')).toMatchObject({ state: 'untriggered' });
  at('2026-11-25T13:00:00.000Z');
  expect((await reopen({ supersedes: 3 })).statusCode).toBe(201);
  expect(await outlook.read('/conditions/low')).toMatchObject({
    state: 'triggered',
    lastChange: { cause: 'observations', day: '2026-11-25' },
  });
  const { review } = await outlook.read<{ review: { due: boolean; reasons: string[] } }>();
  expect(review.reasons).toHaveLength(1);
});
