import { hashVersion, type VersionKind } from './hash-chain.ts';
import {
  type Probabilities,
  SCENARIO_NAMES,
  type ScenarioName,
  sumFault,
} from './probabilities.ts';

/** A version as found in the database, possibly altered. */
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
  /** The stored hash, and the hash of the framework's content. */
  frameworkHash: { stored: string; recomputed: string };
  /** The number of events that report it. */
  events: number;
};

/**
 * The first difference between a version and what the ledger wrote; null if there is none. An attacker could also
 * have rewritten its hash and all later ones, but not the copies that others noted.
 * @param before the previous version, as found; null for the first
 */
export function versionFault(before: FoundVersion | null, found: FoundVersion): string | null {
  const due = (before?.version ?? 0) + 1;
  if (found.version !== due) return `is out of sequence: version ${due} is missing`;
  const sum = sumFault(found.points);
  if (sum) return `has probabilities that do not sum to 1: ${sum.detail}`;
  if (before && keepsProbabilities(found.kind)) {
    const isKept = SCENARIO_NAMES.every((name) => before.points[name] === found.points[name]);
    if (!isKept) return `is ${found.kind} but changes the probabilities`;
  }
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
  // The sum was checked above, so the brand holds.
  const hash = hashVersion({
    ...rest,
    probabilities: points as Probabilities,
    frameworkHash: stored,
  });
  return hash === found.hash ? null : `has the hash ${found.hash}, but its content has ${hash}`;
}

const keepsProbabilities = (kind: VersionKind): boolean =>
  kind === 'reaffirmed' || kind === 'withdrawn';
