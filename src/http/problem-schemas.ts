import { z } from 'zod';
import { SCENARIO_NAMES } from '../domain/probabilities.ts';
import { slug, timestamp } from './fields.ts';
import { horizonReturn } from './closes-schema.ts';

const fieldError = z
  .object({
    pointer: z.string().meta({ description: 'A JSON Pointer (RFC 6901) to the field.' }),
    detail: z.string().meta({ description: 'What is wrong with it and how to mend it.' }),
    in: z.enum(['query', 'path', 'header']).optional().meta({
      description: 'Where the pointer points into; absent, it is the body.',
    }),
  })
  .meta({ id: 'FieldError', description: 'One faulty field.' });

export const problemDocument = z
  .object({
    type: z
      .string()
      .meta({ description: 'A path that answers a GET with what the problem means.' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().optional(),
    errors: z.array(fieldError).optional(),
    sum: z.number().optional().meta({ description: 'Of a probability-sum: what it came to.' }),
    excess: z.number().optional().meta({ description: 'Of a probability-sum: sum − 1.' }),
    conditions: z
      .array(
        z
          .object({
            key: slug,
            invalidates: z.enum(SCENARIO_NAMES),
            statement: z.string(),
            reason: z.string(),
            triggeredAt: timestamp,
          })
          .meta({ id: 'OpenCondition', description: 'A condition that waits for an answer.' }),
      )
      .optional()
      .meta({ description: 'Of a condition-unanswered: those that wait for an answer.' }),
    closes: horizonReturn
      .optional()
      .meta({ description: 'Of an outcome-contradicted: what the closes say.' }),
  })
  .meta({
    id: 'Problem',
    description: 'A refusal (RFC 9457). `errors` tells all faulty fields at once.',
    examples: [
      {
        type: '/problems/probability-sum',
        title: 'Probabilities must sum to 1',
        status: 422,
        detail: 'bear 0.35 + base 0.45 + bull 0.25 = 1.05, which is 0.05 too much.',
        instance: '/v1/outlooks/russell-2000-downside/revisions',
        sum: 1.05,
        excess: 0.05,
        errors: [{ pointer: '/probabilities', detail: 'sums to 1.05; take 0.05 away' }],
      },
    ],
  });

export const problemType = z
  .object({
    type: z.string(),
    status: z.int(),
    title: z.string(),
    meaning: z.string(),
    mend: z.string(),
  })
  .meta({ id: 'ProblemType', description: 'A kind of problem: what it means, how to mend it.' });
