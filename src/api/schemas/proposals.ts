import { z } from 'zod';
import { PROPOSAL_KINDS, PROPOSAL_STATES, STEP_KINDS } from '../../domain/proposals.ts';
import { bodyTimestamp, optionalProse, prose, slug, timestamp } from '../../http/fields.ts';
import { deskName } from './desks.ts';
import { author } from './outlooks.ts';
import { requestBody } from './proposal-bodies.ts';

export const proposalKind = z.enum(PROPOSAL_KINDS).meta({
  description:
    'The request that it holds: `outlook` POST /v1/outlooks, `revision` POST …/revisions, `framework` PATCH …/framework, `resolution` POST …/resolution, `withdrawal` POST …/withdrawal, `consensus` POST …/consensus.',
});

const draftShape = {
  body: requestBody.meta({
    description:
      'The body of that request, as its route takes it. While it is a draft, it may have faults; they come back as `warnings`.',
  }),
  note: optionalProse.meta({ description: 'What approvers should know.' }),
  publishAt: bodyTimestamp.nullable().default(null).meta({
    description:
      'When to publish it, at most 366 days ahead. Null, or left out: as soon as it is approved.',
  }),
};

export const newDraft = z
  .strictObject(draftShape)
  .meta({ id: 'ProposalDraftInput', description: 'Another draft of a proposal, whole.' });

export const newProposal = z
  .strictObject({
    kind: proposalKind,
    outlook: slug.nullable().default(null).meta({
      description: 'The slug of its outlook. Null, or left out, for a new outlook.',
    }),
    ...draftShape,
    submit: z.boolean().default(false).meta({
      description:
        'Whether to submit it at once, if it has no faults. Otherwise nothing is stored.',
    }),
  })
  .superRefine(({ kind, outlook }, context) => {
    if ((kind === 'outlook') === (outlook === null)) return;
    const message =
      kind === 'outlook'
        ? 'must be null or left out: the outlook is new'
        : 'is required: send the slug of the outlook';
    context.addIssue({ code: 'custom', path: ['outlook'], message });
  })
  .meta({
    id: 'ProposalInput',
    description: 'A request that is to be approved before it is carried out.',
  });

const draftNumber = z.int().min(1).max(100).meta({
  description: 'The number of the draft that you have read. It must be the newest one.',
});

export const newSubmission = z
  .strictObject({})
  .meta({ id: 'SubmissionInput', description: 'The submission of a proposal: an empty object.' });

export const newApproval = z
  .strictObject({
    draft: draftNumber,
    comment: optionalProse.meta({ description: 'A comment that goes with the approval.' }),
  })
  .meta({ id: 'ApprovalInput', description: 'The approval of a draft.' });

export const newReturn = z
  .strictObject({
    draft: draftNumber,
    reason: prose.meta({ description: 'What its author should change.' }),
  })
  .meta({ id: 'ReturnInput', description: 'The return of a draft to its author.' });

export const newComment = z
  .strictObject({ text: prose.meta({ description: 'Plain text.' }) })
  .meta({ id: 'CommentInput', description: 'A comment on a proposal.' });

const summaryShape = {
  id: z.uuid(),
  desk: deskName,
  kind: proposalKind,
  outlook: slug.nullable().meta({
    description: 'The slug of its outlook. Null for a new one that is not published.',
  }),
  title: z.string().meta({ description: 'The title of the outlook.' }),
  author,
  state: z.enum(PROPOSAL_STATES),
  draft: z.int().min(1).meta({ description: 'The number of the newest draft.' }),
  baseVersion: z.int().min(1).nullable().meta({
    description:
      'The version of the outlook for which it was submitted. If another one is published meanwhile, the proposal is returned.',
  }),
  publishAt: timestamp.nullable().meta({
    description: 'When it is published. Null: as soon as it is approved.',
  }),
  createdAt: timestamp,
  changedAt: timestamp,
};

export const proposalSummary = z
  .object(summaryShape)
  .meta({ id: 'ProposalSummary', description: 'A proposal, as lists show it.' });

const number = z.int().min(1);

const draft = z
  .object({
    number,
    note: z.string().nullable(),
    publishAt: timestamp.nullable(),
    recordedAt: timestamp,
  })
  .meta({ id: 'ProposalDraft', description: 'A draft of a proposal, without its body.' });

const preview = z.record(z.string(), z.unknown()).meta({
  id: 'ProposalPreview',
  description:
    'What a submitted draft would publish: the version with its visibility, its probabilities, the hash of its framework and the conditions that it answers, or the outcome. If that changes until it is published, the proposal is returned.',
});

const step = z
  .object({
    number,
    kind: z.enum(STEP_KINDS),
    draft: number,
    by: author.nullable().meta({ description: 'Null for the service.' }),
    text: z.string().nullable(),
    preview: preview.nullable().meta({ description: 'Only of a submission.' }),
    version: z.int().min(1).nullable().meta({
      description: 'Of a publication: the number of the version, or of the resolution. Else null.',
    }),
    recordedAt: timestamp,
  })
  .meta({
    id: 'ProposalStep',
    description: 'What was done with a proposal, by whom, on which draft.',
  });

const warning = z
  .object({
    code: z
      .string()
      .meta({ description: 'The code of the problem; GET /problems/{code} explains it.' }),
    pointer: z.string().meta({ description: 'A JSON Pointer into the proposal.' }),
    detail: z.string(),
  })
  .meta({ id: 'ProposalWarning', description: 'Why a draft could not be published.' });

const approvals = z
  .object({
    needed: z.int().min(1).meta({
      description: 'By the policy of the desk, and at least 1.',
    }),
    given: z.array(author).meta({ description: 'Since it was submitted last.' }),
    possible: z.int().min(0).meta({
      description:
        'How many analysts other than its author act for the desk. If that is fewer than `needed`, the proposal cannot be published. 0 once it is published or discarded.',
    }),
  })
  .meta({
    id: 'ProposalApprovals',
    description: 'How many approvals it needs, and who gave theirs.',
  });

export const proposal = z
  .object({
    ...summaryShape,
    body: z.record(z.string(), z.unknown()).meta({ description: 'The body of the newest draft.' }),
    note: z.string().nullable(),
    warnings: z.array(warning).meta({
      description:
        'Why the newest draft could not have been published when it was written. It is checked again when it is submitted.',
    }),
    approvals,
    drafts: z.array(draft),
    steps: z.array(step),
  })
  .meta({ id: 'Proposal', description: 'A request that has not been carried out yet.' });
