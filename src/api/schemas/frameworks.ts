import { z } from 'zod';
import { drawdownLabelFaults } from '../../domain/drawdown.ts';
import { metricFaults, PROVENANCES } from '../../domain/framework.ts';
import { repeated } from '../../domain/errors.ts';
import { headwindFaults } from '../../domain/headwinds.ts';
import { invalidationConditionFaults } from '../../domain/condition-rules.ts';
import {
  centralReturnFaults,
  DEFAULT_DIRECTIONS,
  DIRECTIONS,
  returnBandFaults,
} from '../../domain/scenarios.ts';
import { newProbabilities } from './probabilities.ts';
import { newInvalidationCondition } from './rules.ts';
import {
  addFaults,
  day,
  line,
  listOf,
  optionalLine,
  optionalProse,
  prose,
  slug,
  webAddress,
  withRule,
} from '../../http/fields.ts';

// Rates and oil have fallen below zero, so a return may be less than −1.
const returnBound = z.number().min(-1000).max(1000);
const bandEnd = returnBound.nullable().default(null);
const newReturnBand = z.strictObject({ min: bandEnd, max: bandEnd }).meta({
  id: 'ReturnBandInput',
  description:
    'The returns over the horizon that a scenario covers, as fractions (-0.1 is −10 %), half-open [min, max). Null or left out means an open end. Give bands for all three scenarios or for none. They must join without gap or overlap, in the order bear, base, bull. `min` of bear and `max` of bull may be open or say how far the desk expects the return to go; a return beyond them still counts as bear or bull.',
  examples: [{ max: -0.1 }],
});

const newScenario = withRule(
  z.strictObject({
    title: line,
    outcome: prose,
    conditions: prose,
    direction: z.enum(DIRECTIONS).optional().meta({
      description:
        'The direction of the scenario. Left out: `lower` for bear, `sideways` for base, `higher` for bull.',
    }),
    directionComment: optionalProse,
    returnBand: newReturnBand.nullable().default(null),
    centralReturn: returnBound.nullable().default(null).meta({
      description:
        "The return over the horizon that the desk expects in this scenario, as a fraction within the scenario's band. If all three scenarios have one, the expected return has a `central` value.",
    }),
  }),
  centralReturnFaults,
).meta({
  id: 'ScenarioInput',
  description: 'One scenario: its text, and the returns that it covers.',
});

const banded = z.object({ returnBand: newReturnBand.nullable() });
const BANDED = { bear: banded, base: banded, bull: banded };

const newScenarios = z
  .strictObject({ bear: newScenario, base: newScenario, bull: newScenario })
  .superRefine((scenarios, context) => addFaults(context, returnBandFaults(scenarios)), {
    // Runs even if other members of a scenario are invalid.
    when: ({ value }) => z.object(BANDED).safeParse(value).success,
  })
  .transform((named) => ({
    bear: { ...named.bear, direction: named.bear.direction ?? DEFAULT_DIRECTIONS.bear },
    base: { ...named.base, direction: named.base.direction ?? DEFAULT_DIRECTIONS.base },
    bull: { ...named.bull, direction: named.bull.direction ?? DEFAULT_DIRECTIONS.bull },
  }))
  .meta({ id: 'ScenariosInput', description: 'The three scenarios.' });

export const headwind = z
  .strictObject({
    key: slug,
    // Not z.int(): its issue would hide the faults between entries.
    rank: z
      .number()
      .min(1)
      .max(1000)
      .refine(Number.isInteger, { error: 'must be a whole number' })
      .meta({
        type: 'integer',
        description: '1 is the most important. Each rank may be used once.',
      }),
    title: line,
    description: prose,
  })
  .meta({ id: 'Headwind', description: 'A force that weighs on the instrument.' });

const newSpeed = z
  .strictObject({ depth: z.number().gt(0).max(1), days: z.int().min(1).max(3660) })
  .meta({
    id: 'SpeedInput',
    description:
      'Instead of minDepth, for a fall defined by its speed, such as a crash: at least `depth` below the highest close of the last `days` calendar days.',
    examples: [{ depth: 0.2, days: 10 }],
  });

const newDrawdownLabel = z
  .strictObject({
    key: slug,
    label: line,
    minDepth: z.number().gt(0).max(1).nullable().default(null).meta({
      description:
        'The drawdown from the running peak at which the label starts to apply, as a fraction (0.2 is 20 %). Null if the label does not depend on depth. Depths must increase from label to label.',
    }),
    speed: newSpeed.nullable().default(null),
    typicalCause: prose,
    implication: prose,
  })
  .meta({ id: 'DrawdownLabelInput', description: 'The name for a fall of the instrument.' });

export const risk = z
  .strictObject({ area: line, whyItMatters: prose, currentRead: prose })
  .meta({ id: 'Risk', description: 'An area of risk and its current read.' });

