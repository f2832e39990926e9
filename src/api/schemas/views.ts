import { z } from 'zod';
import { POOL_METHODS, POOL_WEIGHTS, VIEW_KINDS } from '../../domain/consensus.ts';
import { prose, queryTimestamp, slug, timestamp } from '../../http/fields.ts';
import { reasonsShape } from './frameworks.ts';
import { author } from './outlooks.ts';
import { newProbabilities, probabilities } from './probabilities.ts';

export const newView = z
  .strictObject({
    probabilities: newProbabilities,
    rationale: prose.meta({ description: 'Why you hold this view.' }),
  })
  .meta({ id: 'ViewInput', description: "An analyst's own probabilities for an outlook." });

const viewShape = {
  analyst: author,
  version: z.int().min(1).meta({ description: 'The version of the view, from 1.' }),
  recordedAt: timestamp,
  probabilities,
};

export const view = z
  .object({
    ...viewShape,
    kind: z.enum(VIEW_KINDS).meta({
      description:
        '`held`, or `withdrawn` if the analyst withdrew the view. A withdrawal repeats the probabilities that were held before.',
    }),
    rationale: z.string().nullable().meta({ description: 'Null for a withdrawal.' }),
  })
  .meta({ id: 'View', description: "An analyst's own probabilities for an outlook, and why." });

const method = z.enum(POOL_METHODS).default('linear').meta({
  description:
    '`linear`: Σ w p (Stone 1961). `logarithmic`: ∝ Π p^w, renormalised (Genest and Zidek 1986); a view with a positive weight and probability 0 for a scenario rules that scenario out.',
});
const weights = z.enum(POOL_WEIGHTS).default('equal').meta({
  description:
    "`equal`: the same weight for each view. `recency`: 2^(−age ÷ 30 days), with the age relative to the newest view. `skill`: max(0, skill) · n ÷ (n + 10). Skill compares the analyst's Brier scores with climatology or, where there is none, with uniform thirds. Versions and views of an outlook count once. A withdrawn forecast counts with its last probabilities until the outcome was known. An outcome that the analyst stated without closes, or against them, does not count until the closes of the horizon imply it. n is the effective number of independent outlooks: many on one event count as about one, and those that history makes certain as none. An analyst who did no better than the reference, or has less than one whole horizon, gets weight 0.",
});

const MOST_DAYS = 3_660;
const ageFault = `must be a whole number of days in 1–${MOST_DAYS}`;
const maxAge = z
  .int({ error: ageFault })
  .min(1, { error: ageFault })
  .max(MOST_DAYS, { error: ageFault })
  .nullable()
  .default(null)
  .meta({
    description:
      'The greatest age of a view, in days of 24 hours; older views are left out. Null or left out: age does not matter.',
  });

export const consensusQuery = z.strictObject({
  method,
  weights,
  maxAge: z.preprocess(
    (text) => (typeof text === 'string' && /^[1-9]\d{0,3}$/.test(text) ? Number(text) : text),
    maxAge,
  ),
  asOf: queryTimestamp.optional().meta({
    description: 'Use the views and track records as of this time.',
  }),
});

export const newConsensus = z
  .strictObject({
    method,
    weights,
    maxAge,
    rationale: prose.meta({ description: 'Why the desk publishes the consensus.' }),
    ...reasonsShape,
  })
  .meta({
    id: 'ConsensusInput',
    description: "How to pool the analysts' views into a new version.",
  });

const WITH_KEY = 'Only with a key.';

const fractions = z.object({ bear: z.number(), base: z.number(), bull: z.number() });
const spread = z
  .object({
    min: z
      .number()
      .optional()
      .meta({ description: `The least of the views. ${WITH_KEY}` }),
    max: z
      .number()
      .optional()
      .meta({ description: `The greatest of the views. ${WITH_KEY}` }),
    standardDeviation: z.number().meta({
      description: 'The weighted standard deviation; without a key, in whole percents.',
    }),
  })
  .meta({ id: 'Spread', description: 'How far the views differ in one probability.' });

const weighedView = z
  .object({
    ...viewShape,
    rationale: z.string(),
    weight: z
      .number()
      .min(0)
      .max(1)
      .meta({ description: 'The weight of the view. All weights sum to 1.' }),
    distance: z.number().min(0).max(1).meta({
      description: 'The total variation distance between the view and the pool.',
    }),
  })
  .meta({ id: 'WeighedView', description: 'A view and its weight in a consensus.' });

export const consensus = z
  .object({
    slug,
    method: z.enum(POOL_METHODS),
    weights: z.enum(POOL_WEIGHTS),
    maxAge: z.int().nullable().meta({
      description: 'Views older than this many days are left out. Null if age does not matter.',
    }),
    asOf: timestamp.nullable().meta({
      description:
        'The time as of which the views are pooled; null for now. Without a key, the last midnight (UTC).',
    }),
    n: z.int().min(1).meta({ description: 'The number of views; without a key, at least three.' }),
    probabilities: probabilities.meta({
      description:
        'The pooled probabilities, rounded to basis points by the largest remainder so that they sum to exactly 1. Without a key, rounded to whole percents.',
    }),
    exact: fractions
      .optional()
      .meta({ description: `The pooled probabilities before rounding. ${WITH_KEY}` }),
    spread: z.object({ bear: spread, base: spread, bull: spread }),
    views: z.array(weighedView).min(1).optional().meta({ description: WITH_KEY }),
  })
  .meta({ id: 'Consensus', description: "The pooled probabilities of an outlook's views." });
