import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  basisPoints,
  deltasOf,
  fractionsOf,
  probabilitiesOf,
  probabilityFault,
  probabilityFaults,
  sameProbabilities,
  sumFault,
} from '../../src/domain/probabilities.ts';
import { otherPoints, probabilities, wholePoints } from '../support/arbitraries.ts';

const NUMBER = 'must be a number, such as 0.35';
const NEGATIVE = 'must not be negative: a probability is between 0 and 1';
const finer = (nearest: string) =>
  `has more than four decimals; the smallest step is 0.0001, so write ${nearest}`;

describe('a probability', () => {
  test('may be any basis point, and survives the conversion to a fraction and back', () => {
    for (let points = 0; points <= 10_000; points += 1) {
      const fraction = points / 10_000;
      expect(probabilityFault(fraction)).toBeNull();
      expect(basisPoints(fraction)).toBe(points);
    }
  });

  test.for([
    ['a percentage', 35, 'probabilities are fractions: 35 % is 0.35'],
    ['a percentage with a decimal', 33.3, 'probabilities are fractions: 33.3 % is 0.333'],
    ['one hundred percent', 100, 'probabilities are fractions: 100 % is 1'],
    ['one percent too written as 1.01', 1.01, 'probabilities are fractions: 1.01 % is 0.0101'],
    ['more than one hundred', 100.1, 'must be between 0 and 1'],
    ['infinity, as 1e999 is read', Infinity, 'must be between 0 and 1'],
    ['five decimals', 0.12345, finer('0.1235')],
    ['just above a basis point', 0.3 + 1.1e-9, finer('0.3')],
    ['just above zero', 1.1e-9, finer('0')],
    ['a negative', -0.1, NEGATIVE],
    ['a negative percentage', -35, NEGATIVE],
    ['just below zero', -1.1e-9, NEGATIVE],
    ['just above one', 1 + 1.1e-9, 'probabilities are fractions: 1.0000000011 % is 0.01'],
    ['minus infinity', -Infinity, NEGATIVE],
    ['NaN', Number.NaN, NUMBER],
    ['text', '0.35', 'must be a number without quotes, such as 0.35'],
    ['empty text', '', 'must be a number without quotes, such as 0.35'],
    ['nothing', undefined, 'is required'],
    ['null', null, NUMBER],
    ['true', true, NUMBER],
    ['false', false, NUMBER],
    ['an object', { value: 0.35 }, NUMBER],
    ['an array', [0.35], NUMBER],
    ['a big integer', 1n, NUMBER],
  ] as const)('is not %s', ([, value, fault]) => {
    expect(probabilityFault(value)).toBe(fault);
  });

  test('of minus zero is zero', () => {
    expect(probabilityFault(-0)).toBeNull();
    expect(basisPoints(-0)).toBe(0);
  });

  test.for([
    [1 - 0.55 - 0.3, 1500],
    [0.1 + 0.2, 3000],
    [1 - 0.9 - 0.1, 0],
    [-2.7e-17, 0],
    [5e-324, 0],
    [1.0000000000000002, 10_000],
    [0.3 + 9e-10, 3000],
  ] as const)('of %d is its basis point: the rest is noise of a double', ([value, points]) => {
    expect(probabilityFault(value)).toBeNull();
    expect(basisPoints(value)).toBe(points);
  });

  test('is valid for a double in [0, 1] exactly if it is within 1e-9 of a basis point', () => {
    const value = fc.oneof(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc
        .tuple(
          fc.integer({ min: 0, max: 10_000 }),
          fc.double({ min: -2e-9, max: 2e-9, noNaN: true }),
        )
        .map(([points, noise]) => points / 10_000 + noise),
    );
    fc.assert(
      fc.property(value, (one) => {
        const isBasisPoint = Math.abs(Number.parseFloat(one.toFixed(4)) - one) <= 1e-9;
        expect(probabilityFault(one) === null).toBe(isBasisPoint);
      }),
    );
  });

  test('follows from the advice on one with too many decimals', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (value) => {
        const fault = probabilityFault(value);
        fc.pre(fault !== null);
        expect(probabilityFault(Number(/so write (\S+)$/.exec(fault)?.[1]))).toBeNull();
      }),
    );
  });
});

