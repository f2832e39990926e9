import { z } from 'zod';
import { POOL_METHODS, POOL_WEIGHTS } from '../../domain/consensus.ts';
import { prose, queryMoment, slug, timestamp } from '../../http/fields.ts';
import { reasonsShape } from './frameworks.ts';
import { author } from './outlooks.ts';
import { newProbabilities, probabilities } from './probabilities.ts';

export const newView = z
  .strictObject({
    probabilities: newProbabilities,
    rationale: prose.meta({ description: 'Why you think so.' }),
  })
  .meta({ id: 'NewView', description: 'What an analyst thinks of an outlook.' });

const viewShape = {
  analyst: author,
  version: z.int().min(1).meta({ description: 'Counts the versions of the view from 1.' }),
  recordedAt: timestamp,
  probabilities,
  rationale: z.string(),
};

export const view = z
  .object(viewShape)
  .meta({ id: 'View', description: 'What an analyst thinks of an outlook, and why.' });

const method = z.enum(POOL_METHODS).default('linear').meta({
  description:
    '`linear`: Σ w p (Stone 1961). `logarithmic`: ∝ Π p^w, renormalised (Genest and Zidek 1986); a view with weight that gives a scenario 0 rules it out for all.',
});
const weights = z.enum(POOL_WEIGHTS).default('equal').meta({
  description:
    '`equal`: each view the same. `recency`: 2^(−age ÷ 30 days), the age against the newest view. `skill`: max(0, skill) · n ÷ (n + 10), by the mean Brier score against uniform thirds over the n outlooks that were scored for the analyst, by versions and views; who did no better than chance, or was never scored, weighs nothing.',
});

export const consensusQuery = z.strictObject({
  method,
  weights,
  asOf: queryMoment.optional().meta({
    description: 'A moment of recording: the views, and the records of skill, as they were then.',
  }),
});

export const newConsensus = z
  .strictObject({
    method,
    weights,
    rationale: prose.meta({ description: 'Why the desk goes with its analysts now.' }),
    ...reasonsShape,
  })
  .meta({ id: 'NewConsensus', description: 'How to pool the views that are held into a version.' });

const fractions = z.object({ bear: z.number(), base: z.number(), bull: z.number() });
const spread = z
  .object({
    min: z.number(),
    max: z.number(),
    standardDeviation: z.number().meta({ description: 'Weighted.' }),
  })
  .meta({ id: 'Spread', description: 'How far views lie apart in a probability.' });

export const consensus = z
  .object({
    slug,
    method: z.enum(POOL_METHODS),
    weights: z.enum(POOL_WEIGHTS),
    asOf: timestamp.nullable(),
    probabilities: probabilities.meta({
      description: 'In whole basis points that sum to exactly 1, by the largest remainder.',
    }),
    exact: fractions.meta({ description: 'As pooled, before that.' }),
    spread: z.object({ bear: spread, base: spread, bull: spread }),
    views: z
      .array(
        z
          .object({
            ...viewShape,
            weight: z.number().min(0).max(1).meta({ description: 'They sum to 1.' }),
            distance: z.number().min(0).max(1).meta({
              description: 'From the pool: the total variation distance.',
            }),
          })
          .meta({ id: 'WeighedView', description: 'A view, and its part in a consensus.' }),
      )
      .min(1),
  })
  .meta({ id: 'Consensus', description: 'What the views of an outlook add up to.' });
