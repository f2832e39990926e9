import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { faultsOf, stored } from '../support/requests.ts';

// The base band is [−10 %, 15 %).

let ledger: TestLedger;
let outlook: BandedOutlook;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());
beforeEach(async () => {
  outlook = await BandedOutlook.create(ledger);
});

const at = (time: string) => void (ledger.clock.now = new Date(time));

describe('at the edge of a band', () => {
  // 100 → 115 is +15 %, which is the first return of bull.
  test('the closes decide in decimals', async () => {
    at('2027-04-01T12:00:00.000Z');
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 115 });
    const answer = await outlook.resolve();
    expect(answer.json()).toMatchObject({
      resolution: {
        outcome: 'bull',
        realisedReturn: 0.15,
        decidedBy: 'closes',
        closes: { value: 0.15 },
      },
    });
    expect(await outlook.read('/scores')).toMatchObject({ versions: [{ outcome: 'bull' }] });
  });

  test('the stated outcome is the one that the closes imply', async () => {
    at('2027-04-01T12:00:00.000Z');
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 115 });
    const refused = (await outlook.resolve({ outcome: 'base' })).json<never>();
    expect(faultsOf(refused)).toEqual({
      '/outcome':
        'the return from close 100 to close 115 is 15 %, which is bull: send that outcome, or a reason',
    });
    const answer = await outlook.resolve({ outcome: 'bull', realisedReturn: 0.15 });
    expect(answer.statusCode, answer.body).toBe(201);
  });

  test('a text rounds a return only as far as it stays in its scenario', async () => {
    at('2027-04-01T12:00:00.000Z');
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 114.999999999 });
    const refused = (await outlook.resolve({ outcome: 'bull' })).json<never>();
    expect(faultsOf(refused)['/outcome']).toContain('is 14.999999999 %, which is base');
  });

  // 5.714285714285714 × 1.15 is 6.5714285714285711: the return is below 15 %, and 0.15 is the double nearest to it.
  test('Postgres takes what the closes decide, although the nearest double is the edge', async () => {
    at('2027-04-01T12:00:00.000Z');
    await outlook.observe({ '2026-03-30': 5.714285714285714, '2027-03-30': 6.571428571428571 });
    const answer = await outlook.resolve();
    expect(answer.statusCode, answer.body).toBe(201);
    expect(answer.json()).toMatchObject({
      resolution: { outcome: 'base', realisedReturn: 0.15 },
    });
  });
});

describe('the last close of the horizon', () => {
  beforeEach(() => outlook.observe({ '2026-03-30': 100 }));

  test('is awaited: an older one decides nothing, and the true one decides once it is in', async () => {
    at('2027-03-31T09:00:00.000Z');
    await outlook.observe({ '2027-03-26': 90 });
    const before = await stored(ledger);
    const refused = await outlook.resolve();
    expect(refused.json()).toMatchObject({ status: 422, type: '/problems/reason-required' });
    expect(faultsOf(refused.json<never>())).toEqual({
      '/reason':
        'is required: the close of 2027-03-30 or later is not in yet; the last one is of 2027-03-26',
    });
    expect(await stored(ledger)).toEqual(before);
    at('2027-03-31T10:00:00.000Z');
    await outlook.observe({ '2027-03-30': 120 });
    expect((await outlook.resolve()).json()).toMatchObject({
      resolution: { outcome: 'bull', closes: { end: { date: '2027-03-30', value: 120 } } },
    });
  });

  test('is the one before a close after the horizon, if the last day had none', async () => {
    at('2027-03-31T22:00:00.000Z');
    await outlook.observe({ '2027-03-29': 90, '2027-03-31': 200 });
    expect((await outlook.resolve()).json()).toMatchObject({
      resolution: { outcome: 'base', closes: { end: { date: '2027-03-29' } } },
    });
  });

  test('is awaited for a stated outcome, too, and a reason overrides it', async () => {
    at('2027-03-31T09:00:00.000Z');
    await outlook.observe({ '2027-03-26': 90 });
    expect((await outlook.resolve({ outcome: 'base' })).statusCode).toBe(422);
    const answer = await outlook.resolve({ reason: 'Trading ended on 26 March.' });
    expect(answer.json()).toMatchObject({
      resolution: {
        outcome: 'base',
        decidedBy: 'closes',
        closes: { end: { date: '2027-03-26' } },
        knownAt: '2027-03-27T00:00:00.000Z',
      },
    });
  });

  test('that arrives while the outlook is resolved is missed by neither', async () => {
    for (let turn = 0; turn < 6; turn += 1) {
      const raced = await BandedOutlook.create(ledger);
      at('2027-03-31T09:00:00.000Z');
      await raced.observe({ '2026-03-30': 100, '2027-03-30': 90 });
      at('2027-03-31T10:00:00.000Z');
      const [answer] = await Promise.all([raced.resolve(), raced.observe({ '2027-03-30': 120 })]);
      expect(answer.statusCode, answer.body).toBe(201);
      const { resolution, contradiction } = await raced.read<{
        resolution: { outcome: string };
        contradiction: { outcome: string } | null;
      }>('/resolution');
      expect(resolution.outcome === 'bull' || contradiction?.outcome === 'bull').toBe(true);
    }
  });
});