describe('three probabilities', () => {
  test('may be any whole percents of which the last is computed as 1 − a − b in doubles', () => {
    let pairs = 0;
    for (let a = 0; a <= 100; a += 1) {
      for (let b = 0; a + b <= 100; b += 1) {
        pairs += 1;
        const values = { bear: a / 100, base: b / 100, bull: 1 - a / 100 - b / 100 };
        expect([values, probabilityFaults(values)]).toEqual([values, []]);
        expect(basisPoints(values.bull)).toBe((100 - a - b) * 100);
      }
    }
    expect(pairs).toBe(5151);
  });

  const together = (sum: string, write: string) =>
    `has more than four decimals; write ${write}, so that the three sum to 1: ${sum}`;
  test.for<[string, [number, number, number], Record<string, string>]>([
    [
      'thirds',
      [1 / 3, 1 / 3, 1 / 3],
      {
        bear: together('0.3334 + 0.3333 + 0.3333', '0.3334'),
        base: together('0.3334 + 0.3333 + 0.3333', '0.3333'),
        bull: together('0.3334 + 0.3333 + 0.3333', '0.3333'),
      },
    ],
    [
      'thirds with five decimals',
      [0.33333, 0.33333, 0.33333],
      {
        bear: together('0.3334 + 0.3333 + 0.3333', '0.3334'),
        base: together('0.3334 + 0.3333 + 0.3333', '0.3333'),
        bull: together('0.3334 + 0.3333 + 0.3333', '0.3333'),
      },
    ],
    [
      'two sixths beside a noisy two thirds',
      [1 / 6, 1 / 6, 0.6667 - 1e-16],
      {
        bear: together('0.1667 + 0.1666 + 0.6667', '0.1667'),
        base: together('0.1667 + 0.1666 + 0.6667', '0.1666'),
      },
    ],
    ['one that no rounding explains', [0.12345, 0.4, 0.25], { bear: finer('0.1235') }],
    [
      'thirds beside a percentage',
      [1 / 3, 1 / 3, 33],
      {
        bear: finer('0.3333'),
        base: finer('0.3333'),
        bull: 'probabilities are fractions: 33 % is 0.33',
      },
    ],
  ])(
    'with too many decimals are refused with a suggestion: %s',
    ([, [bear, base, bull], faults]) => {
      const found = probabilityFaults({ bear, base, bull });
      expect(Object.fromEntries(found.map(({ path, detail }) => [path[0], detail]))).toEqual(
        faults,
      );
    },
  );

  test('of too many decimals that sum to 1 sum to 1 after the advice', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (x, y) => {
          const values = { bear: Math.min(x, y), base: Math.abs(x - y), bull: 1 - Math.max(x, y) };
          const advised: Record<string, number> = { ...values };
          for (const { path, detail } of probabilityFaults(values)) {
            advised[String(path[0])] = Number(/; write (\S+), so/.exec(detail)?.[1]);
          }
          const points = Object.values(advised).map(basisPoints);
          expect(points.reduce((sum, one) => sum + one)).toBe(10_000);
        },
      ),
    );
  });

  test('may be any basis points that sum to 10000', () => {
    fc.assert(
      fc.property(wholePoints, (points) => {
        expect(sumFault(points)).toBeNull();
        expect(probabilitiesOf(points)).toEqual(points);
      }),
    );
  });

  test('are copied from the object they came in', () => {
    const points = { bear: 3000, base: 4500, bull: 2500, crab: 1 };
    expect(probabilitiesOf(points)).toEqual({ bear: 3000, base: 4500, bull: 2500 });
  });

  test('of any other sum are refused, with the sum and the excess', () => {
    fc.assert(
      fc.property(otherPoints, (points) => {
        const sum = points.bear + points.base + points.bull;
        const fault = sumFault(points);
        expect(fault).toMatchObject({ sum: sum / 10_000, excess: (sum - 10_000) / 10_000 });
        const mended = sum - Math.round((fault?.excess ?? 0) * 10_000);
        expect(mended).toBe(10_000);
        expect(() => probabilitiesOf(points)).toThrow(new RangeError(fault?.detail));
      }),
    );
  });

  test('of any other sum get the exact correction, without rounding noise', () => {
    fc.assert(
      fc.property(otherPoints, (points) => {
        const { detail, correction } = sumFault(points) ?? { detail: '', correction: '' };
        const advice = /^sums to ([\d.]+); (?:take ([\d.]+) away|add ([\d.]+))$/.exec(correction);
        const [, sum, less, more] = advice ?? [];
        expect(basisPoints(Number(sum)) - basisPoints(Number(less ?? `-${more}`))).toBe(10_000);
        for (const written of detail.match(/\d\.\d+/g) ?? [])
          expect(written.length).toBeLessThan(7);
      }),
    );
  });

  test.for([
    [
      { bear: 3500, base: 4500, bull: 2500 },
      'bear 0.35 + base 0.45 + bull 0.25 = 1.05, which is 0.05 too much.',
      'sums to 1.05; take 0.05 away',
    ],
    [
      { bear: 3333, base: 3333, bull: 3333 },
      'bear 0.3333 + base 0.3333 + bull 0.3333 = 0.9999, which is 0.0001 too little.',
      'sums to 0.9999; add 0.0001',
    ],
    [
      { bear: 0, base: 0, bull: 0 },
      'bear 0 + base 0 + bull 0 = 0, which is 1 too little.',
      'sums to 0; add 1',
    ],
    [
      { bear: 10_000, base: 10_000, bull: 10_000 },
      'bear 1 + base 1 + bull 1 = 3, which is 2 too much.',
      'sums to 3; take 2 away',
    ],
  ] as const)('%j are refused in words', ([points, detail, correction]) => {
    expect(sumFault(points)).toMatchObject({ detail, correction });
  });

  test.for([
    { bear: 10_001, base: 0, bull: -1 },
    { bear: -1, base: 5001, bull: 5000 },
    { bear: 3000.5, base: 4499.5, bull: 2500 },
    { bear: Number.NaN, base: 5000, bull: 5000 },
  ])('%j are refused though they might sum to 10000', (points) => {
    expect(() => probabilitiesOf(points)).toThrow(
      /is not a whole number of basis points in 0–10000/,
    );
  });

  test('survive the conversion to fractions and back', () => {
    fc.assert(
      fc.property(probabilities, (points) => {
        const { bear, base, bull } = fractionsOf(points);
        expect([bear, base, bull].every((value) => probabilityFault(value) === null)).toBe(true);
        expect([bear, base, bull].map(basisPoints)).toEqual([
          points.bear,
          points.base,
          points.bull,
        ]);
      }),
    );
  });
});

