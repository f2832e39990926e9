import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  consensusOf,
  normalised,
  pool,
  POOL_METHODS,
  recencyWeights,
  skillWeights,
} from '../../src/domain/consensus.ts';
import {
  type Fractions,
  fractionsOf,
  inBasisPoints,
  probabilitiesOf,
  SCENARIO_NAMES,
} from '../../src/domain/probabilities.ts';
import { probabilities } from '../support/arbitraries.ts';

type Vector = {
  views: Fractions[];
  weights: number[];
  linear: Fractions;
  logarithmic: Fractions;
};
const { pools } = JSON.parse(
  readFileSync(new URL('../vectors/scores.json', import.meta.url), 'utf8'),
) as { pools: Vector[] };

test.each(pools)('pools $views by $weights', ({ views, weights, ...pooled }) => {
  for (const method of POOL_METHODS) {
    const found = pool(method, views, weights);
    for (const name of SCENARIO_NAMES) expect(found?.[name]).toBeCloseTo(pooled[method][name], 12);
  }
});

test('the worked pair: linear .35, .425, .225; logarithmic .348403, .426704, .224893', () => {
  const views = [
    { bear: 0.3, base: 0.45, bull: 0.25 },
    { bear: 0.4, base: 0.4, bull: 0.2 },
  ];
  const rounded = (method: 'linear' | 'logarithmic') => {
    const found = pool(method, views, [0.5, 0.5]);
    return SCENARIO_NAMES.map((name) => Math.round((found?.[name] ?? NaN) * 1e6) / 1e6);
  };
  expect(rounded('linear')).toEqual([0.35, 0.425, 0.225]);
  expect(rounded('logarithmic')).toEqual([0.348403, 0.426704, 0.224893]);
});

const weighed = fc
  .array(fc.tuple(probabilities, fc.double({ min: 0, max: 1, noNaN: true })), {
    minLength: 1,
    maxLength: 8,
  })
  .filter((views) => views.some(([, weight]) => weight > 1e-6))
  .map((views) => ({
    views: views.map(([view]) => view),
    weights: normalised(views.map(([, weight]) => weight)) ?? [],
  }));

test('weights that are normalised sum to 1', () => {
  fc.assert(
    fc.property(weighed, ({ weights }) => {
      expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    }),
  );
  expect(normalised([0, 0])).toBeNull();
  expect(normalised([])).toBeNull();
});

test('a linear pool lies within its members', () => {
  fc.assert(
    fc.property(weighed, ({ views, weights }) => {
      const pooled = pool('linear', views.map(fractionsOf), weights);
      for (const name of SCENARIO_NAMES) {
        const values = views.map((view) => fractionsOf(view)[name]);
        expect(pooled?.[name]).toBeGreaterThanOrEqual(Math.min(...values) - 1e-12);
        expect(pooled?.[name]).toBeLessThanOrEqual(Math.max(...values) + 1e-12);
      }
    }),
  );
});

test('a consensus sums to exactly 10,000 basis points, each within one of the pool', () => {
  fc.assert(
    fc.property(weighed, fc.constantFrom(...POOL_METHODS), ({ views, weights }, method) => {
      const found = consensusOf(method, views, weights);
      if (!found) return method === 'logarithmic';
      const { bear, base, bull } = found.probabilities;
      expect(bear + base + bull).toBe(10_000);
      for (const name of SCENARIO_NAMES) {
        expect(Math.abs(found.probabilities[name] - found.exact[name] * 10_000)).toBeLessThan(1);
      }
      for (const distance of found.distances) {
        expect(distance).toBeGreaterThanOrEqual(0);
        expect(distance).toBeLessThanOrEqual(1);
      }
      return true;
    }),
    { numRuns: 1000 },
  );
});

test('views that agree are the consensus, to the basis point', () => {
  fc.assert(
    fc.property(probabilities, fc.integer({ min: 1, max: 7 }), (view, count) => {
      const views = Array.from({ length: count }, () => view);
      const weights = views.map(() => 1 / count);
      for (const method of POOL_METHODS) {
        expect(consensusOf(method, views, weights)?.probabilities).toEqual(view);
      }
    }),
  );
});

