import { z } from 'zod';
import { PROVENANCES } from '../../domain/framework.ts';
import { POOL_METHODS, POOL_WEIGHTS } from '../../domain/consensus.ts';
import { VERSION_KINDS } from '../../domain/hash-chain.ts';
import { CONDITION_STATES, JUDGED_ON, OPERATORS } from '../../domain/condition-rules.ts';
import { OUTLOOK_STATUSES } from '../../domain/outlook.ts';
import { SCENARIO_NAMES } from '../../domain/probabilities.ts';
import { ANSWER_WAYS } from '../../domain/review.ts';
import { DIRECTIONS } from '../../domain/scenarios.ts';
import { day, sha256, slug, symbol, timestamp } from '../../http/fields.ts';
import { deskName, visibility } from './desks.ts';
import { faq, headwind, risk } from './frameworks.ts';
import { newHorizon } from './horizon.ts';
import { resolved, resolvedSummary } from './outcomes.ts';
import { deltas, probabilities } from './probabilities.ts';

export const author = z
  .object({ id: z.uuid(), name: z.string() })
  .meta({ id: 'Author', description: 'The analyst who published it, identified by the key.' });

export const approvers = z.array(author).meta({
  description:
    'The analysts who approved it, because the policy of the desk asks for that. Empty if it needed no approval.',
});

export const change = z
  .object({
    kind: z.enum(VERSION_KINDS).meta({
      description:
        '`reaffirmed` and `withdrawn` keep the probabilities and the framework; `withdrawn` closes the outlook.',
    }),
    previousVersion: z.int().nullable(),
    deltas: deltas.nullable(),
  })
  .meta({ id: 'Change', description: 'How a version differs from the previous one.' });

const weight = z.number().min(0).max(1);
const directions = z.object({ lower: weight, sideways: weight, higher: weight }).meta({
  id: 'Directions',
  description: 'The probability of each direction: the sum over the scenarios with that direction.',
  examples: [{ lower: 0.3, sideways: 0.45, higher: 0.25 }],
});

const bandEnd = z.number().nullable();
const returnBand = z.object({ min: bandEnd, max: bandEnd }).meta({
  id: 'ReturnBand',
  description:
    'The returns over the horizon that a scenario covers, as fractions (-0.1 is −10 %), half-open [min, max). Null is an open end. The three bands join without gap or overlap. A return below `min` of bear counts as bear, and one from `max` of bull on as bull.',
  examples: [{ min: null, max: -0.1 }],
});

const scenario = z
  .object({
    title: z.string(),
    probability: weight,
    outcome: z.string(),
    conditions: z.string(),
    direction: z.enum(DIRECTIONS),
    directionComment: z.string().nullable(),
    returnBand: returnBand.nullable(),
    centralReturn: z.number().nullable().meta({
      description: 'The return over the horizon that the desk expects in this scenario.',
    }),
  })
  .meta({ id: 'Scenario', description: 'One scenario with its probability.' });

const scenarios = z
  .object({ bear: scenario, base: scenario, bull: scenario })
  .meta({ id: 'Scenarios', description: 'The three scenarios.' });

const speed = z.object({ depth: z.number(), days: z.int() }).meta({
  id: 'Speed',
  description:
    'For a label defined by speed: at least `depth` below the highest close of the last `days` days.',
});

export const drawdownLabel = z
  .object({
    key: slug,
    label: z.string(),
    minDepth: z.number().nullable(),
    speed: speed.nullable(),
    typicalCause: z.string(),
    implication: z.string(),
  })
  .meta({
    id: 'DrawdownLabel',
    description: 'The name for a fall, and the depth or speed from which it applies.',
  });

const comparison = z
  .object({
    series: slug,
    operator: z.enum(OPERATORS),
    threshold: z.number(),
    forObservations: z.int(),
    judgedOn: z.enum(JUDGED_ON).nullable().meta({
      description:
        'The day on which an observation counts: `periodEnd`, the last day of its period, or `recorded`, the UTC day on which it was recorded. Null means `periodEnd`.',
    }),
  })
  .meta({ id: 'Comparison', description: 'A series compared with a threshold.' });
const several = z.array(comparison);
const rule = z
  .union([
    comparison,
    z.object({ all: several.meta({ description: 'Comparisons that must all hold.' }) }),
    z.object({
      any: several.meta({ description: 'Comparisons of which at least one must hold.' }),
    }),
  ])
  .meta({
    id: 'Rule',
    description:
      'When observations trigger a condition. It has one of three forms: a comparison (`series`, `operator`, `threshold`, `forObservations` and `judgedOn`), or only `all`, or only `any`.',
    examples: [
      {
        series: 'us-10y-yield',
        operator: 'lt',
        threshold: 4,
        forObservations: 5,
        judgedOn: null,
      },
    ],
  });

export const conditionShape = {
  key: slug,
  invalidates: z.enum(SCENARIO_NAMES),
  statement: z.string(),
  rule: rule.nullable().meta({
    description: 'The rule that triggers the condition. Null if an analyst assesses it.',
  }),
};
export const conditionState = z.enum(CONDITION_STATES);

