import { z } from 'zod';
import { slug, timestamp } from '../../http/fields.ts';
import { faq, headwind, risk } from './frameworks.ts';
import {
  author,
  drawdownLabel,
  invalidationConditionText,
  metric,
  positioning,
  reference,
} from './outlooks.ts';
import { deltas, probabilities } from './probabilities.ts';

const side = z
  .object({ version: z.int().min(1), publishedAt: timestamp, author })
  .meta({ id: 'DiffSide', description: 'One of the two versions that are compared.' });

const alteration = z
  .object({
    pointer: z.string().meta({
      description: 'A JSON Pointer (RFC 6901) from the outlook, or from the entry of a list.',
    }),
    before: z.unknown(),
    after: z.unknown(),
  })
  .meta({ id: 'Alteration', description: 'A member whose value differs.' });

const index = z.int().min(0);
const identity = {
  key: z.string().meta({
    description: 'What the entry is told by: its key, area, investorType, name, question or title.',
  }),
  occurrence: z.int().min(1).meta({
    description: 'Which use of that key it is, where a list uses one again; 1 is the first.',
  }),
};

const listDiff = (id: string, entry: z.ZodType) => {
  const placed = z.object({
    ...identity,
    index: index.meta({ description: 'Where it stands in the list that has it, from 0.' }),
    entry,
  });
  return z
    .object({
      added: z.array(placed),
      removed: z.array(placed),
      altered: z.array(z.object({ ...identity, fields: z.array(alteration) })),
      moved: z.array(z.object({ ...identity, from: index, to: index })).meta({
        description:
          'The fewest entries that, taken out, leave the others of both lists in one order.',
      }),
    })
    .meta({ id, description: 'What leads from one list to the other.' });
};

export const outlookDiff = z
  .object({
    slug,
    from: side,
    to: side,
    probabilities: z.object({
      from: probabilities,
      to: probabilities,
      deltas,
      totalVariation: z.number().min(0).max(1).meta({
        description:
          'How far they moved in all: the total variation distance, half the sum of the absolute deltas.',
      }),
    }),
    fields: z.array(alteration).meta({ description: 'What is no list and differs.' }),
    lists: z.object({
      headwinds: listDiff('HeadwindsDiff', headwind),
      drawdownLabels: listDiff('DrawdownLabelsDiff', drawdownLabel),
      invalidationConditions: listDiff('InvalidationConditionsDiff', invalidationConditionText),
      risks: listDiff('RisksDiff', risk),
      positioning: listDiff('PositioningDiff', positioning),
      metrics: listDiff('MetricsDiff', metric),
      faqs: listDiff('FaqsDiff', faq),
      references: listDiff('ReferencesDiff', reference),
    }),
  })
  .meta({
    id: 'OutlookDiff',
    description: 'What leads from one version of an outlook to another.',
  });
