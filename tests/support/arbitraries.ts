import fc from 'fast-check';
import {
  type Probabilities,
  probabilitiesOf,
  type ScenarioName,
} from '../../src/domain/probabilities.ts';

type Points = Record<ScenarioName, number>;

/** Three whole numbers of basis points that sum to 10000. */
export const wholePoints: fc.Arbitrary<Points> = fc
  .tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }))
  .map(([a, b]) => ({
    bear: Math.min(a, b),
    base: Math.abs(a - b),
    bull: 10_000 - Math.max(a, b),
  }));

export const probabilities: fc.Arbitrary<Probabilities> = wholePoints.map(probabilitiesOf);

/** Three whole numbers of basis points, 0–10000 each, that sum to anything but 10000. */
export const otherPoints: fc.Arbitrary<Points> = fc
  .record({
    bear: fc.integer({ min: 0, max: 10_000 }),
    base: fc.integer({ min: 0, max: 10_000 }),
    bull: fc.integer({ min: 0, max: 10_000 }),
  })
  .filter(({ bear, base, bull }) => bear + base + bull !== 10_000);
