import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { actorOf } from '../access/authentication.ts';
import {
  groupWrites,
  type OpenGroup,
  type Write,
  type WriteDeps,
  type WriteResponse,
} from '../access/run-write.ts';
import type { Actor } from '../domain/desks.ts';
import type { ProposalKind } from '../domain/proposals.ts';
import { ifMatchOf, requireMatch } from '../http/conditional-requests.ts';
import { slug } from '../http/fields.ts';
import { readJsonBodies } from '../http/json-body.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { keepSentBody } from '../http/sent-body.ts';
import { validatorCompiler } from '../http/validation.ts';
import type { CurrentOutlook } from '../ledger/locked-outlooks.ts';
import { isPlain, type Prepare, type RevisionRequest } from '../ledger/revisions.ts';
import type { Session } from '../postgres/pool.ts';
import type { CurrentDigests, Digests } from './current-digests.ts';
import { frameworkOf, revisionOf } from './carry-out.ts';
import { type ProposeDeps, runOrPropose } from './propose.ts';
import { frameworkPatch } from './schemas/frameworks.ts';
import { outlook } from './schemas/outlooks.ts';
import { proposal } from './schemas/proposals.ts';
import { newRevision } from './schemas/revisions.ts';
import {
  announcer,
  publishedResponse,
  publishedSubject,
  type PublishedVersion,
  renderPublished,
} from './version-responses.ts';

export type RevisionDeps = ProposeDeps & {
  cache: ResponseCache;
  digests: CurrentDigests;
};

const TAG = 'Revisions';
const params = z.strictObject({ slug });

export async function revisionRoutes(api: Api, ledger: RevisionDeps): Promise<void> {
  reviseRoute(api, ledger);
  // A scope of its own, because only this route takes merge patches, and it takes nothing else.
  await api.register(async (scope) => reviseFrameworkRoute(scope, ledger));
}

function reviseRoute(api: Api, ledger: RevisionDeps): void {
  const join = groupRevisions(ledger);
  api.route({
    method: 'POST',
    url: '/v1/outlooks/:slug/revisions',
    config: { access: 'analyst' },
    schema: {
      operationId: 'reviseOutlook',
      tags: [TAG],
      summary: 'Revise or reaffirm the probabilities',
      description:
        'Publishes the next version with new probabilities, which must sum to exactly 1, and the same framework. The version must answer every triggered condition: either lower the probability of the scenario that it invalidates, or give a reason in `acknowledges`. With a reason, the probabilities may stay the same. With `reaffirm: true`, the version keeps the probabilities, answers every triggered condition and has the kind `reaffirmed`. Its rationale says why the probabilities stay. Send the ETag of the outlook as If-Match to get a 412 if it has changed since you read it.',
      security: [{ key: [] }],
      params,
      body: newRevision,
      response: {
        201: outlook,
        202: proposal,
        ...problemResponses(400, 401, 403, 404, 409, 412, 413, 415, 422),
      },
    },
    preValidation: keepSentBody,
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const actor = actorOf(request);
      const revision = revisionOf(request.body);
      const prepare = async (session: Session, current: CurrentOutlook) => {
        await requireMatchOf(request, ledger, session, current);
        return revision;
      };
      const write = revisionWrite(ledger, name, actor, prepare, { mayChangeRules: false });
      const numbers = { slug: name, actor, ifMatch: ifMatchOf(request), revision };
      const proposable = { kind: 'revision', outlook: name } as const;
      await runOrPropose(request, reply, ledger, proposable, {
        ...write,
        ...(isPlain(revision) && { join: (sent) => join(sent, numbers) }),
      });
      return reply;
    },
  });
}

/** New probabilities of an outlook; `ifMatch` lists the ETags of which it must have one. */
type NewNumbers = {
  slug: string;
  actor: Actor;
  ifMatch: string | undefined;
  revision: RevisionRequest;
};

type GroupDeps = WriteDeps & Pick<RevisionDeps, 'reviser' | 'digests'>;

/** Publishes new probabilities that arrive at the same time in one transaction; see {@link groupWrites}. */
export function groupRevisions(ledger: GroupDeps) {
  return groupWrites<NewNumbers, PublishedVersion>(ledger, {
    open: (session, revisions) => openGroup(session, ledger, revisions),
    respond: revisedResponse,
    subjectOf: publishedSubject,
  });
}

