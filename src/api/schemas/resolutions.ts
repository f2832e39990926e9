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
        'What came about, or `void` where nothing can be scored. Left out, it is the scenario into whose return band the return falls that the closes of the instrument tell or, where they tell none, that is sent.',
    }),
    realisedReturn: z.number().min(-1000).max(1_000_000).nullable().default(null).meta({
      description:
        'The return over the horizon, a fraction (-0.1 is −10 %). Left out, it is that of the closes, where they tell it.',
    }),
    reason: prose.nullable().default(null).meta({
      description:
        'Required before the end of the horizon, for `void`, to correct a resolution, and for an outcome that the return contradicts.',
    }),
    evidence: citedIds.meta({ description: 'The ids of evidence of this outlook that it cites.' }),
    supersedes: z.int().min(1).nullable().default(null).meta({
      description: 'The number of the resolution that stands and that this one corrects.',
    }),
  })
  .meta({ id: 'NewResolution', description: 'What came about.' });

const resolution = z
  .object({
    number: z.int().min(1).meta({ description: 'Counts the resolutions of the outlook from 1.' }),
    outcome,
    realisedReturn: z.number().nullable(),
    reason: z.string().nullable(),
    closes: horizonReturn.nullable().meta({
      description:
        'What the closes said; null where they said nothing, or the horizon was not over.',
    }),
    evidence: z.array(z.uuid()),
    resolvedBy: author,
    resolvedAt: timestamp,
    supersededAt: timestamp
      .nullable()
      .meta({ description: 'When the next resolution came; null while it stands.' }),
  })
  .meta({ id: 'Resolution', description: 'What came about, who says so, and why.' });

export const outlookResolution = z
  .object({
    status: z.enum(OUTLOOK_STATUSES),
    resolution: resolution.nullable().meta({ description: 'The one that stands; null for none.' }),
    superseded: z.array(resolution).meta({ description: 'Those that it corrects, newest first.' }),
  })
  .meta({ id: 'OutlookResolution', description: 'How an outlook was resolved.' });

export const newWithdrawal = z
  .strictObject({
    rationale: prose.meta({ description: 'Why the desk withdraws the outlook.' }),
    evidence: citedIds.meta({ description: 'The ids of evidence of this outlook that it cites.' }),
  })
  .meta({ id: 'NewWithdrawal', description: 'The end of an outlook that the desk gives up.' });
