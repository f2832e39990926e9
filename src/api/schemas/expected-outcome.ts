import { z } from 'zod';
import { queryMoment, slug } from '../../http/fields.ts';
import { newHorizon } from './outlooks.ts';
import { probabilities } from './probabilities.ts';
import { missing } from './scores.ts';

export const expectedOutcomeQuery = z.strictObject({
  asOf: queryMoment.optional().meta({
    description: 'A moment of recording: by the version that stood then.',
  }),
});

const chance = z.number().min(0).max(1);

export const expectedOutcome = z
  .object({
    slug,
    version: z.int().min(1),
    horizon: newHorizon,
    probabilities,
    expectedReturn: z.object({ min: z.number().nullable(), max: z.number().nullable() }).meta({
      description:
        'The bounds of the probability-weighted return over the horizon, a fraction: Σ p · min and Σ p · max of the return bands. Null where a scenario with weight is open at that end; nothing is put in its place.',
    }),
    missing,
    thresholds: z
      .array(
        z
          .object({
            key: slug,
            label: z.string(),
            minDepth: z.number(),
            atLeast: chance.meta({
              description:
                'The weight of the bands that lie wholly below. A drawdown that deep is at least as likely.',
            }),
            atMost: chance.meta({ description: 'The weight of all bands that reach below.' }),
          })
          .meta({ id: 'ThresholdChance', description: 'What bands imply of a fall that deep.' }),
      )
      .meta({
        description:
          'For each drawdown label with a depth: between which bounds the chance lies that the horizon ends with a return below −minDepth. Empty without return bands.',
      }),
  })
  .meta({ id: 'ExpectedOutcome', description: 'What return bands and probabilities imply.' });
