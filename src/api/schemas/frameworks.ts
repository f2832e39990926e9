import { z } from 'zod';
import { drawdownLabelFaults } from '../../domain/drawdown.ts';
import { metricFaults, PROVENANCES } from '../../domain/framework.ts';
import { repeated } from '../../domain/errors.ts';
import { headwindFaults } from '../../domain/headwinds.ts';
import { invalidationConditionFaults, OPERATORS } from '../../domain/invalidation.ts';
import { SCENARIO_NAMES } from '../../domain/probabilities.ts';
import { ruleFaults } from '../../domain/rule-faults.ts';
import { DEFAULT_DIRECTIONS, DIRECTIONS, returnBandFaults } from '../../domain/scenarios.ts';
import { newProbabilities } from './probabilities.ts';
import {
  addFaults,
  day,
  ifValid,
  line,
  listOf,
  optionalLine,
  optionalProse,
  prose,
  slug,
  webAddress,
} from '../../http/fields.ts';

const bandEnd = z.number().min(-1).max(1000).nullable().default(null);
const newReturnBand = z.strictObject({ min: bandEnd, max: bandEnd }).meta({
  id: 'NewReturnBand',
  description:
    'Returns over the horizon that a scenario covers, as fractions (-0.1 is −10 %), half-open [min, max); null or left out is an open end. Given for all three scenarios or for none; given, the bands partition the line in the order bear, base, bull.',
  examples: [{ max: -0.1 }],
});

const newScenario = z
  .strictObject({
    title: line,
    outcome: prose,
    conditions: prose,
    direction: z.enum(DIRECTIONS).optional().meta({
      description: 'Where it points. Left out: bear lower, base sideways, bull higher.',
    }),
    directionComment: optionalProse,
    returnBand: newReturnBand.nullable().default(null),
  })
  .meta({ id: 'NewScenario', description: 'What one scenario says.' });

const banded = z.object({ returnBand: newReturnBand.nullable() });
const BANDED = { bear: banded, base: banded, bull: banded };

const newScenarios = z
  .strictObject({ bear: newScenario, base: newScenario, bull: newScenario })
  .superRefine((scenarios, context) => addFaults(context, returnBandFaults(scenarios)), {
    // Whatever else is wrong with a scenario.
    when: ({ value }) => z.object(BANDED).safeParse(value).success,
  })
  .transform((named) => ({
    bear: { ...named.bear, direction: named.bear.direction ?? DEFAULT_DIRECTIONS.bear },
    base: { ...named.base, direction: named.base.direction ?? DEFAULT_DIRECTIONS.base },
    bull: { ...named.bull, direction: named.bull.direction ?? DEFAULT_DIRECTIONS.bull },
  }));

export const headwind = z
  .strictObject({
    key: slug,
    // Not z.int(), whose fault would hide what is wrong between the entries.
    rank: z
      .number()
      .min(1)
      .max(1000)
      .refine(Number.isInteger, { error: 'must be a whole number' })
      .meta({ type: 'integer', description: '1 weighs most; each rank once.' }),
    title: line,
    description: prose,
  })
  .meta({ id: 'Headwind', description: 'What drags on the instrument.' });

const newDrawdownLabel = z
  .strictObject({
    key: slug,
    label: line,
    minDepth: z.number().gt(0).max(1).nullable().default(null).meta({
      description:
        'The drawdown from the running peak from which the label applies, as a fraction (0.2 is 20 %); null where it is told by something else. Depths grow from label to label.',
    }),
    speed: z
      .strictObject({ depth: z.number().gt(0).max(1), days: z.int().min(1).max(3660) })
      .nullable()
      .default(null)
      .meta({
        id: 'NewSpeed',
        description:
          'For a fall that is told by its speed, as a crash is, instead of minDepth: at least so deep below the highest close of the last so many calendar days. Only falls within that many days count.',
        examples: [{ depth: 0.2, days: 10 }],
      }),
    typicalCause: prose,
    implication: prose,
  })
  .meta({ id: 'NewDrawdownLabel', description: 'What a fall of the instrument is called.' });

const newComparison = z
  .strictObject({
    series: slug.meta({ description: 'The key of a series that exists.' }),
    operator: z.enum(OPERATORS).meta({
      description:
        'How the observations compare with the threshold: below (lt), at or below (lte), above (gt), at or above (gte); or that they are beyond it and the one before them is not (crossesAbove, crossesBelow).',
    }),
    threshold: z.number(),
    forObservations: z.int().min(1).max(1000).default(1).meta({
      description: 'How many of the newest observations in a row must compare so.',
    }),
  })
  .meta({
    id: 'NewComparison',
    description: 'A series compared with a threshold.',
    examples: [{ series: 'us-10y-yield', operator: 'lt', threshold: 4, forObservations: 5 }],
  });
