import { z } from 'zod';
import {
  type BasisPoints,
  basisPoints,
  type Fractions,
  type Probabilities,
  probabilitiesOf,
  probabilityFaults,
  sumFault,
} from '../../domain/probabilities.ts';
import { addFaults } from '../../http/fields.ts';

const DESCRIPTION =
  'A fraction with at most four decimals (steps of a basis point, 0.0001): 35 % is 0.35.';

// Not z.number(): the domain words the faults for values of any type, and for the three together.
const probability = z.unknown().meta({
  type: 'number',
  minimum: 0,
  maximum: 1,
  description: `${DESCRIPTION} A double's noise is ignored: a number within 1e-9 of a basis point is that basis point, so 1 − 0.55 − 0.3 may be sent as it is.`,
});

const fraction = z.number().min(0).max(1).meta({ description: DESCRIPTION });

/** Three probabilities as a client sends them. Parsed, they are basis points that sum to 10000. */
export const newProbabilities = z
  .strictObject({ bear: probability, base: probability, bull: probability })
  .superRefine(
    (values, context) => {
      const faults = probabilityFaults(values);
      addFaults(context, faults);
      if (faults.length > 0) return;
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
    id: 'ProbabilitiesInput',
    description:
      "The probabilities of the three scenarios. They sum to exactly 1 in basis points, a double's noise aside.",
    examples: [{ bear: 0.35, base: 0.4, bull: 0.25 }],
  });

/** A number in a query that is not negative, as JSON and JavaScript write doubles. */
const QUERY_NUMBER = String.raw`(?:0|[1-9]\d{0,24})(?:\.\d{1,25})?(?:e[+-]?\d{1,3})?`;

/** Three fractions in a query, for the OpenAPI document. */
export const THREE_FRACTIONS = Array.from({ length: 3 }, () => QUERY_NUMBER).join(',');

/** A number in a query, as JSON and JavaScript write doubles; NaN for any other text. */
export function queryNumber(text: string): number {
  return /^-?(?:0|[1-9]\d{0,24})(?:\.\d{1,25})?(?:e[+-]?\d{1,3})?$/.test(text) ? Number(text) : NaN;
}

export function pointsOf({ bear, base, bull }: Fractions): BasisPoints {
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
