import type { z } from 'zod';
import type { FullProposal, ProposalSummary } from '../ledger/proposal-reads.ts';
import type { proposal, proposalSummary } from './schemas/proposals.ts';

/** A proposal as lists return it. */
export function representSummary(summary: ProposalSummary): z.output<typeof proposalSummary> {
  return {
    id: summary.id,
    desk: summary.desk,
    kind: summary.kind,
    outlook: summary.outlook,
    title: summary.title,
    author: summary.author,
    state: summary.state,
    draft: summary.draft,
    baseVersion: summary.baseVersion,
    publishAt: summary.publishAt?.toISOString() ?? null,
    createdAt: summary.createdAt.toISOString(),
    changedAt: summary.changedAt.toISOString(),
  };
}

/** A proposal as the API returns it. */
export function representProposal(found: FullProposal): z.output<typeof proposal> {
  const { body, note, warnings, approvals, drafts, steps } = found;
  return {
    ...representSummary(found),
    body,
    note,
    warnings: [...warnings],
    approvals: { ...approvals, given: [...approvals.given] },
    drafts: drafts.map((draft) => ({
      ...draft,
      publishAt: draft.publishAt === null ? null : timeOf(draft.publishAt),
      recordedAt: timeOf(draft.recordedAt),
    })),
    steps: steps.map(({ preview, ...step }) => ({
      ...step,
      preview,
      recordedAt: timeOf(step.recordedAt),
    })),
  };
}

function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
