import type pg from 'pg';
import { actorOf } from '../access/authentication.ts';
import type { AuditSubject } from '../access/audit-log.ts';
import { runWrite } from '../access/run-write.ts';
import { changedPointers } from '../domain/changed-pointers.ts';
import type { Actor } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { Problem } from '../http/problems.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { findNotActing, readApprovers } from '../ledger/approvals.ts';
import { type FullProposal, readDraftOf, readProposal } from '../ledger/proposal-reads.ts';
import {
  appendStep,
  type LockedProposal,
  lockProposal,
  requireUnsettled,
} from '../ledger/proposals.ts';
import type { Session } from '../postgres/pool.ts';
import type { CarriedOut } from './carry-out.ts';
import { representProposal } from './proposal-json.ts';
import { changed, proposalParams, PROPOSALS_TAG, type ProposeDeps } from './propose.ts';
import { isMoved, publishProposal, readNeeded } from './publish-proposal.ts';
import { newApproval, newComment, newReturn, proposal } from './schemas/proposals.ts';

export type ReviewDeps = ProposeDeps & { cache: ResponseCache };

const security = [{ key: [] }];
const answers = {
  200: proposal,
  ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422),
};

export function proposalReviewRoutes(api: Api, ledger: ReviewDeps): void {
  approveRoute(api, ledger);
  returnRoute(api, ledger);
  commentRoute(api, ledger);
}

/** What an approval led to. */
type Approved = { now: FullProposal; published: CarriedOut | null; approvers: string };

function approveRoute(api: Api, ledger: ReviewDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/proposals/:id/approvals',
    config: { access: 'analyst' },
    schema: {
      operationId: 'approveProposal',
      tags: [PROPOSALS_TAG],
      summary: 'Approve a proposal',
      description:
        'Approves the newest draft, for the version that it was submitted for. The last approval that it needs publishes it in the same transaction, or at `publishAt`. If it can no longer be published, the response says so: its `state` is `returned`, and its last step says why. An analyst approves once, and never their own proposal.',
      security,
      params: proposalParams,
      body: newApproval,
      response: answers,
    },
    handler: async (request, reply) => {
      const { draft, comment } = request.body;
      const actor = actorOf(request);
      forbidStoring(reply);
      await runWrite<Approved>(request, reply, ledger, {
        work: (session) =>
          approve(session, ledger, actor, { id: request.params.id, draft, comment }),
        respond: ({ now }) => ({ status: 200, body: representProposal(now) }),
        subjectOf: (approved) => approvedSubject(approved, draft),
        afterCommit: ({ published }) => {
          for (const name of published?.changed ?? []) ledger.cache.invalidate(name);
          ledger.feed.announce();
        },
      });
      return reply;
    },
  });
}

async function approve(
  session: pg.PoolClient,
  ledger: ReviewDeps,
  actor: Actor,
  { id, draft, comment }: { id: string; draft: number; comment: string | null },
): Promise<Approved> {
  const { analyst, desks } = actor;
  const locked = await lockReviewed(session, actor, { id, draft });
  const given = await readApprovers(session, id);
  if (given.some((approver) => approver.id === analyst.id)) {
    // Only a policy that was lowered leaves a proposal submitted that has all its approvals.
    const isLowered =
      locked.state === 'submitted' && given.length >= (await readNeeded(session, id));
    const mend =
      ' The policy now asks for no more: return it, so that its author submits it again.';
    const detail = `You approved draft ${draft} already.${isLowered ? mend : ''}`;
    throw new DomainError('already-approved', detail);
  }
  // The key may have been revoked while this waited for the proposal.
  const { now, countsIdentities } = ledger;
  const retired = await findNotActing(session, [analyst.id], locked.desk.id, {
    now: now(),
    countsIdentities,
  });
  if (retired.length > 0) {
    throw new DomainError('wrong-desk', `You no longer act for the desk "${locked.desk.slug}".`);
  }
  const step = { kind: 'approved', analyst, text: comment } as const;
  await appendStep(session, locked, step, ledger.now());
  const approved = await lockProposal(session, id, desks);
  const { publishAt, state } = approved;
  const isDue = state === 'approved' && (publishAt === null || publishAt <= ledger.now());
  // One that can't be published any more goes back before others read it as well.
  const goesOn = isDue || (await isMoved(session, approved));
  const published = goesOn ? await publishProposal(session, ledger, approved) : null;
  return {
    now: await readProposal(session, id, { desks, ...ledger }),
    published,
    approvers: await namesOfApprovers(session, id),
  };
}