describe('when the outcome became known', () => {
  const known = async () =>
    (await outlook.read<{ resolution: { knownAt: string } }>('/resolution')).resolution.knownAt;

  test('is when the last close was recorded, if that was on its day', async () => {
    at('2027-03-30T20:15:00.000Z');
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 90 });
    // The next vintage has the same value and another note.
    at('2027-03-30T23:00:00.000Z');
    await outlook.observe({ '2027-03-30': 90 });
    at('2027-04-05T12:00:00.000Z');
    await outlook.resolve();
    expect(await known()).toBe('2027-03-30T20:15:00.000Z');
    const whole = Date.parse('2027-03-31') - Date.parse('2026-03-31');
    const scored = Date.parse('2027-03-30T20:15:00Z') - Date.parse('2026-11-20T16:00:00Z');
    const attainable = Date.parse('2027-03-30T20:15:00Z') - Date.parse('2026-03-31');
    expect(await outlook.read('/scores')).toMatchObject({
      resolution: { knownAt: '2027-03-30T20:15:00.000Z' },
      outlook: {
        coverage: expect.closeTo(scored / whole, 12),
        attainableCoverage: expect.closeTo(attainable / whole, 12),
      },
    });
  });

  test('is the start of the next day, if the last close was recorded later', async () => {
    at('2027-04-05T12:00:00.000Z');
    await outlook.observe({ '2026-03-30': 100, '2027-03-29': 90, '2027-03-31': 90 });
    await outlook.resolve();
    expect(await known()).toBe('2027-03-30T00:00:00.000Z');
  });

  test('is when it is recorded, if it is stated', async () => {
    at('2026-12-24T12:00:00.000Z');
    await outlook.resolve({ outcome: 'bull', reason: 'A takeover.' });
    expect(await known()).toBe('2026-12-24T12:00:00.000Z');
    const events = await outlook.events('outlook.resolved');
    expect(events).toMatchObject([{ data: { knownAt: '2026-12-24T12:00:00.000Z' } }]);
  });

  test('may be earlier with a reason: forecasts after it are not scored', async () => {
    at('2026-12-01T12:00:00.000Z');
    await outlook.post('/revisions', {
      probabilities: { bear: 0.01, base: 0.01, bull: 0.98 },
      rationale: 'After the fact.',
    });
    at('2026-12-24T12:00:00.000Z');
    const knownAt = '2026-11-30T13:00:00+01:00';
    await outlook.resolve({ outcome: 'bull', reason: 'A takeover.', knownAt });
    expect(await known()).toBe('2026-11-30T12:00:00.000Z');
    const { versions } = await outlook.read<{ versions: { share: number }[] }>('/scores');
    const whole = Date.parse('2027-03-31') - Date.parse('2026-03-31');
    const stood = Date.parse('2026-11-30T12:00:00Z') - Date.parse('2026-11-20T16:00:00Z');
    expect(versions.map(({ share }) => share)).toEqual([expect.closeTo(stood / whole, 12), 0]);
  });

  test('is kept by a correction without closes, so that it lengthens nothing', async () => {
    at('2026-12-24T12:00:00.000Z');
    await outlook.resolve({ outcome: 'bull', reason: 'A takeover.' });
    at('2027-02-01T12:00:00.000Z');
    await outlook.resolve({ outcome: 'void', reason: 'R', supersedes: 1 });
    await outlook.resolve({ outcome: 'base', reason: 'R', supersedes: 2 });
    expect(await known()).toBe('2026-12-24T12:00:00.000Z');
    const refused = await outlook.resolve({
      outcome: 'bear',
      reason: 'R',
      supersedes: 3,
      knownAt: '2026-12-24T12:00:00.001Z',
    });
    expect(faultsOf(refused.json<never>())).toEqual({
      '/knownAt':
        'must not be after 2026-12-24T12:00:00.000Z, when the outcome was known by the resolution that this corrects',
    });
  });

  test.each([
    [
      'later than the outcome is recorded',
      '2026-12-25T00:00:00Z',
      'must not be after 2026-12-24T12:00:00.000Z, when the outcome is recorded',
    ],
    [
      'before the horizon',
      '2026-03-30T23:59:59.999Z',
      'must not be before 2026-03-31T00:00:00.000Z, the start of the horizon; if the outcome was known before, resolve the outlook as void',
    ],
    [
      'not a time',
      '2026-12-24',
      'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z',
    ],
  ])('is not %s', async (_, knownAt, detail) => {
    at('2026-12-24T12:00:00.000Z');
    const before = await stored(ledger);
    const refused = await outlook.resolve({ outcome: 'bull', reason: 'R', knownAt });
    expect(refused.statusCode).toBe(422);
    expect(faultsOf(refused.json<never>())).toEqual({ '/knownAt': detail });
    expect(await stored(ledger)).toEqual(before);
  });

  test('needs a reason to be earlier than the closes say, and is not later', async () => {
    at('2027-03-30T20:15:00.000Z');
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 90 });
    at('2027-04-05T12:00:00.000Z');
    const early = await outlook.resolve({ knownAt: '2027-03-01T00:00:00Z' });
    expect(faultsOf(early.json<never>())).toEqual({
      '/reason':
        'is required: knownAt is before 2027-03-30T20:15:00.000Z, when the close of 2027-03-30 was known',
    });
    const late = await outlook.resolve({ knownAt: '2027-04-01T00:00:00Z', reason: 'R' });
    expect(faultsOf(late.json<never>())).toEqual({
      '/knownAt':
        'must not be after 2027-03-30T20:15:00.000Z, when the close of 2027-03-30 was known',
    });
    expect(
      (
        await outlook.resolve({ outcome: 'void', reason: 'R', knownAt: '2027-03-01T00:00:00Z' })
      ).json(),
    ).toMatchObject({
      errors: [{ pointer: '/knownAt' }],
    });
  });
});
