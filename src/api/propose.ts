import type { FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { z } from 'zod';
import { deskOfNew } from '../access/desks.ts';
import { actorOf } from '../access/authentication.ts';
import { runWrite, type Write, type WriteDeps, type WriteResponse } from '../access/run-write.ts';
import type { Actor, Desks } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import { ApprovalNeeded, type ProposalKind } from '../domain/proposals.ts';
import { Problem } from '../http/problems.ts';
import { type FullProposal, readProposal } from '../ledger/proposal-reads.ts';
import {
  appendDraft,
  appendStep,
  type Draft,
  findDeskOf,
  findSubject,
  insertProposal,
  type LockedProposal,
  lockProposal,
  readDraft,
} from '../ledger/proposals.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import { representProposal } from './proposal-json.ts';
import { tryOut, warningsOf } from './proposal-trials.ts';
import type { PublishDeps } from './publish-proposal.ts';

export type ProposeDeps = WriteDeps & PublishDeps & { feed: ChangeFeed };

export const PROPOSALS_TAG = 'Proposals';
export const proposalParams = z.strictObject({
  id: z.uuid({ error: 'must be the id of a proposal, a UUID' }).toLowerCase(),
});

/** A draft of a request for an outlook, or for a new one. */
export type ProposedDraft = Draft & { kind: ProposalKind; outlook: string | null };

/**
 * Opens a proposal of an actor with its first draft. Call it in a transaction.
 * @returns its id
 * @throws DomainError `unknown-outlook`, `wrong-desk`, `desk-refused` or `too-many-proposals`
 */
export async function openProposal(
  session: pg.PoolClient,
  deps: ProposeDeps,
  { analyst: author, desks }: Actor,
  { kind, outlook, ...draft }: ProposedDraft,
): Promise<string> {
  const subject =
    outlook === null
      ? { deskId: await deskOfNewOutlook(session, desks, draft.body), outlookId: null }
      : await findSubject(session, outlook, desks);
  const id = await insertProposal(session, { kind, author, ...subject }, deps.now());
  await addDraft(session, deps, await lockProposal(session, id, desks), draft);
  return id;
}

/** The id of the desk of a new outlook, which its proposal belongs to for good: the one it names, or that of the outlook it continues. */
async function deskOfNewOutlook(
  session: pg.PoolClient,
  desks: Desks,
  { desk: sent, continues }: Record<string, unknown>,
): Promise<number> {
  const continued = typeof continues === 'string' ? continues : null;
  const slug = typeof sent === 'string' ? sent : await findDeskOf(session, continued, desks);
  const { desk, fault } = await deskOfNew(session, desks, slug);
  if (desk) return desk.id;
  throw new DomainError('desk-refused', 'The proposal needs a desk.', [
    { path: ['body', ...fault.path], detail: fault.detail },
  ]);
}

/** Appends a draft to a locked proposal, with its warnings. @throws DomainError `proposal-full` */
export async function addDraft(
  session: pg.PoolClient,
  deps: ProposeDeps,
  proposal: LockedProposal,
  draft: Draft,
): Promise<void> {
  const { kind, outlook } = proposal;
  const trial = tryOut(session, deps, { kind, outlook, body: draft.body }, authorOf(proposal));
  const warnings = await trial.then(
    () => [],
    (error: unknown) => {
      if (error instanceof Problem) return warningsOf(error);
      throw error;
    },
  );
  await appendDraft(session, proposal, { ...draft, warnings }, deps.now());
}

/** The author of a proposal, who acts in it for its desk only. */
function authorOf({ author, desk }: LockedProposal): Actor {
  return { analyst: author, desks: [desk.id] };
}

/**
 * Submits the newest draft of a locked proposal, for the current version of its outlook.
 * @throws Problem whatever its route answers, with pointers into the body; DomainError `proposal-refused` if its time is past
 */
export async function submitDraft(
  session: pg.PoolClient,
  deps: ProposeDeps,
  proposal: LockedProposal,
): Promise<void> {
  const { id, kind, outlook, draft, author } = proposal;
  const { body, publishAt } = await readDraft(session, id, draft);
  const now = deps.now();
  if (publishAt !== null && publishAt <= now) {
    const detail = `must be in the future, but ${publishAt.toISOString()} is past; send a draft with another time`;
    throw new DomainError('proposal-refused', 'The time of publication is past.', [
      { path: ['publishAt'], detail },
    ]);
  }
  const trial = await tryOut(session, deps, { kind, outlook, body }, authorOf(proposal));
  await appendStep(session, proposal, { kind: 'submitted', analyst: author, ...trial }, now);
}

/** A direct request that became a proposal, because the policy of the desk asks for approval. */
class Proposed {
  readonly proposal: FullProposal;

  constructor(proposal: FullProposal) {
    this.proposal = proposal;
  }
}

/**
 * Carries out a direct request, or answers 202 with the proposal that it becomes in the same transaction. What refuses the
 * request refuses the proposal, in the same words.
 */
export async function runOrPropose<Result>(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: ProposeDeps,
  { kind, outlook }: { kind: ProposalKind; outlook: string | null },
  write: Write<Result>,
): Promise<void> {
  const actor = actorOf(request);
  const propose = async (session: pg.PoolClient) => {
    const body = request.sentBody as Record<string, unknown>;
    const draft = { kind, outlook, body, note: null, publishAt: null };
    const id = await openProposal(session, ledger, actor, draft);
    await submitDraft(session, ledger, await lockProposal(session, id, actor.desks));
    return new Proposed(await readProposal(session, id, { desks: actor.desks, ...ledger }));
  };
  const { join, afterCommit } = write;
  await runWrite<Result | Proposed>(request, reply, ledger, {
    ...write,
    work: async (session) => {
      try {
        return await write.work(session);
      } catch (error) {
        if (error instanceof ApprovalNeeded) return propose(session);
        throw error;
      }
    },
    respond: (result) =>
      result instanceof Proposed ? proposalResponse(202, result.proposal) : write.respond(result),
    subjectOf: (result) =>
      result instanceof Proposed ? openedSubject(result.proposal) : write.subjectOf(result),
    afterCommit: (result) => {
      if (result instanceof Proposed) ledger.feed.announce();
      else return afterCommit?.(result);
    },
    ...(join && { join }),
  });
}

/** The response with a proposal. */
export function proposalResponse(status: number, proposal: FullProposal): WriteResponse {
  return {
    status,
    headers: { location: `/v1/proposals/${proposal.id}` },
    body: representProposal(proposal),
  };
}

/** What the audit trail says of a proposal that was opened. */
export function openedSubject({ id, kind, state }: FullProposal) {
  return { subject: `/v1/proposals/${id}`, summary: `Opened a proposal (${kind}): ${state}` };
}

/** How to answer a change of a proposal, and what follows it. */
export function changed(ledger: ProposeDeps, summaryOf: (proposal: FullProposal) => string) {
  return {
    respond: (now: FullProposal) => ({ status: 200, body: representProposal(now) }),
    subjectOf: (now: FullProposal) => ({
      subject: `/v1/proposals/${now.id}`,
      summary: summaryOf(now),
    }),
    afterCommit: () => ledger.feed.announce(),
  };
}
