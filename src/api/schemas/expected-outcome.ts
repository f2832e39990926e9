import { z } from 'zod';
import { queryTimestamp, slug } from '../../http/fields.ts';
import { newHorizon } from './horizon.ts';
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
    expectedReturn: z
      .object({
        min: z.number().nullable().meta({
          description:
            'Σ p · min of the return bands. Null if a scenario with a positive probability has a band that is open below.',
        }),
        max: z.number().nullable().meta({
          description:
            'Σ p · max of the return bands. Null if a scenario with a positive probability has a band that is open above.',
        }),
        central: z.number().nullable().meta({
          description:
            'Σ p · centralReturn of the scenarios. Null unless all three have one; the midpoint of a band does not replace it.',
        }),
      })
      .meta({
        description:
          'The probability-weighted return over the horizon, as fractions, without rounding. `min` and `max` rest on the bounds that the desk stated; a return beyond the outermost ones is possible.',
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
                'The probability of the bands that lie entirely below −minDepth. A drawdown this deep within the horizon is at least this likely: returns and drawdowns both start from the last close before the horizon, and the price may also fall this far and recover.',
            }),
            atMost: chance.meta({
              description:
                'The probability of all bands that reach below −minDepth. It bounds a return this low at the end of the horizon, not a drawdown on the way. The bear band always reaches below, because a return under its stated `min` is bear, too.',
            }),
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