describe('changes of probabilities', () => {
  test('sum to 0 and lead from one to the other', () => {
    fc.assert(
      fc.property(probabilities, probabilities, (before, after) => {
        const deltas = deltasOf(before, after);
        const points = [deltas.bear, deltas.base, deltas.bull].map(basisPoints);
        expect(points.reduce((sum, value) => sum + value)).toBe(0);
        expect(basisPoints(deltas.bear) + before.bear).toBe(after.bear);
        expect(basisPoints(deltas.base) + before.base).toBe(after.base);
        expect(basisPoints(deltas.bull) + before.bull).toBe(after.bull);
      }),
    );
  });

  test('are written without rounding noise', () => {
    const before = probabilitiesOf({ bear: 3000, base: 4500, bull: 2500 });
    const after = probabilitiesOf({ bear: 3500, base: 4000, bull: 2500 });
    expect(deltasOf(before, after)).toEqual({ bear: 0.05, base: -0.05, bull: 0 });
  });

  test('are 0 exactly if all three stay the same', () => {
    fc.assert(
      fc.property(probabilities, probabilities, (a, b) => {
        expect(sameProbabilities(a, { ...a })).toBe(true);
        const moved = a.bear !== b.bear || a.base !== b.base || a.bull !== b.bull;
        expect(sameProbabilities(a, b)).toBe(!moved);
      }),
    );
  });

  test.for([
    { bear: 3001, base: 4499, bull: 2500 },
    { bear: 3001, base: 4500, bull: 2499 },
    { bear: 3000, base: 4501, bull: 2499 },
  ])('a move to %j is one', (moved) => {
    const before = probabilitiesOf({ bear: 3000, base: 4500, bull: 2500 });
    expect(sameProbabilities(before, probabilitiesOf(moved))).toBe(false);
  });
});
