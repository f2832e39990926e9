import { z } from 'zod';
import { actorOf, callerOf } from '../access/authentication.ts';
import { runWrite } from '../access/run-write.ts';
import { DomainError } from '../domain/errors.ts';
import { MOST_DAYS_AHEAD, PROPOSAL_STATES } from '../domain/proposals.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { slug } from '../http/fields.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { creationPosition, listShape } from '../http/paging.ts';
import { Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { listProposals, readProposal } from '../ledger/proposal-reads.ts';
import {
  appendStep,
  type LockedProposal,
  lockProposal,
  requireUnsettled,
} from '../ledger/proposals.ts';
import { representProposal, representSummary } from './proposal-json.ts';
import { proposalReviewRoutes, type ReviewDeps } from './proposal-reviews.ts';
import { problemOfProposal } from './proposal-trials.ts';
import {
  addDraft,
  changed,
  openedSubject,
  openProposal,
  proposalParams,
  type ProposeDeps,
  proposalResponse,
  PROPOSALS_TAG,
  submitDraft,
} from './propose.ts';
import {
  newDraft,
  newProposal,
  newSubmission,
  proposal,
  proposalKind,
  proposalSummary,
} from './schemas/proposals.ts';

const security = [{ key: [] }];

export function proposalRoutes(api: Api, ledger: ReviewDeps): void {
  openRoute(api, ledger);
  listRoute(api, ledger);
  oneRoute(api, ledger);
  editRoute(api, ledger);
  submitRoute(api, ledger);
  discardRoute(api, ledger);
  proposalReviewRoutes(api, ledger);
}

function openRoute(api: Api, ledger: ProposeDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/proposals',
    config: { access: 'analyst' },
    schema: {
      operationId: 'openProposal',
      tags: [PROPOSALS_TAG],
      summary: 'Open a proposal',
      description:
        'Stores a request that is to be approved before it is carried out: a new outlook, or a revision, a new framework, a resolution, a withdrawal or a consensus of one. The service tries it at once and takes it back; its faults are `warnings`. Only the desk sees the proposal. With `submit: true`, it is submitted as well, unless it has faults.',
      security,
      body: newProposal,
      response: { 201: proposal, ...problemResponses(400, 401, 403, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { submit, ...draft } = request.body;
      requireTime(draft.publishAt, ledger.now());
      const actor = actorOf(request);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const id = await openProposal(session, ledger, actor, draft);
          if (submit) {
            const opened = await lockProposal(session, id, actor.desks);
            await submitDraft(session, ledger, opened).catch(rethrowOfProposal);
          }
          return readProposal(session, id, { desks: actor.desks, ...ledger });
        },
        respond: (opened) => proposalResponse(201, opened),
        subjectOf: openedSubject,
        afterCommit: () => ledger.feed.announce(),
      });
      return reply;
    },
  });
}

/** @throws DomainError `proposal-refused` for a time that is past or too far ahead */
function requireTime(publishAt: Date | null, now: Date): void {
  if (publishAt === null) return;
  const latest = new Date(now.getTime() + MOST_DAYS_AHEAD * 86_400_000);
  if (publishAt > now && publishAt <= latest) return;
  const detail =
    publishAt <= now
      ? `must be in the future, or left out; the server time is ${now.toISOString()}`
      : `must be at most ${MOST_DAYS_AHEAD} days ahead: by ${latest.toISOString()}`;
  throw new DomainError('proposal-refused', 'A proposal cannot be published at that time.', [
    { path: ['publishAt'], detail },
  ]);
}

/** The faults of the body, with pointers into the proposal. */
export function rethrowOfProposal(error: unknown): never {
  throw error instanceof Problem ? problemOfProposal(error) : error;
}

const listQuery = z.strictObject({
  ...listShape,
  state: z.enum(PROPOSAL_STATES).optional().meta({ description: 'In this state only.' }),
  desk: slug.optional().meta({ description: 'The slug of a desk.' }),
  kind: proposalKind.optional(),
  outlook: slug.optional().meta({ description: 'The slug of an outlook.' }),
  author: z
    .uuid({ error: 'must be the id of an analyst, a UUID' })
    .toLowerCase()
    .optional()
    .meta({ description: 'The id of their author.' }),
});

