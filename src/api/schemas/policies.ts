import { z } from 'zod';
import { MOST_APPROVALS, PROPOSAL_KINDS, type ProposalKind } from '../../domain/proposals.ts';
import { timestamp } from '../../http/fields.ts';
import { deskName } from './desks.ts';
import { author } from './outlooks.ts';

const DESCRIPTIONS: Record<ProposalKind, string> = {
  outlook: 'For a new outlook.',
  revision: 'For new or reaffirmed probabilities.',
  framework:
    'For a new framework. One that also changes the probabilities, or answers triggered conditions, needs those of a revision as well.',
  resolution: 'For an outcome, its correction, and a reopening.',
  withdrawal: 'For a withdrawal.',
  consensus: 'For a consensus.',
};

const countOf = (kind: ProposalKind) =>
  z
    .int({
      error: ({ input }) =>
        input === undefined ? 'is required' : `must be a whole number in 0–${MOST_APPROVALS}`,
    })
    .min(0)
    .max(MOST_APPROVALS)
    .meta({ description: DESCRIPTIONS[kind] });

const approvalsShape = Object.fromEntries(
  PROPOSAL_KINDS.map((kind) => [kind, countOf(kind)]),
) as Record<ProposalKind, ReturnType<typeof countOf>>;

const authorMayResolve = z.boolean().meta({
  description:
    'Whether an analyst may resolve an outlook that they forecast, by a version or by a view.',
});

export const newPolicy = z
  .strictObject({
    approvals: z.strictObject(approvalsShape).meta({
      id: 'PolicyApprovalsInput',
      description:
        'How many analysts other than the author have to approve a request of each kind; 0 for none.',
    }),
    authorMayResolve,
  })
  .meta({ id: 'PolicyInput', description: 'What a desk publishes only with approval, whole.' });

export const policy = z
  .object({
    desk: deskName,
    version: z.int().min(0).meta({
      description:
        'Counts the policies of the desk. 0: it never had one, so nothing needs approval.',
    }),
    approvals: z.object(approvalsShape).meta({
      id: 'PolicyApprovals',
      description:
        'How many analysts other than the author have to approve a request of each kind.',
    }),
    authorMayResolve,
    author: author.nullable().meta({ description: 'The admin who set it; null without a policy.' }),
    recordedAt: timestamp.nullable().meta({ description: 'Null without a policy.' }),
  })
  .meta({ id: 'Policy', description: 'What a desk publishes only with approval.' });
