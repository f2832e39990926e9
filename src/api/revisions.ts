import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { CurrentOutlook, Reviser } from '../ledger/revisions.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { writeOf } from '../access/audit-trail.ts';
import { authorOf } from '../access/authentication.ts';
import { isConditional, requireMatch } from '../http/conditional-requests.ts';
import {
  type WriteResponse,
  runWrite,
  hasIdempotencyKey,
  sendWriteResponse,
  type WriteDeps,
} from '../access/run-write.ts';
import { readJsonBodies } from '../http/json-body.ts';
import { mergePatch } from '../http/merge-patch.ts';
import { renderOutlook } from './outlook-json.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { frameworkPatch, patchedFramework } from './schemas/frameworks.ts';
import { newRevision, outlook } from './schemas/outlooks.ts';
import { parse, validatorCompiler } from '../http/validation.ts';
import { publishedResponse, announceVersion } from './version-responses.ts';

export type RevisionDeps = WriteDeps & {
  cache: ResponseCache;
  feed: ChangeFeed;
  reviser: Reviser;
};

const TAG = 'Revisions';
const params = z.strictObject({ slug });

export async function revisionRoutes(api: Api, ledger: RevisionDeps): Promise<void> {
  reviseRoute(api, ledger);
  // A scope of its own, because only this route takes merge patches, and takes nothing else.
  await api.register(async (scope) => reviseFrameworkRoute(scope, ledger));
}

function reviseRoute(api: Api, ledger: RevisionDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/outlooks/:slug/revisions',
    config: { access: 'analyst' },
    schema: {
      operationId: 'reviseOutlook',
      tags: [TAG],
      summary: 'Revise the probabilities',
      description:
        'Publishes the next version with new probabilities, which must sum to exactly 1, and the same framework. The version must answer every triggered condition: either lower the probability of the scenario that it invalidates, or give a reason in `acknowledges`. With a reason, the probabilities may stay the same. Send the ETag of the outlook as If-Match to get a 412 if it has changed since you read it.',
      security: [{ key: [] }],
      params,
      body: newRevision,
      response: { 201: outlook, ...problemResponses(400, 401, 403, 404, 409, 412, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const revision = { author: authorOf(request), ...request.body };
      if (!isConditional(request) && !hasIdempotencyKey(request)) {
        const audit = writeOf(request, 201, ledger.now());
        const revised = await ledger.reviser.reviseNumbers({ slug: name, audit, ...revision });
        announceVersion(ledger, revised);
        sendWriteResponse(reply, answerRevised(revised));
        return reply;
      }
      const prepare = async (current: CurrentOutlook) => {
        await requireMatchOf(request, current);
        return revision;
      };
      await answerRevision(request, reply, ledger, prepare, { bringsRules: false });
      return reply;
    },
  });
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
      response: { 201: outlook, ...problemResponses(400, 401, 403, 404, 409, 412, 413, 415, 422) },
    },
    // A patch can only be judged by what it makes of the framework that stands.
    validatorCompiler: (route) =>
      route.httpPart === 'body'
        ? (value: unknown) => ({ value })
        : validatorCompiler(route as never),
    handler: async (request, reply) => {
      const author = authorOf(request);
      const prepare = async (current: CurrentOutlook) => {
        await requireMatchOf(request, current);
        const patched = parse(patchedFramework, mergePatch(current.framework.read(), request.body));
        const { rationale, probabilities, evidence, acknowledges, ...framework } = patched;
        return { author, rationale, probabilities, evidence, acknowledges, framework };
      };
      await answerRevision(request, reply, ledger, prepare, { bringsRules: true });
      return reply;
    },
  });
}

/** @throws Problem `precondition-failed` where If-Match names another state than what stands */
export function requireMatchOf(
  request: FastifyRequest,
  { readWhole }: CurrentOutlook,
): Promise<void> {
  return requireMatch(request, async () => renderOutlook(await readWhole()).digest);
}

/** Appends the version that `prepare` answers to what stands, and answers its author. */
export function answerRevision(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: RevisionDeps,
  prepare: Parameters<Reviser['revise']>[2],
  options: { bringsRules: boolean },
): Promise<void> {
  const { slug: name } = request.params as { slug: string };
  return runWrite(request, reply, ledger, {
    work: (session) => ledger.reviser.revise(session, name, prepare, options),
    respond: answerRevised,
    afterCommit: (revised) => announceVersion(ledger, revised),
  });
}

function answerRevised(revised: OutlookVersion): WriteResponse {
  return publishedResponse(revised, `/v1/outlooks/${revised.slug}/versions/${revised.version}`);
}