/** The approvers of a proposal, for the audit trail. */
export async function namesOfApprovers(session: Session, id: string): Promise<string> {
  const approvers = await readApprovers(session, id);
  // An erasure of a name finds it by the id after it.
  const named = approvers.map((approver) => `"${approver.name}" (${approver.id})`).join(', ');
  return named.length <= LONGEST ? named : approvers.map((approver) => approver.id).join(', ');
}

/** The longest list of names in the audit trail, in characters, so that it is not cut off within a name. */
const LONGEST = 700;

function approvedSubject({ now, published, approvers }: Approved, draft: number): AuditSubject {
  const subject = `/v1/proposals/${now.id}`;
  if (!published) return { subject, summary: `Approved draft ${draft}: ${now.state}` };
  return {
    subject: pathOf(now, published),
    summary: `Published ${subject}, approved by ${approvers}`,
  };
}

/** What a proposal published, as a path of the API. */
export function pathOf(
  { kind }: Pick<FullProposal, 'kind'>,
  { outlook, number }: CarriedOut,
): string {
  return `/v1/outlooks/${outlook}/${kind === 'resolution' ? 'resolution' : `versions/${number}`}`;
}

/**
 * Locks a submitted proposal of somebody else, if its newest draft is the one that the reviewer has read.
 * @throws DomainError `proposal-not-found`, `proposal-settled`, `own-proposal` or `proposal-state`; Problem `proposal-changed`
 */
async function lockReviewed(
  session: Session,
  { analyst, desks }: Actor,
  { id, draft }: { id: string; draft: number },
): Promise<LockedProposal> {
  const locked = await lockProposal(session, id, desks);
  requireUnsettled(locked);
  if (locked.author.id === analyst.id) {
    const detail =
      'You are the author of this proposal, so another analyst has to approve or return it.';
    throw new DomainError('own-proposal', detail);
  }
  if (locked.draft !== draft) throw await draftChanged(session, locked, draft);
  if (locked.state === 'draft' || locked.state === 'returned') {
    const why = locked.state === 'draft' ? 'a draft' : 'returned';
    const detail = `The proposal is ${why}: its author has to submit it first.`;
    throw new DomainError('proposal-state', detail);
  }
  return locked;
}

async function draftChanged(
  session: Session,
  { id, draft: newest }: LockedProposal,
  draft: number,
): Promise<Problem> {
  const before = await readDraftOf(session, id, draft);
  const after = await readDraftOf(session, id, newest);
  const changes = before ? changedPointers(before, after) : [];
  return new Problem('proposal-changed', `Draft ${newest} is the newest one, not draft ${draft}.`, {
    errors: [{ pointer: '/draft', detail: `must be ${newest}, once you have read that draft` }],
    extensions: { draft: newest, changes },
  });
}

function returnRoute(api: Api, ledger: ReviewDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/proposals/:id/return',
    config: { access: 'analyst' },
    schema: {
      operationId: 'returnProposal',
      tags: [PROPOSALS_TAG],
      summary: 'Return a proposal',
      description:
        'Sends a submitted or approved proposal back to its author, with a reason. Its approvals no longer count.',
      security,
      params: proposalParams,
      body: newReturn,
      response: answers,
    },
    handler: async (request, reply) => {
      const { draft, reason } = request.body;
      const actor = actorOf(request);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const { id } = request.params;
          const locked = await lockReviewed(session, actor, { id, draft });
          const step = { kind: 'returned', analyst: actor.analyst, text: reason } as const;
          await appendStep(session, locked, step, ledger.now());
          return readProposal(session, id, { desks: actor.desks, ...ledger });
        },
        ...changed(ledger, () => `Returned draft ${draft}`),
      });
      return reply;
    },
  });
}

function commentRoute(api: Api, ledger: ReviewDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/proposals/:id/comments',
    config: { access: 'analyst' },
    schema: {
      operationId: 'commentProposal',
      tags: [PROPOSALS_TAG],
      summary: 'Comment on a proposal',
      description:
        'Adds plain text that its desk sees, until the proposal is published or discarded. Comments stay for good.',
      security,
      params: proposalParams,
      body: newComment,
      response: answers,
    },
    handler: async (request, reply) => {
      const { analyst, desks } = actorOf(request);
      const { text } = request.body;
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const locked = await lockProposal(session, request.params.id, desks);
          requireUnsettled(locked);
          await appendStep(session, locked, { kind: 'commented', analyst, text }, ledger.now());
          return readProposal(session, locked.id, { desks, ...ledger });
        },
        ...changed(ledger, () => 'Commented on the proposal'),
      });
      return reply;
    },
  });
}
