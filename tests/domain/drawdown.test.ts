import fc from 'fast-check';
import { expect, test } from 'vitest';
import { drawdownLabelFaults } from '../../src/domain/drawdown.ts';

const labelsOf = (depths: readonly (number | null)[]) =>
  depths.map((minDepth, index) => ({ key: `label-${index}`, label: 'L', minDepth }));
const depth = fc.double({ min: 0, max: 1, minExcluded: true, noNaN: true });

test('depths that grow stand, with labels told by something else in between', () => {
  fc.assert(
    fc.property(fc.uniqueArray(depth), fc.array(fc.nat()), (depths, gaps) => {
      const labels: (number | null)[] = depths.toSorted((a, b) => a - b);
      for (const gap of gaps) labels.splice(gap % (labels.length + 1), 0, null);
      expect(drawdownLabelFaults(labelsOf(labels))).toEqual([]);
    }),
  );
});

test('a depth is refused exactly where one before it is as deep', () => {
  fc.assert(
    fc.property(fc.array(fc.option(depth, { nil: null })), (depths) => {
      const refused = depths.flatMap((own, index) => {
        const before = depths.slice(0, index).filter((other) => other !== null);
        return own !== null && before.some((other) => other >= own) ? [index] : [];
      });
      const told = drawdownLabelFaults(labelsOf(depths)).map(({ path }) => path);
      expect(told).toEqual(refused.map((index) => [index, 'minDepth']));
    }),
  );
});

test.for([
  [[0.2, 0.1], 1, 0.2],
  [[0.1, 0.1], 1, 0.1],
  [[0.1, 0.3, null, 0.2], 3, 0.3],
  [[0], 0, 0],
] as const)(
  'the depths %j are refused in words that tell the order',
  ([depths, index, deepest]) => {
    expect(drawdownLabelFaults(labelsOf(depths))).toEqual([
      {
        path: [index, 'minDepth'],
        detail: `must be deeper than the ${deepest} of the label before: list labels from shallow to deep`,
      },
    ]);
  },
);

test('keys are used once, however deep the labels', () => {
  const labels = [
    { key: 'fall', minDepth: 0.1 },
    { key: 'fall', minDepth: 0.2 },
  ];
  expect(drawdownLabelFaults(labels)).toEqual([
    { path: [1, 'key'], detail: '"fall" is already used by entry 0' },
  ]);
});