const newPositioning = z
  .strictObject({ investorType: line, approach: prose, watchpoints: listOf(line) })
  .meta({
    id: 'PositioningInput',
    description: 'What one type of investor may do and should watch.',
  });

const newMetric = z
  .strictObject({
    name: line,
    value: z.number().nullable().default(null),
    unit: optionalLine,
    display: optionalLine,
    source: optionalLine,
    asOf: day.nullable().default(null),
    provenance: z.enum(PROVENANCES),
  })
  .superRefine((metric, context) => addFaults(context, metricFaults(metric)), {
    when: ({ value }) => typeof value === 'object' && value !== null,
  })
  .meta({
    id: 'MetricInput',
    description:
      'A figure that the outlook rests on. A qualitative metric has a null value and requires `display`. A sourced metric requires `source` and `asOf`.',
  });

export const faq = z
  .strictObject({ question: prose, answer: prose })
  .meta({ id: 'Faq', description: 'A question that readers ask, and its answer.' });

const newReference = z
  .strictObject({
    title: line,
    publisher: optionalLine,
    url: webAddress.nullable().default(null),
    publishedOn: day.nullable().default(null),
  })
  .meta({ id: 'ReferenceInput', description: 'A published source.' });

/** The members of a framework in a request. */
export const newFrameworkShape = {
  title: line,
  summary: prose,
  methodology: optionalProse,
  disclaimer: optionalProse,
  scenarios: newScenarios,
  headwinds: listOf(headwind, headwindFaults),
  drawdownLabels: listOf(newDrawdownLabel, drawdownLabelFaults),
  invalidationConditions: listOf(newInvalidationCondition, invalidationConditionFaults),
  risks: listOf(risk),
  positioning: listOf(newPositioning),
  metrics: listOf(newMetric),
  faqs: listOf(faq),
  references: listOf(newReference),
};

/** Ids of evidence, without duplicates. */
export const citedIds = z
  .array(z.uuid({ error: 'must be the id of an item of evidence' }).toLowerCase())
  .max(100)
  .superRefine(
    (ids, context) => {
      const faulty = new Set(context.issues.map(({ path }) => path?.[0]));
      for (const [index, id] of ids.entries()) {
        if (faulty.has(index) || ids.indexOf(id) === index) continue;
        context.addIssue({ code: 'custom', path: [index], message: 'is already cited' });
      }
    },
    { when: ({ value }) => Array.isArray(value) && value.length <= 100 },
  )
  .default([]);

const acknowledgement = z.strictObject({ condition: slug, reason: prose }).meta({
  id: 'Acknowledgement',
  description:
    'Why the probability of the scenario stays, although a triggered condition speaks against it.',
});

/** What a version may cite besides its rationale. */
export const reasonsShape = {
  evidence: citedIds.meta({
    description: 'The ids of the evidence that the version cites. It must belong to this outlook.',
  }),
  acknowledges: listOf(acknowledgement, (entries) => repeated(entries, 'condition')).meta({
    description:
      'Reasons for triggered conditions. Each triggered condition must be answered: by a reason here, or by a lower probability of the scenario that it invalidates.',
  }),
};

/** A framework and its accompanying members, after a patch was applied to the current version. */
export const patchedFramework = z.strictObject({
  rationale: prose,
  probabilities: newProbabilities.exactOptional(),
  ...reasonsShape,
  ...newFrameworkShape,
});

/** A member of a patch. It has no default, because a member that is left out stays unchanged. */
const patchMember = (schema: z.ZodType): z.ZodType =>
  (schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : schema).optional();

const patchMembers = (shape: Record<string, z.ZodType>) =>
  z.strictObject(
    Object.fromEntries(Object.entries(shape).map(([name, schema]) => [name, patchMember(schema)])),
  );

const scenarioPatch = patchMembers(newScenario.shape).meta({
  id: 'ScenarioPatch',
  description: 'Changes to one scenario.',
});

/** What a patch may contain. For the document only: validation checks the result of the patch. */
export const frameworkPatch = patchMembers({
  ...newFrameworkShape,
  ...reasonsShape,
  probabilities: newProbabilities,
})
  .extend({
    rationale: prose.meta({ description: 'Why this version differs from the previous one.' }),
    scenarios: z
      .strictObject({ bear: scenarioPatch, base: scenarioPatch, bull: scenarioPatch })
      .partial()
      .meta({ id: 'ScenariosPatch', description: 'Changes to the scenarios.' })
      .optional(),
  })
  .meta({
    id: 'FrameworkPatch',
    description:
      'A merge patch (RFC 7396) of the framework, with the rationale of the new version. Members that are left out stay, null removes an optional member, and a list replaces the whole list. The patch may change the probabilities as well.',
  });
