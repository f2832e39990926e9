import { z } from 'zod';
import { OUTLOOK_STATUSES } from '../../domain/outlook.ts';
import { horizonReturn } from '../../http/closes-schema.ts';
import { SCENARIO_NAMES } from '../../domain/probabilities.ts';
import { bodyTimestamp, prose, timestamp } from '../../http/fields.ts';
import { citedIds } from './frameworks.ts';
import { approvers, author } from './outlooks.ts';

const outcome = z.enum([...SCENARIO_NAMES, 'void', 'reopened']);

export const newResolution = z
  .strictObject({
    outcome: outcome.optional().meta({
      description:
        "The scenario that occurred, `void` if nothing can be scored, or `reopened` to take the current resolution back, which opens the outlook again. Left out: the scenario with the return band that the return falls into. The return comes from the instrument's closes or, without closes, from `realisedReturn`.",
    }),
    realisedReturn: z.number().min(-1000).max(1_000_000).nullable().default(null).meta({
      description:
        'The return over the horizon, as a fraction (-0.1 is −10 %). Left out: computed from closes if possible.',
    }),
    knownAt: bodyTimestamp.nullable().default(null).meta({
      description:
        'When the outcome became known; nothing is scored after it. Left out: the latest time that is possible. For an outcome that the closes decide, that is when the last close was recorded or the start of the next day in UTC, whichever comes first. For another outcome it is the time of the request, and for a correction that of the resolution before it. An earlier time requires a reason. A later time is refused.',
    }),
    reason: prose.nullable().default(null).meta({
      description:
        'Required before the end of the horizon, before the last close of the horizon is in, for `void`, to correct or reopen, for an earlier `knownAt`, and if the return contradicts the outcome.',
    }),
    evidence: citedIds.meta({
      description: 'The ids of the evidence that it cites. It must belong to this outlook.',
    }),
    supersedes: z.int().min(1).nullable().default(null).meta({
      description:
        'The number of the current resolution, to correct or reopen it. After a reopening, leave it out.',
    }),
  })
  .meta({ id: 'ResolutionInput', description: 'The outcome of an outlook.' });

const resolution = z
  .object({
    number: z
      .int()
      .min(1)
      .meta({ description: 'The number of the resolution within the outlook, from 1.' }),
    outcome,
    realisedReturn: z.number().nullable(),
    decidedBy: z.enum(['closes', 'statement']).nullable().meta({
      description:
        '`closes` if the closes imply the outcome, `statement` if an analyst stated it without closes or against them. Null without an outcome.',
    }),
    knownAt: timestamp.nullable().meta({
      description:
        'When the outcome became known; nothing is scored after it. Null without an outcome.',
    }),
    reason: z.string().nullable(),
    closes: horizonReturn.nullable().meta({
      description:
        'The return computed from closes. Null if closes were missing or the horizon was not over.',
    }),
    evidence: z.array(z.uuid()),
    resolvedBy: author,
    approvedBy: approvers,
    resolvedAt: timestamp,
    supersededAt: timestamp.nullable().meta({
      description: 'When a later resolution replaced this one. Null for the current resolution.',
    }),
  })
  .meta({ id: 'Resolution', description: 'The outcome, who recorded it, and why.' });

const contradiction = z
  .object({
    outcome: z.enum(SCENARIO_NAMES).meta({ description: 'The outcome that the closes imply.' }),
    closes: horizonReturn,
    since: timestamp.meta({ description: 'When the ledger noted it.' }),
  })
  .meta({
    id: 'Contradiction',
    description: 'What closes imply instead of the outcome of a resolution.',
  });

export const outlookResolution = z
  .object({
    status: z.enum(OUTLOOK_STATUSES),
    resolution: resolution.nullable().meta({
      description: 'The current resolution. Null if there is none, or the outlook was reopened.',
    }),
    contradiction: contradiction.nullable().meta({
      description:
        'Set if closes that came or changed later contradict the current resolution. A correction, or a resolution with a reason that names the same closes, removes it.',
    }),
    superseded: z.array(resolution).meta({
      description:
        'Earlier resolutions, newest first: those that were corrected, and those that were taken back with the outcome `reopened`.',
    }),
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
  .meta({ id: 'WithdrawalInput', description: 'The withdrawal of an outlook.' });
