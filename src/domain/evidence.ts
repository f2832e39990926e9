import type { Fault } from './errors.ts';

export const CLAIM_EFFECTS = ['supports', 'weakens'] as const;
export type ClaimEffect = (typeof CLAIM_EFFECTS)[number];
export const CLAIM_TARGET_KINDS = ['scenario', 'headwind', 'condition'] as const;
export type ClaimTargetKind = (typeof CLAIM_TARGET_KINDS)[number];
export const CLAIM_HORIZONS = ['days', 'weeks', 'months', 'quarters'] as const;
export type ClaimHorizon = (typeof CLAIM_HORIZONS)[number];

/** A sentiment as its provider gave it, never derived anew: −0.15 is "mildly negative" to one only. */
export type Sentiment = {
  score: number;
  label: string;
  scale: { min: number; max: number };
  provider: string;
};

/** What an item of evidence says of a traded symbol, as its provider gave it; relevance in [0, 1]. */
export type Ticker = {
  symbol: string;
  sentiment: { score: number; label: string } | null;
  relevance: number | null;
};

/** What an item of evidence says for or against a part of an outlook. */
export type Claim = {
  statement: string;
  effect: ClaimEffect;
  target: { kind: ClaimTargetKind; key: string };
  /** Over which span the claim is made. */
  horizon: ClaimHorizon;
  /** What must be the case for it to hold; null where it holds as it stands. */
  condition: string | null;
  range: { min: number; max: number; unit: string } | null;
};

/** The score lies on its scale, which runs upwards. */
export function sentimentFaults({ score, scale }: Pick<Sentiment, 'score' | 'scale'>): Fault[] {
  if (scale.min >= scale.max) {
    return [{ path: ['scale', 'max'], detail: `must be greater than min, ${scale.min}` }];
  }
  if (score < scale.min || score > scale.max) {
    return [{ path: ['score'], detail: `must be within its scale, ${scale.min} to ${scale.max}` }];
  }
  return [];
}
