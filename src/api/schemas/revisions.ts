import { z } from 'zod';
import { addFaults, prose } from '../../http/fields.ts';
import { reasonsShape } from './frameworks.ts';
import { newProbabilities } from './probabilities.ts';

export const newRevision = z
  .strictObject({
    probabilities: newProbabilities.optional(),
    rationale: prose.meta({
      description: 'Why this version differs from the previous one, or why its odds stay.',
    }),
    reaffirm: z.boolean().default(false).meta({
      description:
        'Whether the version stands by the current probabilities. Then `probabilities` may be left out.',
    }),
    ...reasonsShape,
  })
  .superRefine(
    ({ probabilities: sent, reaffirm }, context) => {
      if (sent === undefined && !reaffirm) {
        addFaults(context, [{ path: ['probabilities'], detail: 'is required' }]);
      }
    },
    { when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value) },
  )
  .meta({
    id: 'NewRevision',
    description:
      'New probabilities for the next version, required unless `reaffirm` is true. The framework stays.',
  });
