import { z } from 'zod';
import { ANSWER_WAYS, CHANGE_CAUSES } from '../../domain/review.ts';
import { day, prose, slug, timestamp } from '../../http/fields.ts';
import { citedIds } from './frameworks.ts';
import { author, conditionShape, conditionState } from './outlooks.ts';

export const newAssessment = z
  .strictObject({
    state: conditionState.meta({ description: 'What the condition is from now on.' }),
    rationale: prose.meta({ description: 'What the judgement rests on.' }),
    evidence: citedIds.meta({ description: 'The ids of evidence of this outlook that it cites.' }),
    overrideReason: prose.nullable().default(null).meta({
      description:
        'For a condition that carries a rule: why you go before it. The rule goes on watching.',
    }),
  })
  .meta({ id: 'NewAssessment', description: "An analyst's judgement of a condition." });

const conditionChange = z
  .object({
    state: conditionState,
    cause: z.enum(CHANGE_CAUSES).meta({
      description:
        'Observations that came in, an assessment, a framework whose rule was judged when it was published, or the end of the horizon.',
    }),
    reason: z.string().meta({ description: 'In words.' }),
    day: day.nullable().meta({ description: 'Of the observations that the rule was judged by.' }),
    observations: z.array(
      z
        .object({ series: slug, date: day, value: z.number() })
        .meta({ id: 'SeriesValue', description: 'A value that a rule went by.' }),
    ),
    version: z.int().min(1).meta({ description: 'The version that stood then.' }),
    recordedAt: timestamp,
    assessment: z
      .object({
        author,
        rationale: z.string(),
        overrideReason: z.string().nullable(),
        evidence: z.array(z.uuid()),
      })
      .meta({ id: 'Assessment', description: "An analyst's judgement." })
      .nullable(),
    answer: z
      .object({
        version: z.int().min(1),
        way: z.enum(ANSWER_WAYS),
        reason: z.string().nullable(),
      })
      .meta({ id: 'Answer', description: 'The version that answered it, and how.' })
      .nullable(),
  })
  .meta({ id: 'ConditionChange', description: 'How the state of a condition came to be.' });

const conditionMembers = {
  ...conditionShape,
  state: conditionState,
  lastChange: conditionChange
    .nullable()
    .meta({ description: 'How the state came to be; null where it never changed.' }),
};

export const condition = z
  .object(conditionMembers)
  .meta({ id: 'Condition', description: 'A condition, its state and how that came to be.' });

export const conditionHistory = z
  .object({
    ...conditionMembers,
    changes: z.array(conditionChange).meta({ description: 'Newest first.' }),
    nextCursor: z.string().nullable().meta({ description: 'Null on the last page.' }),
  })
  .meta({ id: 'ConditionHistory', description: 'A condition and all its changes.' });

export const conditions = z
  .object({ items: z.array(condition) })
  .meta({ id: 'Conditions', description: 'The conditions of the version that stands.' });
