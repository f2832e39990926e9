import { z } from 'zod';
import { OUTLOOK_STATUSES } from '../../domain/outlook.ts';
import { horizonReturn } from '../../http/closes-schema.ts';
import { prose, timestamp } from '../../http/fields.ts';
import { citedIds } from './frameworks.ts';
import { author, outcome } from './outlooks.ts';

export const newResolution = z
  .strictObject({
    outcome: outcome.optional().meta({
      description:
        "The scenario that occurred, or `void` if nothing can be scored. Left out: the scenario with the return band that the return falls into. The return comes from the instrument's closes or, without closes, from `realisedReturn`.",
    }),
    realisedReturn: z.number().min(-1000).max(1_000_000).nullable().default(null).meta({
      description:
        'The return over the horizon, as a fraction (-0.1 is −10 %). Left out: computed from closes if possible.',
    }),
    reason: prose.nullable().default(null).meta({
      description:
        'Required before the end of the horizon, for `void`, to correct a resolution, and if the return contradicts the outcome.',
    }),
    evidence: citedIds.meta({
      description: 'The ids of the evidence that it cites. It must belong to this outlook.',
    }),
    supersedes: z.int().min(1).nullable().default(null).meta({
      description: 'The number of the current resolution, to correct it.',
    }),
  })
  .meta({ id: 'NewResolution', description: 'The outcome of an outlook.' });

const resolution = z
  .object({
    number: z
      .int()
      .min(1)
      .meta({ description: 'The number of the resolution within the outlook, from 1.' }),
    outcome,
    realisedReturn: z.number().nullable(),
    reason: z.string().nullable(),
    closes: horizonReturn.nullable().meta({
      description:
        'The return computed from closes. Null if closes were missing or the horizon was not over.',
    }),
    evidence: z.array(z.uuid()),
    resolvedBy: author,
    resolvedAt: timestamp,
    supersededAt: timestamp.nullable().meta({
      description: 'When a later resolution replaced this one. Null for the current resolution.',
    }),
  })
  .meta({ id: 'Resolution', description: 'The outcome, who recorded it, and why.' });

export const outlookResolution = z
  .object({
    status: z.enum(OUTLOOK_STATUSES),
    resolution: resolution
      .nullable()
      .meta({ description: 'The current resolution. Null if there is none.' }),
    superseded: z
      .array(resolution)
      .meta({ description: 'Earlier, corrected resolutions, newest first.' }),
  })
  .meta({
    id: 'OutlookResolution',
    description: 'The resolution of an outlook and its corrections.',
  });

export const newWithdrawal = z
  .strictObject({
    rationale: prose.meta({ description: 'Why the desk withdraws the outlook.' }),
    evidence: citedIds.meta({
      description: 'The ids of the evidence that it cites. It must belong to this outlook.',
    }),
  })
  .meta({ id: 'NewWithdrawal', description: 'The withdrawal of an outlook.' });
