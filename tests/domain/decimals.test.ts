import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exact, nearestQuotient, numberFault } from '../../src/domain/decimals.ts';
import { nearestDouble } from '../support/rationals.ts';

describe('a number as written', () => {
  test.for([
    ['9007199254740992'],
    ['-9007199254740992'],
    ['9007199254740993'],
    ['9007199254740993.0'],
    ['9.007199254740993e15'],
    ['1e21'],
    ['1e400'],
    ['-1e400'],
  ] as const)('%s is beyond the whole numbers that a double holds', ([text]) => {
    expect(numberFault(text)).toContain(`${text} is beyond ±9007199254740991`);
  });

  test.for(['1e-400', '-1e-400', '0.000001e-390', `0.${'0'.repeat(400)}1`])(
    '%s would be 0',
    (text) => expect(numberFault(text)).toContain('too small for a JSON number'),
  );

  test.for([
    '0',
    '-0',
    '0.000',
    '0e-999',
    '0E+999',
    '9007199254740991',
    '-9007199254740991',
    '5e-324',
    '0.1',
    '2861.99',
    '0.14999999999999997',
  ])('%s may be sent', (text) => expect(numberFault(text)).toBeNull());

  test('is named in short if it is long', () => {
    expect(numberFault('9'.repeat(900_000))).toContain(`${'9'.repeat(50)}… is beyond`);
  });

  test('may be any double up to 2^53 − 1', () => {
    const value = fc.double({ min: 1 - 2 ** 53, max: 2 ** 53 - 1, noNaN: true });
    fc.assert(
      fc.property(value, (one) => {
        expect(numberFault(String(one))).toBeNull();
      }),
    );
  });
});

test('a quotient is the nearest double, by integer arithmetic', () => {
  const part = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n });
  fc.assert(
    fc.property(part, part, (dividend, divisor) => {
      fc.pre(divisor !== 0n);
      const found = nearestQuotient(exact(dividend), exact(divisor));
      expect(found + 0).toBe(nearestDouble(dividend, divisor));
    }),
    { numRuns: 1_000 },
  );
});
