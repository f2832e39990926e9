import { z } from 'zod';
import { SCENARIO_NAMES } from '../../domain/probabilities.ts';
import { timestamp } from '../../http/fields.ts';

/** The outcome of an outlook: a scenario, or `void` if nothing can be scored. */
export const outcome = z.enum([...SCENARIO_NAMES, 'void']);

const resolvedShape = {
  number: z.int().min(1),
  outcome,
  realisedReturn: z.number().nullable(),
  knownAt: timestamp.nullable().meta({
    description: 'When the outcome became known. Null if the outlook is void.',
  }),
  resolvedAt: timestamp,
};

export const resolved = z
  .object({ ...resolvedShape, reason: z.string().nullable() })
  .meta({ id: 'Resolved', description: 'The outcome in brief.' });

export const resolvedSummary = z
  .object(resolvedShape)
  .meta({ id: 'ResolvedSummary', description: 'The outcome, as a list shows it.' });
