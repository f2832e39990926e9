import { createHash } from 'node:crypto';
import type { Fault } from './errors.ts';

export const CLAIM_EFFECTS = ['supports', 'weakens'] as const;
export type ClaimEffect = (typeof CLAIM_EFFECTS)[number];
export const CLAIM_TARGET_KINDS = ['scenario', 'headwind', 'condition'] as const;
export type ClaimTargetKind = (typeof CLAIM_TARGET_KINDS)[number];
export const CLAIM_HORIZONS = ['days', 'weeks', 'months', 'quarters'] as const;
export type ClaimHorizon = (typeof CLAIM_HORIZONS)[number];

/** A sentiment as its provider states it, never recomputed: only one provider calls −0.15 "mildly negative". */
export type Sentiment = {
  score: number;
  label: string;
  scale: { min: number; max: number };
  provider: string;
};

/** What an item of evidence says about a traded symbol, as its provider states it; relevance in [0, 1]. */
export type Ticker = {
  symbol: string;
  sentiment: { score: number; label: string } | null;
  relevance: number | null;
};

/** A statement of an item of evidence that supports or weakens a part of an outlook. */
export type Claim = {
  statement: string;
  effect: ClaimEffect;
  target: { kind: ClaimTargetKind; key: string };
  /** The period that the claim is about. */
  horizon: ClaimHorizon;
  /** What the claim depends on; null if it is unconditional. */
  condition: string | null;
  range: { min: number; max: number; unit: string } | null;
};

/** The score is within its scale, and the scale's min is below its max. */
export function sentimentFaults({ score, scale }: Pick<Sentiment, 'score' | 'scale'>): Fault[] {
  if (scale.min >= scale.max) {
    return [{ path: ['scale', 'max'], detail: `must be greater than min, ${scale.min}` }];
  }
  if (score < scale.min || score > scale.max) {
    return [{ path: ['score'], detail: `must be within its scale, ${scale.min} to ${scale.max}` }];
  }
  return [];
}

/**
 * The natural key of an imported news item: the SHA-256 of its publisher and URL, in hexadecimal. Headlines and scores
 * would not do, because providers change them.
 */
export function importKeyOf({ publisher, url }: { publisher: string; url: string }): string {
  return createHash('sha256')
    .update(JSON.stringify([publisher, url]))
    .digest('hex');
}