/** Locks outlooks; each then takes its revisions one after the other. */
async function openGroup(
  session: Session,
  { reviser, digests }: GroupDeps,
  revisions: readonly NewNumbers[],
): Promise<OpenGroup<NewNumbers, PublishedVersion>> {
  const group = await reviser.group(session, [...new Set(revisions.map((one) => one.slug))]);
  const conditional = revisions.flatMap(
    ({ slug: name, ifMatch }) => (ifMatch !== undefined && group.locked.get(name)) || [],
  );
  const current = await digests.of(session, conditional);
  return {
    decide: ({ slug: name, actor, ifMatch, revision }) => {
      const found = group.current(name, actor.desks);
      if (!found) return null;
      if (ifMatch !== undefined) requireMatch(ifMatch, digestsIn(current, name));
      const revised = renderPublished(group.revise(found, actor.analyst, revision));
      current.set(name, [revised.draft.digest]);
      digests.note(found, [revised.draft.digest]);
      return revised;
    },
    append: group.append,
  };
}

function reviseFrameworkRoute(api: Api, ledger: RevisionDeps): void {
  readJsonBodies(api, 'application/merge-patch+json');
  api.route({
    method: 'PATCH',
    url: '/v1/outlooks/:slug/framework',
    config: { access: 'analyst' },
    schema: {
      operationId: 'reviseFramework',
      tags: [TAG],
      summary: 'Revise the framework',
      description:
        'Publishes the next version with a changed framework, sent as a merge patch (RFC 7396). Members that are left out stay, null removes an optional member, and a list replaces the whole list. The patch may change the probabilities as well.',
      security: [{ key: [] }],
      params,
      consumes: ['application/merge-patch+json'],
      body: frameworkPatch,
      response: {
        201: outlook,
        202: proposal,
        ...problemResponses(400, 401, 403, 404, 409, 412, 413, 415, 422),
      },
    },
    // A patch can be validated only after it is applied to the current framework.
    validatorCompiler: (route) =>
      route.httpPart === 'body'
        ? (value: unknown) => ({ value })
        : validatorCompiler(route as never),
    preValidation: keepSentBody,
    handler: async (request, reply) => {
      const prepare = async (session: Session, current: CurrentOutlook) => {
        await requireMatchOf(request, ledger, session, current);
        return frameworkOf(current, request.body);
      };
      await answerRevision(request, reply, ledger, 'framework', prepare);
      return reply;
    },
  });
}

/** @throws Problem `precondition-failed` if If-Match does not name the current ETag */
export async function requireMatchOf(
  request: FastifyRequest,
  { digests }: Pick<RevisionDeps, 'digests'>,
  session: Session,
  current: CurrentOutlook,
): Promise<void> {
  const ifMatch = ifMatchOf(request);
  if (ifMatch === undefined) return;
  const found = await digests.of(session, [current]);
  requireMatch(ifMatch, digestsIn(found, current.row.slug));
}

function digestsIn(digests: Digests, name: string): readonly string[] {
  const found = digests.get(name);
  if (found === undefined) throw new Error(`the digest of "${name}" is missing`);
  return found;
}

/** Appends the version that `prepare` makes from the current outlook, or proposes it, and sends the response. */
export function answerRevision(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: RevisionDeps,
  kind: ProposalKind,
  prepare: Prepare,
): Promise<void> {
  const { slug: name } = request.params as { slug: string };
  const actor = actorOf(request);
  const options = { mayChangeRules: kind === 'framework' };
  const write = revisionWrite(ledger, name, actor, prepare, options);
  return runOrPropose(request, reply, ledger, { kind, outlook: name }, write);
}

function revisionWrite(
  ledger: RevisionDeps,
  name: string,
  actor: Actor,
  prepare: Prepare,
  options: { mayChangeRules: boolean },
): Write<PublishedVersion> {
  return {
    work: async (session) =>
      renderPublished(await ledger.reviser.revise(session, name, actor, prepare, options)),
    respond: revisedResponse,
    subjectOf: publishedSubject,
    afterCommit: announcer(ledger),
  };
}

function revisedResponse(revised: PublishedVersion): WriteResponse {
  return publishedResponse(revised, `/v1/outlooks/${revised.slug}/versions/${revised.version}`);
}
