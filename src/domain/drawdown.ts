import { type Fault, repeated } from './errors.ts';

/**
 * What a fall of the instrument is called. `minDepth` is the drawdown from the running peak, a
 * fraction in (0, 1], from which the label applies; null where it is told by something else, as a
 * crash is by its speed.
 */
export type DrawdownLabel = {
  key: string;
  label: string;
  minDepth: number | null;
  typicalCause: string;
  implication: string;
};

/** Keys are used once, and the depths that are given grow from each label to the next. */
export function drawdownLabelFaults(labels: readonly Partial<DrawdownLabel>[]): Fault[] {
  const faults = repeated(labels, 'key');
  let deepest = 0;
  for (const [index, { minDepth }] of labels.entries()) {
    if (typeof minDepth !== 'number') continue;
    if (minDepth <= deepest) {
      faults.push({
        path: [index, 'minDepth'],
        detail: `must be deeper than the ${deepest} of the label before: list labels from shallow to deep`,
      });
    }
    deepest = Math.max(deepest, minDepth);
  }
  return faults;
}
