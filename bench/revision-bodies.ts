import { outlookPath } from './bench.ts';
import type { Shot } from './load.ts';

export type BasisPoints = { bear: number; base: number; bull: number };

export const RATIONALE =
  'Long-term yields jumped; financing pressure on small caps rises with them.';

/** Probabilities by number; each number has different ones. */
export function split(number: number): BasisPoints {
  const bear = number % 4_000;
  const base = 1_000 + Math.floor(number / 4_000);
  return { bear, base, bull: 10_000 - bear - base };
}

/** The probabilities between which the plain loop alternates. */
export const PLAIN_SPLITS: [BasisPoints, BasisPoints] = [split(0), split(1)];

let last = 1;

/**
 * A revision to probabilities that no other request sends, so that it always changes something.
 */
export function revisionShot(slug: string, key: string): Shot & { body: string } {
  const { bear, base, bull } = split((last += 1));
  const probabilities = { bear: bear / 10_000, base: base / 10_000, bull: bull / 10_000 };
  return {
    path: `${outlookPath(slug)}/revisions`,
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ probabilities, rationale: RATIONALE }),
  };
}
