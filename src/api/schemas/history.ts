import { z } from 'zod';
import { slug, timestamp } from '../../http/fields.ts';
import { probabilities } from './probabilities.ts';

const point = z
  .object({ version: z.int().min(1), publishedAt: timestamp, ...probabilities.shape })
  .meta({
    id: 'ProbabilityPoint',
    description: "A version's probabilities, and when it was published.",
  });

export const probabilityHistory = z
  .object({
    slug,
    opening: point.nullable().meta({
      description:
        'The version that was current at `from`, if it was published before. Null if there was none.',
    }),
    points: z.array(point).meta({ description: 'Oldest first.' }),
  })
  .meta({ id: 'ProbabilityHistory', description: "How an outlook's probabilities moved." });
