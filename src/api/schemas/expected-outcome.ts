import { z } from 'zod';
import { queryTimestamp, slug } from '../../http/fields.ts';
import { newHorizon } from './outlooks.ts';
import { probabilities } from './probabilities.ts';
import { missing } from './scores.ts';

export const expectedOutcomeQuery = z.strictObject({
  asOf: queryTimestamp.optional().meta({
    description: 'Use the version that was current at this time.',
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
        'The bounds of the probability-weighted return over the horizon, as fractions: Σ p · min and Σ p · max of the return bands. A bound is null if a scenario with a positive probability has an open band at that end.',
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
                'The probability of the bands that lie entirely below. A drawdown this deep is at least this likely.',
            }),
            atMost: chance.meta({ description: 'The probability of all bands that reach below.' }),
          })
          .meta({
            id: 'ThresholdChance',
            description: 'The probability of a fall this deep, as implied by the return bands.',
          }),
      )
      .meta({
        description:
          'For each drawdown label with a depth: bounds of the probability that the horizon ends with a return below −minDepth. Empty without return bands.',
      }),
  })
  .meta({
    id: 'ExpectedOutcome',
    description: 'The return and the drawdown probabilities that the return bands imply.',
  });
