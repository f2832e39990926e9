import { z } from 'zod';
import { JUDGED_ON, OPERATORS } from '../../domain/condition-rules.ts';
import { SCENARIO_NAMES } from '../../domain/probabilities.ts';
import { ruleFaults } from '../../domain/rule-faults.ts';
import { addFaults, ifValid, prose, slug } from '../../http/fields.ts';

const newComparison = z
  .strictObject({
    series: slug.meta({ description: 'The key of an existing series.' }),
    operator: z.enum(OPERATORS).meta({
      description:
        'How the observations must compare with the threshold: below (`lt`), at or below (`lte`), above (`gt`), at or above (`gte`), or beyond it while the observation before them is not (`crossesAbove`, `crossesBelow`).',
    }),
    threshold: z.number(),
    forObservations: z.int().min(1).max(1000).default(1).meta({
      description: 'How many of the newest observations must meet the comparison, in a row.',
    }),
    judgedOn: z.enum(JUDGED_ON).nullable().default(null).meta({
      description:
        'The day on which an observation counts. `periodEnd`, also if null or left out: the last day of its period, with its newest value, so a correction changes that day. `recorded`: the UTC day on which it was recorded, so the rule sees on each day what was known at the end of that day.',
    }),
  })
  .meta({
    id: 'ComparisonInput',
    description: 'A series compared with a threshold.',
    examples: [{ series: 'us-10y-yield', operator: 'lt', threshold: 4, forObservations: 5 }],
  });
const several = z.array(newComparison).min(2).max(10);
const newRule = z
  .union([
    newComparison,
    z.strictObject({
      all: several.meta({ description: 'Comparisons that must all hold. Send no other member.' }),
    }),
    z.strictObject({
      any: several.meta({
        description: 'Comparisons of which at least one must hold. Send no other member.',
      }),
    }),
  ])
  .superRefine((rule, context) => addFaults(context, ruleFaults(rule)), ifValid)
  .meta({
    id: 'RuleInput',
    description:
      'When observations trigger a condition. Send one of three forms: a comparison (`series`, `operator`, `threshold`, and optionally `forObservations`, 1 if left out, and `judgedOn`), or only `all`, or only `any`.',
    examples: [
      { series: 'us-10y-yield', operator: 'lt', threshold: 4, forObservations: 5 },
      {
        all: [
          { series: 'us-10y-yield', operator: 'lt', threshold: 4 },
          { series: 'us-hy-oas', operator: 'lt', threshold: 3 },
        ],
      },
    ],
  });

export const newInvalidationCondition = z
  .strictObject({
    key: slug,
    invalidates: z
      .enum(SCENARIO_NAMES)
      .meta({ description: 'The scenario that the condition would prove wrong.' }),
    statement: prose,
    rule: newRule.nullable().default(null).meta({
      description: 'The rule that triggers the condition. Null if an analyst assesses it.',
    }),
  })
  .meta({
    id: 'InvalidationConditionInput',
    description: 'A condition that would prove a scenario wrong.',
  });
