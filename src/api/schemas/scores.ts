import { z } from 'zod';
import { OUTLOOK_STATUSES } from '../../domain/outlook.ts';
import {
  sumFault,
  basisPoints,
  probabilityFault,
  SCENARIO_NAMES,
} from '../../domain/probabilities.ts';
import { UNIFORM } from '../../domain/scoring.ts';
import { queryMoment, slug, timestamp } from '../../http/fields.ts';
import { newHorizon, outcome } from './outlooks.ts';
import { probabilities } from './probabilities.ts';

const ONCE = 'must be given once';

/** What skill is measured against. */
export type Reference =
  | { name: 'uniform' | 'fixed'; probabilities: { bear: number; base: number; bull: number } }
  | { name: 'previous'; probabilities: null };

/** The name of a reference, or a fixed one as three fractions; `names` are those that the query takes. */
const reference = (names: readonly ('uniform' | 'previous')[]) =>
  z
    .string({ error: ONCE })
    .transform((text, context): Reference => {
      if (text === 'uniform') return { name: 'uniform', probabilities: UNIFORM };
      if (text === 'previous' && names.includes('previous')) {
        return { name: 'previous', probabilities: null };
      }
      const parts = /^(?:\d(?:\.\d{1,15})?,){2}\d(?:\.\d{1,15})?$/.test(text)
        ? text.split(',').map(Number)
        : [];
      const [bear, base, bull] = parts;
      if (bear === undefined || base === undefined || bull === undefined) {
        const known = names.join(', ');
        context.addIssue(
          `must be ${known} or three fractions for bear, base and bull, such as 0.3,0.45,0.25`,
        );
        return z.NEVER;
      }
      const fixed = { bear, base, bull };
      const faults = SCENARIO_NAMES.flatMap((name) => {
        const fault = probabilityFault(fixed[name]);
        return fault ? [`${name} ${fault}`] : [];
      });
      const points = {
        bear: basisPoints(bear),
        base: basisPoints(base),
        bull: basisPoints(bull),
      };
      const sum = faults.length === 0 && sumFault(points);
      for (const fault of faults) context.addIssue(fault);
      if (sum) context.addIssue(sum.correction);
      return { name: 'fixed', probabilities: fixed };
    })
    .default({ name: 'uniform', probabilities: UNIFORM })
    // The default is of what is parsed; the document tells that of what is sent.
    .meta({ type: 'string', default: 'uniform' });

const referenceText =
  'a fixed one as fractions of bear, base and bull, joined by commas. The skill is 1 − score ÷ score of the reference.';

export const scoresQuery = z.strictObject({
  reference: reference(['uniform', 'previous']).meta({
    description: `What skill is measured against: \`uniform\` thirds, the \`previous\` version, or ${referenceText}`,
  }),
  asOf: queryMoment.optional().meta({
    description: 'A moment of recording: the versions and the resolution as they stood then.',
  }),
});

export const fixedReference = reference(['uniform']).meta({
  description: `What skill is measured against: \`uniform\` thirds, or ${referenceText}`,
});

const score = z.number().nullable();
/** One value for each scoring rule. */
const scores = z
  .object({
    brier: score.meta({ description: 'Multi-category, Σ (p − o)², 0–2 (Brier 1950).' }),
    logarithmic: score.meta({ description: '−ln p of the outcome, from 0 (Good 1952).' }),
    rankedProbability: score.meta({
      description:
        'Σ (F − O)² of the cumulative distributions, bear < base < bull, 0–2 (Epstein 1969; Murphy 1971).',
    }),
  })
  .meta({
    id: 'Scores',
    description:
      'By three proper scoring rules; lower is better, 0 is best. Of a skill, 1 − S/S_ref (Murphy 1988), higher is better and 1 is best.',
  });

export const missing = z
  .array(
    z
      .object({
        pointer: z.string().meta({ description: 'A JSON Pointer, from where this list stands.' }),
        reason: z.string(),
      })
      .meta({ id: 'MissingScore', description: 'Why a score is null.' }),
  )
  .meta({ description: 'Why members are null.' });

export const scoreReference = z
  .object({
    name: z.enum(['uniform', 'previous', 'fixed']),
    probabilities: z
      .object({ bear: z.number(), base: z.number(), bull: z.number() })
      .nullable()
      .meta({ description: 'Null for the previous version.' }),
  })
  .meta({ id: 'ScoreReference', description: 'What skill is measured against.' });

export const outlookScores = z
  .object({
    slug,
    status: z.enum(OUTLOOK_STATUSES),
    horizon: newHorizon,
    resolution: z
      .object({ number: z.int().min(1), outcome })
      .nullable()
      .meta({ description: 'What it is scored by; null before it is resolved.' }),
    reference: scoreReference,
    outlook: z
      .object({
        coverage: z.number().nullable().meta({
          description:
            'The part of the whole horizon that versions stood: the sum of their shares.',
        }),
        timeWeighted: scores.meta({
          description:
            'Σ score × share. What is not covered adds nothing: read it with the coverage.',
        }),
        mean: scores.meta({
          description: 'timeWeighted ÷ coverage, which compares across outlooks.',
        }),
        skill: scores.meta({ description: 'Of the mean, against that of the reference.' }),
        missing,
      })
      .meta({ id: 'StandingScores', description: 'Over the time that each version stood.' }),
    versions: z
      .array(
        z
          .object({
            version: z.int().min(1),
            publishedAt: timestamp,
            probabilities,
            share: z.number().nullable().meta({
              description:
                'The part of the whole horizon that it stood; null while the outlook is open.',
            }),
            outcome: outcome.nullable().meta({
              description:
                'What it is scored by: the outcome of the resolution or, where return bands were moved later, the scenario of its own bands that the return falls into.',
            }),
            scores,
            skill: scores,
            missing,
          })
          .meta({ id: 'VersionScores', description: 'How a version scores.' }),
      )
      .meta({ description: 'Oldest first; a withdrawal is none of them.' }),
  })
  .meta({ id: 'OutlookScores', description: 'How an outlook and each of its versions score.' });
