import { z } from 'zod';
import { SCENARIO_NAMES } from '../domain/probabilities.ts';
import { slug, timestamp } from './fields.ts';
import { horizonReturn } from './closes-schema.ts';
import { disclosure } from './disclosure-schema.ts';

const fieldError = z
  .object({
    pointer: z.string().meta({ description: 'A JSON Pointer (RFC 6901) to the field.' }),
    detail: z.string().meta({ description: 'What is wrong with the field and how to fix it.' }),
    in: z.enum(['query', 'path', 'header']).optional().meta({
      description: 'The part of the request that the pointer refers to. Absent for the body.',
    }),
  })
  .meta({ id: 'FieldError', description: 'One faulty field.' });

export const problemDocument = z
  .object({
    type: z.string().meta({
      description:
        'A path that identifies the kind of problem. GET it to read what the problem means.',
    }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().optional(),
    errors: z.array(fieldError).optional(),
    sum: z
      .number()
      .optional()
      .meta({ description: 'Only for `probability-sum`: the sum of the three probabilities.' }),
    excess: z.number().optional().meta({ description: 'Only for `probability-sum`: sum − 1.' }),
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
          .meta({
            id: 'OpenCondition',
            description: 'A triggered condition that no version has answered yet.',
          }),
      )
      .optional()
      .meta({
        description:
          'Only for `condition-unanswered`: the conditions that the next version must answer.',
      }),
    closes: horizonReturn
      .optional()
      .meta({ description: 'Only for `outcome-contradicted`: the return computed from closes.' }),
    draft: z
      .int()
      .optional()
      .meta({ description: 'Only for `proposal-changed`: the number of the newest draft.' }),
    changes: z.array(z.string()).optional().meta({
      description:
        'Only for `proposal-changed`: JSON Pointers to what differs between the two drafts, at most 100.',
    }),
    disclosure: disclosure.optional().meta({
      description: 'Only for `disclosure-changed` and `series-internal`: what would open now.',
    }),
  })
  .meta({
    id: 'Problem',
    description: 'An error (RFC 9457). `errors` lists every faulty field at once.',
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
  .meta({
    id: 'ProblemType',
    description: 'A kind of problem: what it means and how to fix the request.',
  });
