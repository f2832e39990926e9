import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  movedBy,
  NAMES,
  percentOf,
  type Points,
  stepped,
  withPoint,
} from '../../src/browser/linked-points.ts';

const points = fc
  .tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }))
  .map(([a, b]): Points => {
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    return { bear: low, base: high - low, bull: 10_000 - high };
  });

test('three sliders always sum to 10,000, and a set value is the shown one', () => {
  const value = fc.oneof(fc.integer({ min: 0, max: 10_000 }), fc.double(), fc.constant(Number.NaN));
  fc.assert(
    fc.property(points, fc.constantFrom(...NAMES), value, (before, name, set) => {
      const after = withPoint(before, name, set);
      expect(after.bear + after.base + after.bull).toBe(10_000);
      for (const each of NAMES) {
        expect(Number.isInteger(after[each]) && after[each] >= 0).toBe(true);
      }
      const isSettable = Number.isInteger(set) && set >= 0 && set <= 10_000;
      expect(isSettable ? after[name] : set + 0).toBe(set + 0); // −0 is 0
    }),
  );
});

test('the two others split the rest in the same ratio as before', () => {
  expect(withPoint({ bear: 3000, base: 4500, bull: 2500 }, 'bear', 6500)).toEqual({
    bear: 6500,
    base: 2250,
    bull: 1250,
  });
  expect(withPoint({ bear: 10_000, base: 0, bull: 0 }, 'bear', 9_000)).toEqual({
    bear: 9_000,
    base: 500,
    bull: 500,
  });
});

test('points are written as people read them', () => {
  expect([percentOf(3050), percentOf(0), movedBy(500), movedBy(-50), movedBy(0)]).toEqual([
    '30.5%',
    '0%',
    '+5',
    '−0.5',
    '±0',
  ]);
});

test('a point that comes back leaves the others as they were', () => {
  fc.assert(
    fc.property(
      points,
      fc.constantFrom(...NAMES),
      fc.array(fc.integer({ min: 0, max: 10_000 })),
      (from, name, way) => {
        for (const value of way) withPoint(from, name, value);
        expect(withPoint(from, name, from[name])).toEqual(from);
      },
    ),
  );
});

test('a slider stops at half percents, and is never stuck', () => {
  const point = fc.integer({ min: 0, max: 10_000 });
  fc.assert(
    fc.property(point, point, (current, value) => {
      const rest = stepped(current, value);
      expect(rest === current || rest % 50 === 0).toBe(true);
      expect(Math.sign(rest - current)).toBe(Math.sign(value - current));
    }),
  );
  expect([stepped(4200, 4201), stepped(4200, 4199), stepped(4217, 4218), stepped(0, 9990)]).toEqual(
    [4250, 4150, 4250, 10_000],
  );
});