describe('the largest remainder', () => {
  test.each([
    ['thirds go to bear first', [1 / 3, 1 / 3, 1 / 3], [3334, 3333, 3333]],
    ['the larger remainder goes first', [0.00004, 0.00006, 0.9999], [0, 1, 9999]],
    ['two that are left go to two', [0.00006, 0.00007, 0.99987], [0, 1, 9999]],
    ['whole points stay', [0.3, 0.45, 0.25], [3000, 4500, 2500]],
    ['certainty stays', [0, 0, 1], [0, 0, 10_000]],
  ])('%s', (_, [bear = 0, base = 0, bull = 0], [a, b, c]) => {
    expect(inBasisPoints({ bear, base, bull })).toEqual({ bear: a, base: b, bull: c });
  });
});

describe('a logarithmic pool', () => {
  const views = (...points: [number, number, number][]) =>
    points.map(([bear, base, bull]) => fractionsOf({ bear, base, bull }));

  test('gives 0 to a scenario that a view rules out', () => {
    const pooled = pool('logarithmic', views([0, 5000, 5000], [9000, 500, 500]), [0.01, 0.99]);
    expect(pooled).toMatchObject({ bear: 0 });
    expect(pooled?.base).toBeCloseTo(0.5, 12);
  });

  test('ignores a view without weight', () => {
    const pooled = pool('logarithmic', views([0, 5000, 5000], [9000, 500, 500]), [0, 1]);
    expect(pooled?.bear).toBeCloseTo(0.9, 12);
  });

  test('does not exist if the views together rule out everything', () => {
    expect(pool('logarithmic', views([0, 5000, 5000], [10_000, 0, 0]), [0.5, 0.5])).toBeNull();
    expect(
      consensusOf(
        'logarithmic',
        [
          probabilitiesOf({ bear: 0, base: 10_000, bull: 0 }),
          probabilitiesOf({ bear: 10_000, base: 0, bull: 0 }),
        ],
        [0.5, 0.5],
      ),
    ).toBeNull();
  });

  test('rounds nothing away, however many views there are', () => {
    const many = Array.from({ length: 1000 }, () => ({ bear: 1e-4, base: 1e-4, bull: 0.9998 }));
    const pooled = pool(
      'logarithmic',
      many,
      many.map(() => 1 / 1000),
    );
    expect(pooled?.bear).toBeCloseTo(1e-4, 12);
    expect(pooled?.bull).toBeCloseTo(0.9998, 12);
  });
});

describe('weights', () => {
  test('by recency halve with each thirty days, against the newest view', () => {
    const at = (days: number) => new Date(Date.UTC(2026, 0, 1) + days * 86_400_000);
    expect(recencyWeights([at(0), at(30), at(60)])).toEqual([0.25, 0.5, 1]);
    expect(recencyWeights([at(900)])).toEqual([1]);
  });

  test('by skill shrink with few scored outlooks; without any there is no weight', () => {
    expect(
      skillWeights([{ n: 10, skill: 0.4 }, { n: 90, skill: 0.2 }, { n: 50, skill: -0.1 }, null]),
    ).toEqual([0.2, 0.18, 0, 0]);
  });
});

test('the spread shows how far views differ', () => {
  const views = [
    probabilitiesOf({ bear: 2000, base: 5000, bull: 3000 }),
    probabilitiesOf({ bear: 4000, base: 5000, bull: 1000 }),
  ];
  const found = consensusOf('linear', views, [0.5, 0.5]);
  expect(found?.spread.bear).toEqual({
    min: 0.2,
    max: 0.4,
    standardDeviation: expect.closeTo(0.1, 12),
  });
  expect(found?.spread.base).toEqual({
    min: 0.5,
    max: 0.5,
    standardDeviation: expect.closeTo(0, 12),
  });
  expect(found?.distances).toEqual([expect.closeTo(0.1, 12), expect.closeTo(0.1, 12)]);
});
