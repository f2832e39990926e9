import { z } from 'zod';
import {
  type BasisPoints,
  basisPoints,
  type Fractions,
  type Probabilities,
  probabilitiesOf,
  probabilityFault,
  SCENARIO_NAMES,
  sumFault,
} from '../../domain/probabilities.ts';

const DESCRIPTION =
  'A fraction with at most four decimals (steps of a basis point, 0.0001): 35 % is 0.35.';

// Not z.number(): the domain words the fault for a value of any type.
const probability = z
  .unknown()
  .superRefine((value, context) => {
    const fault = probabilityFault(value);
    if (fault) context.addIssue(fault);
  })
  .meta({ type: 'number', minimum: 0, maximum: 1, description: DESCRIPTION });

const fraction = z.number().min(0).max(1).meta({ description: DESCRIPTION });

/** Three probabilities as a client sends them. Parsed, they are basis points that sum to 10000. */
export const newProbabilities = z
  .strictObject({ bear: probability, base: probability, bull: probability })
  .superRefine(
    (values, context) => {
      if (SCENARIO_NAMES.some((name) => probabilityFault(values[name]) !== null)) return;
      const fault = sumFault(pointsOf(values as Fractions));
      if (fault) {
        context.addIssue({
          code: 'custom',
          message: fault.correction,
          params: { sumFault: fault },
        });
      }
    },
    { when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value) },
  )
  .transform((values): Probabilities => probabilitiesOf(pointsOf(values as Fractions)))
  .meta({
    id: 'NewProbabilities',
    description: 'The probabilities of the three scenarios. They sum to exactly 1.',
    examples: [{ bear: 0.35, base: 0.4, bull: 0.25 }],
  });

function pointsOf({ bear, base, bull }: Fractions): BasisPoints {
  return { bear: basisPoints(bear), base: basisPoints(base), bull: basisPoints(bull) };
}

export const probabilities = z.object({ bear: fraction, base: fraction, bull: fraction }).meta({
  id: 'Probabilities',
  description: 'The probabilities of the three scenarios. They sum to exactly 1.',
  examples: [{ bear: 0.3, base: 0.45, bull: 0.25 }],
});

const delta = z.number().min(-1).max(1);
export const deltas = z.object({ bear: delta, base: delta, bull: delta }).meta({
  id: 'ProbabilityDeltas',
  description: 'The change of each probability since the previous version. The three sum to 0.',
  examples: [{ bear: 0.05, base: -0.05, bull: 0 }],
});
