import { z } from 'zod';
import { OUTLOOK_STATUSES } from '../../domain/outlook.ts';
import { fractionsOf, probabilityFaults, sumFault } from '../../domain/probabilities.ts';
import { UNIFORM } from '../../domain/scoring.ts';
import { queryTimestamp, slug, timestamp } from '../../http/fields.ts';
import { digits, pageShape } from '../../http/paging.ts';
import { newHorizon } from './horizon.ts';
import { outcome } from './outcomes.ts';
import { pointsOf, probabilities, queryNumber, THREE_FRACTIONS } from './probabilities.ts';

const ONCE = 'must be given once';

/** The reference that skill is measured against. */
export type Reference =
  | { name: 'uniform' | 'fixed'; probabilities: { bear: number; base: number; bull: number } }
  | { name: 'previous' | 'climatology'; probabilities: null };

/** The name of a reference, or a fixed one as three fractions; `names` are those that the query accepts. */
const reference = (names: readonly ('uniform' | 'previous' | 'climatology')[]) =>
  z
    .string({ error: ONCE })
    .transform((text, context): Reference => {
      if (text === 'uniform') return { name: 'uniform', probabilities: UNIFORM };
      if ((text === 'previous' || text === 'climatology') && names.includes(text)) {
        return { name: text, probabilities: null };
      }
      const [bear, base, bull, ...more] = text.split(',').map(queryNumber);
      if (bear === undefined || base === undefined || bull === undefined || more.length > 0) {
        const known = names.join(', ');
        context.addIssue(
          `must be ${known} or three fractions for bear, base and bull, such as 0.3,0.45,0.25`,
        );
        return z.NEVER;
      }
      const faults = probabilityFaults({ bear, base, bull });
      for (const { path, detail } of faults) context.addIssue(`${path[0]} ${detail}`);
      const points = pointsOf({ bear, base, bull });
      const sum = faults.length === 0 && sumFault(points);
      if (sum) context.addIssue(sum.correction);
      return { name: 'fixed', probabilities: fractionsOf(points) };
    })
    .default({ name: 'uniform', probabilities: UNIFORM })
    // zod's default is the parsed value; the document shows the text to send.
    .meta({
      type: 'string',
      default: 'uniform',
      pattern: `^(?:${names.join('|')}|${THREE_FRACTIONS})$`,
      maxLength: 170,
      example: '0.3,0.45,0.25',
    });

const referenceText =
  'fixed probabilities of bear, base and bull, as fractions separated by commas. Skill is 1 − score ÷ score of the reference.';

const LIMIT_FAULT = 'must be a whole number in 1–1000';

export const scoresQuery = z.strictObject({
  reference: reference(['uniform', 'previous', 'climatology']).meta({
    description: `The reference for skill: \`uniform\` thirds, the \`previous\` version, \`climatology\` (what history alone says about each version's own return bands; see GET …/climatology), or ${referenceText}`,
  }),
  asOf: queryTimestamp.optional().meta({
    description: 'Use the versions and the resolution that were recorded up to this time.',
  }),
  limit: z
    .preprocess(
      digits,
      z
        .int({ error: LIMIT_FAULT })
        .min(1, { error: LIMIT_FAULT })
        .max(1000, { error: LIMIT_FAULT }),
    )
    .default(1000)
    .meta({ description: 'The maximum number of versions to return.' }),
  cursor: pageShape.cursor,
});

export const recordReference = reference(['uniform', 'climatology']).meta({
  description: `The reference for skill: \`uniform\` thirds, \`climatology\` (what history alone says about each outlook; those without enough history are left out of skill), or ${referenceText}`,
});

const score = z.number().nullable();
/** One value per scoring rule. */
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
      'Three proper scoring rules. For a score, lower is better and 0 is best. For skill, 1 − S/S_ref (Murphy 1988), higher is better and 1 is best.',
  });

export const missing = z
  .array(
    z
      .object({
        pointer: z.string().meta({
          description:
            'A JSON Pointer to the null member, relative to the object that contains this list.',
        }),
        reason: z.string(),
      })
      .meta({ id: 'MissingScore', description: 'Why a score is null.' }),
  )
  .meta({ description: 'Why members are null.' });

export const scoreReference = z
  .object({
    name: z.enum(['uniform', 'previous', 'climatology', 'fixed']),
    probabilities: z
      .object({ bear: z.number(), base: z.number(), bull: z.number() })
      .nullable()
      .meta({
        description:
          'Null if each version has a reference of its own: `previous` or `climatology`.',
      }),
  })
  .meta({ id: 'ScoreReference', description: 'The reference that skill is measured against.' });

export const outlookScores = z
  .object({
    slug,
    status: z.enum(OUTLOOK_STATUSES),
    horizon: newHorizon,
    resolution: z
      .object({
        number: z.int().min(1),
        outcome,
        knownAt: timestamp.nullable().meta({
          description:
            'When the outcome became known; nothing is scored after it. Null if the outlook is void.',
        }),
      })
      .nullable()
      .meta({
        description: 'The resolution that the scores use. Null until the outlook is resolved.',
      }),
    reference: scoreReference,
    outlook: z
      .object({
        coverage: z.number().nullable().meta({
          description:
            "The share of the horizon during which a version was current: the sum of the versions' shares.",
        }),
        attainableCoverage: z.number().nullable().meta({
          description:
            'The share of the horizon before the outcome became known: the most that `coverage` can be. Null without an outcome.',
        }),
        timeWeighted: scores.meta({
          description:
            'Σ score × share. Time without a version adds nothing, so read it together with the coverage.',
        }),
        mean: scores.meta({
          description: 'timeWeighted ÷ coverage, over all versions; comparable across outlooks.',
        }),
        skill: scores.meta({
          description:
            'The skill of the mean against the mean of the reference, both over the same versions: those that have a reference. With `previous`, that leaves out the first version, so the mean compared is not `mean`.',
        }),
        skillCoverage: z.number().nullable().meta({
          description:
            'The share of the horizon that `skill` compares. It equals the coverage, except with `previous`, because the first version has no reference, and with `climatology`, where history may be too short. Null if nothing is scored.',
        }),
        missing,
      })
      .meta({
        id: 'StandingScores',
        description: 'The scores of the outlook, weighted by how long each version was current.',
      }),
    versions: z
      .array(
        z
          .object({
            version: z.int().min(1),
            publishedAt: timestamp,
            probabilities,
            share: z.number().nullable().meta({
              description:
                'The share of the horizon during which the version was current. Null while the outlook is open.',
            }),
            outcome: outcome.nullable().meta({
              description:
                "The outcome that the version is scored with. That is the outcome of the resolution or, if return bands changed later, the scenario of the version's own bands that the return falls into.",
            }),
            scores,
            skill: scores,
            missing,
          })
          .meta({ id: 'VersionScores', description: 'The scores of a version.' }),
      )
      .meta({ description: 'Oldest first, without a withdrawal; at most 1,000.' }),
    nextCursor: z.string().nullable().meta({
      description: 'For the versions that follow. Null on the last page.',
    }),
  })
  .meta({
    id: 'OutlookScores',
    description: 'The scores of an outlook and of each of its versions.',
  });
