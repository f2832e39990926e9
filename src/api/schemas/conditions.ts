import { z } from 'zod';
import { ANSWER_WAYS, CHANGE_CAUSES } from '../../domain/review.ts';
import { day, prose, slug, timestamp } from '../../http/fields.ts';
import { citedIds } from './frameworks.ts';
import { author, conditionShape, conditionState } from './outlooks.ts';

export const newAssessment = z
  .strictObject({
    state: conditionState.meta({ description: 'The new state of the condition.' }),
    rationale: prose.meta({ description: 'The grounds for the assessment.' }),
    evidence: citedIds.meta({
      description:
        'The ids of the evidence that the assessment cites. It must belong to this outlook.',
    }),
    overrideReason: prose.nullable().default(null).meta({
      description:
        'Required if the condition has a rule: why you override it. The rule stays active.',
    }),
  })
  .meta({ id: 'AssessmentInput', description: "An analyst's assessment of a condition." });

export const seriesValue = z
  .object({ series: slug, date: day, value: z.number() })
  .meta({ id: 'SeriesValue', description: 'A value that a rule was evaluated with.' });

const conditionChange = z
  .object({
    state: conditionState,
    cause: z.enum(CHANGE_CAUSES).meta({
      description:
        'What changed the state: new observations, an assessment, the publication of a framework with a rule, or the end of the horizon.',
    }),
    reason: z.string().meta({ description: 'The change as a sentence.' }),
    day: day
      .nullable()
      .meta({ description: 'The day as of which the rule was evaluated. Null without a rule.' }),
    observations: z.array(seriesValue),
    version: z.int().min(1).meta({ description: 'The current version at that time.' }),
    recordedAt: timestamp,
    assessment: z
      .object({
        author,
        rationale: z.string(),
        overrideReason: z.string().nullable(),
        evidence: z.array(z.uuid()),
      })
      .meta({ id: 'Assessment', description: "An analyst's assessment." })
      .nullable(),
    answer: z
      .object({
        version: z.int().min(1),
        way: z.enum(ANSWER_WAYS),
        reason: z.string().nullable(),
      })
      .meta({ id: 'Answer', description: 'The version that answered the condition, and how.' })
      .nullable(),
  })
  .meta({ id: 'ConditionChange', description: "A change of a condition's state, and its cause." });

const conditionMembers = {
  ...conditionShape,
  state: conditionState,
  lastChange: conditionChange
    .nullable()
    .meta({ description: 'The latest change of the state. Null if the state never changed.' }),
};

export const condition = z
  .object(conditionMembers)
  .meta({ id: 'Condition', description: 'A condition, its state and the latest change of it.' });

export const conditionHistory = z
  .object({
    ...conditionMembers,
    changes: z.array(conditionChange).meta({ description: 'Newest first.' }),
    nextCursor: z.string().nullable().meta({ description: 'Null on the last page.' }),
  })
  .meta({ id: 'ConditionHistory', description: 'A condition and all changes of its state.' });

export const conditions = z
  .object({ items: z.array(condition) })
  .meta({ id: 'Conditions', description: 'The conditions of the current version.' });
