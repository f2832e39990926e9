import fc from 'fast-check';
import { expect, test } from 'vitest';
import { headwindFaults } from '../../src/domain/headwinds.ts';
import { invalidationConditionFaults } from '../../src/domain/condition-rules.ts';

const headwind = (key: string, rank: number) => ({ key, rank, title: 'T', description: 'D' });

test('headwinds of distinct keys and ranks are valid, in any order', () => {
  const ranks = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { maxLength: 30 });
  fc.assert(
    fc.property(ranks, (all) => {
      expect(headwindFaults(all.map((rank) => headwind(`key-${rank}`, rank)))).toEqual([]);
    }),
  );
});

test('each repeated key or rank is a fault that names the first', () => {
  const headwinds = [headwind('rates', 1), headwind('breadth', 1), headwind('rates', 1)];
  expect(headwindFaults(headwinds)).toEqual([
    { path: [2, 'key'], detail: '"rates" is already used by entry 0' },
    { path: [1, 'rank'], detail: '1 is already used by entry 0' },
    { path: [2, 'rank'], detail: '1 is already used by entry 0' },
  ]);
});

test('a repetition is found at any place', () => {
  const lists = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 20 });
  fc.assert(
    fc.property(lists, fc.nat(), fc.nat(), (ranks, from, to) => {
      const [source, target] = [from % ranks.length, to % ranks.length];
      fc.pre(source !== target);
      const repeated = ranks.with(target, ranks[source] ?? 0);
      expect(headwindFaults(repeated.map((rank, index) => headwind(`k-${index}`, rank)))).toEqual([
        {
          path: [Math.max(source, target), 'rank'],
          detail: `${ranks[source]} is already used by entry ${Math.min(source, target)}`,
        },
      ]);
    }),
  );
});

test('an entry without a key or rank hides no repetition between the others', () => {
  expect(headwindFaults([{ key: 'rates' }, { rank: 2 }, {}, headwind('rates', 2)])).toEqual([
    { path: [3, 'key'], detail: '"rates" is already used by entry 0' },
    { path: [3, 'rank'], detail: '2 is already used by entry 1' },
  ]);
});

test('invalidation conditions use a key once', () => {
  const condition = (key: string) => ({ key, invalidates: 'bear' as const, statement: 'S' });
  expect(invalidationConditionFaults([condition('a'), condition('b')])).toEqual([]);
  expect(invalidationConditionFaults([condition('a'), condition('b'), condition('a')])).toEqual([
    { path: [2, 'key'], detail: '"a" is already used by entry 0' },
  ]);
});