function listRoute(api: Api, { pool }: ProposeDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/proposals',
    config: { access: 'analyst', serves: LIST_TYPES },
    schema: {
      operationId: 'listProposals',
      tags: [PROPOSALS_TAG],
      summary: 'List proposals',
      description: 'Those of the desks that your key or token acts for, newest first.',
      security,
      querystring: listQuery,
      response: { 200: pageContent(proposalSummary), ...problemResponses(401, 403, 422) },
    },
    handler: async (request, reply) => {
      const {
        state = null,
        desk = null,
        kind = null,
        outlook = null,
        author = null,
      } = request.query;
      const { desks } = callerOf(request);
      const filter = { state, desk, kind, outlook, author };
      const reads = keysetReads(request.query, {
        cursorScope: ['proposals', filter],
        position: creationPosition,
        fetch: (after, limit) => listProposals(pool, desks, filter, { after, limit }),
        positionOf: ({ createdAt, id }) => ({ createdAt, id }),
        represent: representSummary,
      });
      forbidStoring(reply);
      return sendList(request, reply, null, reads, proposalSummary);
    },
  });
}

function oneRoute(api: Api, ledger: ProposeDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/proposals/:id',
    config: { access: 'analyst' },
    schema: {
      operationId: 'getProposal',
      tags: [PROPOSALS_TAG],
      summary: 'Read a proposal',
      description:
        'The newest draft with its body and warnings, all that was done with it, and how many approvals it still needs.',
      security,
      params: proposalParams,
      response: { 200: proposal, ...problemResponses(401, 403, 404, 422) },
    },
    handler: async (request, reply) => {
      const { desks } = callerOf(request);
      const found = await readProposal(ledger.pool, request.params.id, { desks, ...ledger });
      forbidStoring(reply);
      return reply.send(representProposal(found));
    },
  });
}

/** @throws DomainError `author-only` */
function requireAuthor({ author }: LockedProposal, analystId: string, does: string): void {
  if (author.id === analystId) return;
  const detail = `${author.name} is the author of this proposal, and only its author ${does} it.`;
  throw new DomainError('author-only', detail);
}

function editRoute(api: Api, ledger: ProposeDeps): void {
  api.route({
    method: 'PUT',
    url: '/v1/proposals/:id/draft',
    config: { access: 'analyst' },
    schema: {
      operationId: 'editProposal',
      tags: [PROPOSALS_TAG],
      summary: 'Edit a proposal',
      description:
        'Stores another draft, whole. The proposal is then a draft again and loses its approvals: submit it once it is ready. Only its author may edit it.',
      security,
      params: proposalParams,
      body: newDraft,
      response: { 200: proposal, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      requireTime(request.body.publishAt, ledger.now());
      const { analyst, desks } = actorOf(request);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const locked = await lockProposal(session, request.params.id, desks);
          requireAuthor(locked, analyst.id, 'edits');
          requireUnsettled(locked);
          await addDraft(session, ledger, locked, request.body);
          return readProposal(session, locked.id, { desks, ...ledger });
        },
        ...changed(ledger, (edited) => `Wrote draft ${edited.draft}`),
      });
      return reply;
    },
  });
}

function submitRoute(api: Api, ledger: ProposeDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/proposals/:id/submission',
    config: { access: 'analyst' },
    schema: {
      operationId: 'submitProposal',
      tags: [PROPOSALS_TAG],
      summary: 'Submit a proposal',
      description:
        'Asks others of the desk to approve the newest draft, for the current version of the outlook. It is tried first: whatever would refuse the request refuses the submission. A returned proposal can be submitted again with or without another draft. Only its author may submit it.',
      security,
      params: proposalParams,
      body: newSubmission,
      response: { 200: proposal, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { analyst, desks } = actorOf(request);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const locked = await lockProposal(session, request.params.id, desks);
          requireAuthor(locked, analyst.id, 'submits');
          requireUnsettled(locked);
          if (locked.state !== 'draft' && locked.state !== 'returned') {
            throw new DomainError('proposal-state', `The proposal is ${locked.state} already.`);
          }
          await submitDraft(session, ledger, locked).catch(rethrowOfProposal);
          return readProposal(session, locked.id, { desks, ...ledger });
        },
        ...changed(ledger, (submitted) => `Submitted draft ${submitted.draft}`),
      });
      return reply;
    },
  });
}

function discardRoute(api: Api, ledger: ProposeDeps): void {
  api.route({
    method: 'DELETE',
    url: '/v1/proposals/:id',
    config: { access: 'analyst' },
    schema: {
      operationId: 'discardProposal',
      tags: [PROPOSALS_TAG],
      summary: 'Discard a proposal',
      description:
        'Settles it without publishing anything. It stays readable for its desk. Only its author may discard it.',
      security,
      params: proposalParams,
      response: { 200: proposal, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { analyst, desks } = actorOf(request);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const locked = await lockProposal(session, request.params.id, desks);
          requireAuthor(locked, analyst.id, 'discards');
          requireUnsettled(locked);
          await appendStep(session, locked, { kind: 'discarded', analyst }, ledger.now());
          return readProposal(session, locked.id, { desks, ...ledger });
        },
        ...changed(ledger, () => 'Discarded the proposal'),
      });
      return reply;
    },
  });
}