const several = z.array(newComparison).min(2).max(10);
const newRule = z
  .union([
    newComparison,
    z.strictObject({ all: several }).meta({ id: 'NewAllRule', description: 'Each must hold.' }),
    z.strictObject({ any: several }).meta({ id: 'NewAnyRule', description: 'One must hold.' }),
  ])
  .superRefine((rule, context) => addFaults(context, ruleFaults(rule)), ifValid);

const newInvalidationCondition = z
  .strictObject({
    key: slug,
    invalidates: z.enum(SCENARIO_NAMES).meta({ description: 'The scenario it would prove wrong.' }),
    statement: prose,
    rule: newRule.nullable().default(null).meta({
      description: 'What observations trigger it; null where an analyst assesses it.',
    }),
  })
  .meta({
    id: 'NewInvalidationCondition',
    description: 'What would show a scenario to be wrong.',
  });

export const risk = z
  .strictObject({ area: line, whyItMatters: prose, currentRead: prose })
  .meta({ id: 'Risk', description: 'An area of risk, and where it stands.' });

const newPositioning = z
  .strictObject({ investorType: line, approach: prose, watchpoints: listOf(line) })
  .meta({ id: 'NewPositioning', description: 'What one type of investor may do, and watch.' });

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
    id: 'NewMetric',
    description:
      'A figure the outlook rests on. A qualitative one has no value and needs a display; a sourced one needs its source and its date.',
  });

export const faq = z
  .strictObject({ question: prose, answer: prose })
  .meta({ id: 'Faq', description: 'A question that readers ask, and the answer.' });

const newReference = z
  .strictObject({
    title: line,
    publisher: optionalLine,
    url: webAddress.nullable().default(null),
    publishedOn: day.nullable().default(null),
  })
  .meta({ id: 'NewReference', description: 'A source.' });

/** The members of a framework, as they stand in a request. */
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

/** Ids of evidence, each once. */
export const citedIds = z
  .array(z.uuid({ error: 'must be the id of an item of evidence' }).toLowerCase())
  .max(100)
  .superRefine(
    (ids, context) => {
      const faulty = new Set(context.issues.map(({ path }) => path?.[0]));
      for (const [index, id] of ids.entries()) {
        if (faulty.has(index) || ids.indexOf(id) === index) continue;
        context.addIssue({ code: 'custom', path: [index], message: 'is cited already' });
      }
    },
    { when: ({ value }) => Array.isArray(value) && value.length <= 100 },
  )
  .default([]);

const acknowledgement = z.strictObject({ condition: slug, reason: prose }).meta({
  id: 'Acknowledgement',
  description: 'Why the scenario that a triggered condition speaks against keeps its weight.',
});

/** What a version may rest on, beside its rationale. */
export const reasonsShape = {
  evidence: citedIds.meta({
    description: 'The ids of evidence of this outlook that the version cites.',
  }),
  acknowledges: listOf(acknowledgement, (entries) => repeated(entries, 'condition')).meta({
    description:
      'Answers to conditions that stand triggered. Each must be answered, so or by less weight for the scenario that it invalidates.',
  }),
};

/** A framework and what rides along, after a patch was applied to what stands. */
export const patchedFramework = z.strictObject({
  rationale: prose,
  probabilities: newProbabilities.exactOptional(),
  ...reasonsShape,
  ...newFrameworkShape,
});

/** A member of a patch: left out it stays, so it has no default. */
const kept = (schema: z.ZodType): z.ZodType =>
  (schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : schema).optional();

const keptAll = (shape: Record<string, z.ZodType>) =>
  z.strictObject(
    Object.fromEntries(Object.entries(shape).map(([name, schema]) => [name, kept(schema)])),
  );

const scenarioPatch = keptAll(newScenario.shape).meta({
  id: 'ScenarioPatch',
  description: 'What changes in one scenario.',
});

/** What a patch may hold; for the document only, as a patch is judged by what it results in. */
export const frameworkPatch = keptAll({
  ...newFrameworkShape,
  ...reasonsShape,
  probabilities: newProbabilities,
})
  .extend({
    rationale: prose.meta({ description: 'Why this version differs from the one before.' }),
    scenarios: z
      .strictObject({ bear: scenarioPatch, base: scenarioPatch, bull: scenarioPatch })
      .partial()
      .optional(),
  })
  .meta({
    id: 'FrameworkPatch',
    description:
      'A merge patch (RFC 7396) of the qualitative part, with the rationale of the new version. What is left out stays; null takes an optional member away; a list is replaced as a whole. Probabilities may ride along.',
  });
