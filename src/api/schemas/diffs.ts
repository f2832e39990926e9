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
  .meta({ id: 'DiffSide', description: 'One of the two compared versions.' });

const alteration = z
  .object({
    pointer: z.string().meta({
      description: 'A JSON Pointer (RFC 6901), relative to the outlook or to the entry of a list.',
    }),
    before: z.unknown(),
    after: z.unknown(),
  })
  .meta({ id: 'Alteration', description: 'A member with different values in the two versions.' });

const index = z.int().min(0);
const identity = {
  key: z.string().meta({
    description: 'What identifies the entry: its key, area, investorType, name, question or title.',
  }),
  occurrence: z.int().min(1).meta({
    description: 'If a list repeats a key, the number of the occurrence, from 1.',
  }),
};

const listDiff = (id: string, entry: z.ZodType) => {
  const placed = z.object({
    ...identity,
    index: index.meta({ description: 'Its index in the list that contains it, from 0.' }),
    entry,
  });
  return z
    .object({
      added: z.array(placed),
      removed: z.array(placed),
      altered: z.array(z.object({ ...identity, fields: z.array(alteration) })),
      moved: z.array(z.object({ ...identity, from: index, to: index })).meta({
        description:
          'The smallest set of entries whose removal leaves the remaining entries in the same order in both lists.',
      }),
    })
    .meta({ id, description: 'The difference between two lists.' });
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
          'How far the probabilities moved in total: the total variation distance, half the sum of the absolute deltas.',
      }),
    }),
    fields: z.array(alteration).meta({ description: 'Changed members that are not lists.' }),
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
    description: 'The difference between two versions of an outlook.',
  });
