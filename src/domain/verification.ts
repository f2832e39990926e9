import { hashVersion, type VersionKind } from './hash-chain.ts';
import { type Probabilities, type ScenarioName, sumFault } from './probabilities.ts';

/** A version as it is found, whatever became of it. */
export type FoundVersion = {
  slug: string;
  version: number;
  publishedAt: Date;
  authorId: string;
  rationale: string;
  kind: VersionKind;
  /** In basis points. */
  points: Readonly<Record<ScenarioName, number>>;
  hash: string;
  previousHash: string | null;
  /** As it is stored, and as it follows from what the framework says. */
  frameworkHash: { stored: string; recomputed: string };
  /** How many events tell of it. */
  events: number;
};

/**
 * What of a version is not as the ledger wrote it; null where all is. Whoever altered it and knew how could have
 * mended its hash, and those after it, but not what others noted of them.
 * @param before the version before it, as found; null for the first
 */
export function versionFault(before: FoundVersion | null, found: FoundVersion): string | null {
  const due = (before?.version ?? 0) + 1;
  if (found.version !== due) return `is out of sequence: version ${due} is missing`;
  const sum = sumFault(found.points);
  if (sum) return `has probabilities that do not sum to 1: ${sum.detail}`;
  if (before && found.publishedAt < before.publishedAt) {
    return `was published at ${found.publishedAt.toISOString()}, before the previous version`;
  }
  if (found.previousHash !== (before?.hash ?? null)) {
    return `has the previousHash ${found.previousHash}, but the previous hash is ${before?.hash ?? null}`;
  }
  const { stored, recomputed } = found.frameworkHash;
  if (stored !== recomputed) {
    return `has a framework with the stored hash ${stored}, but its content has ${recomputed}`;
  }
  if (found.events !== 1) return `has ${found.events} events instead of 1`;
  const { points, ...rest } = found;
  // What was found to sum to 1 is what the brand says of probabilities.
  const hash = hashVersion({
    ...rest,
    probabilities: points as Probabilities,
    frameworkHash: stored,
  });
  return hash === found.hash ? null : `has the hash ${found.hash}, but its content has ${hash}`;
}
