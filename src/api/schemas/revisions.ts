import { z } from 'zod';
import { addFaults, prose } from '../../http/fields.ts';
import { reasonsShape } from './frameworks.ts';
import { newProbabilities } from './probabilities.ts';

export const newRevision = z
  .strictObject({
    probabilities: newProbabilities.optional(),
    rationale: prose.meta({
      description: 'Why this version changes the probabilities, or why it keeps them.',
    }),
    reaffirm: z.boolean().default(false).meta({
      description:
        'Whether the version reaffirms the current probabilities, which answers every triggered condition. `probabilities` may then be left out.',
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
    id: 'RevisionInput',
    description:
      'New probabilities for the next version, required unless `reaffirm` is true. The framework stays.',
  });
