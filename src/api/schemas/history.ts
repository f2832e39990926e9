import { z } from 'zod';
import { slug, timestamp } from '../../http/fields.ts';
import { probabilities } from './probabilities.ts';

const point = z
  .object({ version: z.int().min(1), publishedAt: timestamp, ...probabilities.shape })
  .meta({ id: 'ProbabilityPoint', description: 'What a version said, and from when on.' });

export const probabilityHistory = z
  .object({
    slug,
    opening: point.nullable().meta({
      description: 'What stood at `from`, published before it; null where nothing did.',
    }),
    points: z.array(point).meta({ description: 'Oldest first.' }),
  })
  .meta({ id: 'ProbabilityHistory', description: "How an outlook's probabilities moved." });
