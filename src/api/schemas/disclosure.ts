import { z } from 'zod';
import { slug, timestamp } from '../../http/fields.ts';
import { author } from './outlooks.ts';

export const disclosureInput = z
  .strictObject({
    confirm: z.string().max(100).meta({
      description: 'The `confirm` of GET, so that what opens is what you read.',
    }),
  })
  .meta({
    id: 'DisclosureInput',
    description: 'Makes something public, for good.',
    examples: [{ confirm: 'RDc0Xm3h3f1a0pVb3Fq2c0xYz9A' }],
  });

export const disclosed = z
  .object({
    outlooks: z.array(slug).meta({ description: 'The outlooks that are public now.' }),
    series: z.array(slug).meta({ description: 'The series that are public now.' }),
    disclosedBy: author,
    disclosedAt: timestamp,
  })
  .meta({ id: 'Disclosed', description: 'What was made public.' });