/** The text of a condition, without its state. */
export const invalidationConditionText = z
  .object(conditionShape)
  .meta({ id: 'InvalidationConditionText', description: 'A condition without its state.' });

const invalidationCondition = z
  .object({
    ...conditionShape,
    state: conditionState,
  })
  .meta({ id: 'InvalidationCondition', description: 'A condition and its state.' });

export const positioning = z
  .object({ investorType: z.string(), approach: z.string(), watchpoints: z.array(z.string()) })
  .meta({ id: 'Positioning', description: 'What one type of investor may do and should watch.' });

export const metric = z
  .object({
    name: z.string(),
    value: z.number().nullable(),
    unit: z.string().nullable(),
    display: z.string().nullable(),
    source: z.string().nullable(),
    asOf: day.nullable(),
    provenance: z.enum(PROVENANCES),
  })
  .meta({ id: 'Metric', description: 'A figure that the outlook rests on.' });

export const reference = z
  .object({
    title: z.string(),
    publisher: z.string().nullable(),
    url: z.string().nullable(),
    publishedOn: day.nullable(),
  })
  .meta({ id: 'Reference', description: 'A published source.' });

const citedEvidence = z
  .object({ id: z.uuid(), headline: z.string() })
  .meta({ id: 'CitedEvidence', description: 'An item of evidence that a version cites.' });

const conditionAnswer = z
  .object({
    condition: slug,
    way: z.enum(ANSWER_WAYS),
    reason: z.string().nullable().meta({
      description:
        'Null if the version lowered the probability of the scenario or reaffirmed all probabilities.',
    }),
  })
  .meta({
    id: 'ConditionAnswer',
    description: 'How a version answered a triggered condition.',
  });

const publishedConsensus = z
  .object({
    method: z.enum(POOL_METHODS),
    weights: z.enum(POOL_WEIGHTS),
    maxAge: z.int().nullable().meta({
      description: 'Views older than this many days were left out. Null if age did not matter.',
    }),
    views: z
      .array(
        z.object({ analyst: author, version: z.int().min(1), weight }).meta({
          id: 'PooledView',
          description: 'A version of a view, and its weight in the pool.',
        }),
      )
      .meta({ description: 'The views. Empty without a key.' }),
  })
  .meta({ id: 'PublishedConsensus', description: 'The views that a version pooled, and how.' });

export const instrumentName = z
  .object({ symbol, name: z.string() })
  .meta({ id: 'InstrumentName', description: 'The instrument that the outlook is about.' });

export const review = z.object({ due: z.boolean(), reasons: z.array(z.string()) }).meta({
  id: 'Review',
  description:
    'Whether a review is due, and why: a triggered condition has no answer, the horizon is over and the outcome is missing, or closes contradict the resolution.',
});

const summaryShape = {
  slug,
  title: z.string(),
  instrument: instrumentName,
  horizon: newHorizon,
  status: z.enum(OUTLOOK_STATUSES),
  review,
  version: z.int().min(1),
  publishedAt: timestamp.meta({ description: 'When the ledger recorded this version.' }),
  author,
};

export const outlookSummary = z
  .object({
    ...summaryShape,
    change,
    probabilities,
    directions,
    resolution: resolvedSummary.nullable().meta({
      description:
        'The outcome. Null until it is recorded, after a reopening, and in a list as of an earlier time.',
    }),
    desk: deskName,
    visibility,
  })
  .meta({ id: 'OutlookSummary', description: 'An outlook as a list item.' });

export const outlook = z
  .object({
    ...summaryShape,
    rationale: z.string(),
    hash: sha256.meta({
      description: 'Covers this version and, through `previousHash`, every earlier one.',
    }),
    previousHash: sha256.nullable(),
    frameworkHash: sha256,
    change,
    evidence: z.array(citedEvidence),
    answers: z.array(conditionAnswer),
    consensus: publishedConsensus.nullable().meta({
      description: 'Set if the probabilities were pooled from the views of analysts, else null.',
    }),
    approvedBy: approvers,
    resolution: resolved.nullable().meta({
      description:
        'The outcome, once it is recorded. Always null in a numbered version, because it was unknown at publication.',
    }),
    continues: slug.nullable().meta({
      description: 'The slug of the outlook that this one continues over a later horizon.',
    }),
    continuedBy: slug.nullable().meta({
      description:
        'The slug of the outlook that continues this one over a later horizon; of several, the newest. Always null in a numbered version.',
    }),
    desk: deskName,
    visibility,
    probabilities,
    directions,
    scenarios,
    headwinds: z.array(headwind),
    drawdownLabels: z.array(drawdownLabel),
    invalidationConditions: z.array(invalidationCondition),
    risks: z.array(risk),
    positioning: z.array(positioning),
    metrics: z.array(metric),
    faqs: z.array(faq),
    references: z.array(reference),
    summary: z.string(),
    methodology: z.string().nullable(),
    disclaimer: z.string().nullable(),
  })
  .meta({ id: 'Outlook', description: 'One complete version of an outlook.' });
