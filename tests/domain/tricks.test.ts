import { expect, test } from 'vitest';
import { simulateTricks, TRICKS } from '../support/tricks.ts';

const SEEDS = Number(process.env['TRICK_SEEDS'] ?? 8);

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const standardErrorOf = (values: readonly number[]): number =>
  Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)) / (values.length - 1));

// TRICK_SEEDS=100 runs it at full length.
test('no trick lifts the skill, the weight or the rank of an analyst', { timeout: 600_000 }, () => {
  const runs = Array.from({ length: SEEDS }, (_, seed) => simulateTricks(seed + 1));
  const figures = TRICKS.flatMap((trick) => {
    const lift = (of: 'skill' | 'weight' | 'rank') =>
      runs.map((run) => (of === 'rank' ? -1 : 1) * (run[trick][of] - run.honest[of]));
    return (['skill', 'weight', 'rank'] as const).map((of) => ({
      trick,
      of,
      lift: mean(lift(of)),
      error: standardErrorOf(lift(of)),
    }));
  });
  // A share of 4e-9 of a horizon is worth something, but nothing that shows.
  expect(figures.filter(({ lift, error }) => lift > 2 * error + 1e-6)).toEqual([]);
});
