import { z } from 'zod';
import { timestamp } from '../../http/fields.ts';
import { author, change } from './outlooks.ts';
import { probabilities } from './probabilities.ts';

export const versionEntry = z
  .object({
    version: z.int().min(1),
    publishedAt: timestamp,
    author,
    rationale: z.string(),
    change,
    probabilities,
  })
  .meta({ id: 'VersionEntry', description: 'A version as a list item.' });
