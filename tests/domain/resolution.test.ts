import { describe, expect, test } from 'vitest';
import { DomainError } from '../../src/domain/errors.ts';
import { outcomeOfReturn, returnOverHorizon } from '../../src/domain/outcome.ts';
import {
  ContradictedOutcome,
  decideResolution,
  type Resolvable,
  type ResolutionRequest,
} from '../../src/domain/resolution.ts';

const HORIZON = { from: '2026-03-31', to: '2027-03-31' };
const BAND = { low: -0.1, high: 0.1 };
const close = (date: string, value: number) => ({ date, value });
const CLOSES = { start: close('2026-03-30', 100), end: close('2027-03-30', 85), value: -0.15 };
const OVER = new Date('2027-03-31T00:00:00.000Z');
const BEFORE = new Date('2027-03-30T23:59:59.999Z');

const outlook = (change: Partial<Resolvable> = {}): Resolvable => ({
  slug: 'x',
  horizon: HORIZON,
  band: BAND,
  computed: CLOSES,
  closes: { newestOn: '2027-03-30', endRecordedAt: new Date('2027-03-30T21:00:00.000Z') },
  current: null,
  reopening: null,
  knownAt: null,
  ...change,
});
const request = (change: Partial<ResolutionRequest> = {}): ResolutionRequest => ({
  realisedReturn: null,
  knownAt: null,
  reason: null,
  supersedes: null,
  ...change,
});
const refusal = (...args: Parameters<typeof decideResolution>): DomainError => {
  try {
    decideResolution(...args);
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  return expect.fail('it was taken');
};

test.each([
  [-0.5, 'bear'],
  [-0.1, 'base'],
  [0, 'base'],
  [0.0999, 'base'],
  [0.1, 'bull'],
  [5, 'bull'],
])('a return of %d is %s', (value, outcome) => {
  expect(outcomeOfReturn(BAND, value)).toBe(outcome);
});

describe('the return over a horizon', () => {
  const over = (start: string | null, end: string | null, frequency = 'daily' as const) =>
    returnOverHorizon(HORIZON, frequency, {
      start: start === null ? null : close(start, 200),
      end: end === null ? null : close(end, 150),
    });

  test('is from the last close before it to the last one within it', () => {
    expect(over('2026-03-30', '2027-03-30')).toEqual({
      start: close('2026-03-30', 200),
      end: close('2027-03-30', 150),
      value: -0.25,
    });
    expect(over('2026-03-21', '2027-03-21')).toMatchObject({ value: -0.25 });
  });

  test.each([
    [null, '2027-03-30', '2026-03-31'],
    ['2026-03-20', '2027-03-30', '2026-03-31'],
    ['2026-03-30', null, '2027-03-31'],
    ['2026-03-30', '2027-03-20', '2027-03-31'],
    ['2026-03-30', '2026-03-30', '2027-03-31'],
  ])('is not decided by closes of %s and %s', (start, end, day) => {
    expect(over(start, end)).toEqual({
      missing: `there is no close within the 10 days before ${day}`,
    });
  });

  test('may use rarer closes if the series has no more', () => {
    const closes = { start: close('2026-03-01', 200), end: close('2027-03-01', 220) };
    expect(returnOverHorizon(HORIZON, 'monthly', closes)).toMatchObject({ value: 0.1 });
    expect(returnOverHorizon(HORIZON, 'daily', closes)).toHaveProperty('missing');
  });

  test.each([
    [1e-308, 1e308],
    [1e308, 1e-308],
  ])('is none from %d to %d', (from, to) => {
    const closes = { start: close('2026-03-30', from), end: close('2027-03-30', to) };
    expect(returnOverHorizon(HORIZON, 'daily', closes)).toEqual({
      missing: `the closes ${from} and ${to} are too far apart to compute a return`,
    });
  });

  test('needs a base above zero', () => {
    const closes = { start: close('2026-03-30', -5), end: close('2027-03-30', 5) };
    expect(returnOverHorizon(HORIZON, 'daily', closes)).toHaveProperty('missing');
  });
});

describe('an outlook whose horizon is over', () => {
  test('is resolved by its closes if nothing is given', () => {
    expect(decideResolution(outlook(), request(), OVER)).toEqual({
      number: 1,
      outcome: 'bear',
      reopens: false,
      realisedReturn: CLOSES.value,
      knownAt: null,
      reason: null,
      band: BAND,
      computed: CLOSES,
    });
  });

  test.each([
    ['closes', { computed: { missing: 'there is no close' } }, 'is required: there is no close'],
    [
      'return bands',
      { band: null },
      'is required: without return bands, closes do not decide the outcome',
    ],
  ])('without %s needs the outcome', (_, change, detail) => {
    const error = refusal(outlook(change), request(), OVER);
    expect(error.code).toBe('resolution-refused');
    expect(error.faults).toEqual([{ path: ['outcome'], detail }]);
    expect(decideResolution(outlook(change), request({ outcome: 'bull' }), OVER)).toMatchObject({
      outcome: 'bull',
    });
  });

  test('is not resolved against its closes without a reason', () => {
    const error = refusal(outlook(), request({ outcome: 'bull' }), OVER);
    expect(error).toBeInstanceOf(ContradictedOutcome);
    expect(error.message).toBe('The outcome bull contradicts the return over the horizon.');
    expect(error.faults).toEqual([
      {
        path: ['outcome'],
        detail:
          'the return from close 100 to close 85 is -15 %, which is bear: send that outcome, or a reason',
      },
    ]);
    const taken = decideResolution(outlook(), request({ outcome: 'bull', reason: 'R' }), OVER);
    expect(taken).toMatchObject({ outcome: 'bull', computed: CLOSES, reason: 'R' });
  });

  test('is not resolved against the return that is sent with it, either', () => {
    const sent = request({ outcome: 'bear', realisedReturn: 0.2 });
    const error = refusal(outlook({ computed: { missing: 'M' } }), sent, OVER);
    expect(error.code).toBe('outcome-contradicted');
    expect(error.faults.map(({ path }) => path)).toEqual([['realisedReturn']]);
  });

  test('is resolved by a return that is sent, if closes give none', () => {
    const sent = request({ realisedReturn: 0.14 });
    const without = outlook({ computed: { missing: 'M' } });
    expect(decideResolution(without, sent, OVER)).toMatchObject({
      outcome: 'bull',
      realisedReturn: 0.14,
      computed: null,
    });
    expect(refusal(without, sent, BEFORE).code).toBe('reason-required');
    expect(refusal(outlook({ band: null }), sent, OVER).code).toBe('resolution-refused');
  });

  test('may have a return of its own', () => {
    const sent = request({ realisedReturn: -0.14 });
    expect(decideResolution(outlook(), sent, OVER)).toMatchObject({
      outcome: 'bear',
      realisedReturn: -0.14,
      computed: CLOSES,
    });
  });

  test('is void with a reason', () => {
    const error = refusal(outlook(), request({ outcome: 'void' }), OVER);
    expect([error.code, error.faults]).toEqual([
      'reason-required',
      [{ path: ['reason'], detail: 'is required: a void outlook is not scored' }],
    ]);
    const taken = decideResolution(outlook(), request({ outcome: 'void', reason: 'R' }), OVER);
    expect(taken).toMatchObject({ outcome: null, realisedReturn: null });
  });
});

describe('before the end of its horizon', () => {
  test('it takes an outcome and a reason', () => {
    expect(refusal(outlook(), request(), BEFORE).faults).toEqual([
      {
        path: ['outcome'],
        detail:
          'is required: the last day of the horizon is 2027-03-30, and closes decide nothing before it is over',
      },
    ]);
    const error = refusal(outlook(), request({ outcome: 'bull' }), BEFORE);
    expect([error.code, error.faults]).toEqual([
      'reason-required',
      [
        {
          path: ['reason'],
          detail: 'is required: the horizon is not over until 2027-03-31',
        },
      ],
    ]);
    const taken = decideResolution(outlook(), request({ outcome: 'bull', reason: 'R' }), BEFORE);
    expect(taken).toMatchObject({ outcome: 'bull', computed: null, realisedReturn: null });
  });
});

describe('once resolved', () => {
  const current = 2;

  test('it is corrected by naming the current resolution, with a reason', () => {
    const sent = request({ outcome: 'bear', supersedes: 2, reason: 'R' });
    expect(decideResolution(outlook({ current }), sent, OVER)).toMatchObject({ number: 3 });
    expect(refusal(outlook({ current }), { ...sent, reason: null }, OVER).code).toBe(
      'reason-required',
    );
  });

  test.each([null, 1, 3])('it is not resolved again naming %s', (supersedes) => {
    const error = refusal(outlook({ current }), request({ supersedes, reason: 'R' }), OVER);
    expect(error.code).toBe('already-resolved');
    expect(error.faults[0]?.detail).toContain('{"supersedes": 2}');
  });

  test('an outlook that is not resolved has nothing to correct', () => {
    const error = refusal(outlook(), request({ supersedes: 1 }), OVER);
    expect([error.code, error.faults[0]?.path]).toEqual(['resolution-refused', ['supersedes']]);
  });
});
