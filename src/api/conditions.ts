import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { z } from 'zod';
import {
  assessCondition,
  type Condition,
  type ConditionChange,
  listChanges,
  readCondition,
  readConditions,
} from '../ledger/conditions.ts';
import { actorOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { LIST_TYPES, nextLink, pageContent, pageDraft } from '../http/list-responses.ts';
import {
  idPosition,
  keysetPage,
  LONG_TEXTS_AT_ONCE,
  listShape,
  pageShape,
} from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { condition, conditionHistory, conditions, newAssessment } from './schemas/conditions.ts';
import { slug } from '../http/fields.ts';

export type ConditionDeps = WriteDeps & {
  cache: ResponseCache;
  feed: ChangeFeed;
};

const TAG = 'Conditions';
const slugParams = z.strictObject({ slug });
const keyParams = z.strictObject({ slug, key: slug });

export function conditionRoutes(api: Api, ledger: ConditionDeps): void {
  listRoute(api, ledger);
  historyRoute(api, ledger);
  assessRoute(api, ledger);
}

function listRoute(api: Api, { pool, cache }: ConditionDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/conditions',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listConditions',
      tags: [TAG],
      summary: 'List the conditions of an outlook',
      description:
        'The invalidation conditions of the current version, in its order, each with its state and the latest change of it. For an earlier time, read the outlook with `asOf`.',
      params: slugParams,
      querystring: z.strictObject({ format: listShape.format }),
      response: { 200: pageContent(condition, conditions), ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const items = (await readConditions(pool, name, null)).map(representCondition);
        return pageDraft(request, { items }, condition);
      });
    },
  });
}

function historyRoute(api: Api, { pool, cache }: ConditionDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/conditions/:key',
    config: { access: 'read' },
    schema: {
      operationId: 'getCondition',
      tags: [TAG],
      summary: 'Read a condition and its history',
      description:
        'One condition of the current version with all changes of its state, newest first.',
      params: keyParams,
      querystring: z.strictObject(pageShape),
      response: { 200: conditionHistory, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name, key } = request.params;
      const isLarge = request.query.limit > LONG_TEXTS_AT_ONCE;
      return cache.answer(request, reply, { tags: [name], isLarge }, async () => {
        const { items: changes, nextCursor } = await keysetPage(request.query, {
          cursorScope: ['condition', name, key],
          rowsAtOnce: LONG_TEXTS_AT_ONCE,
          position: idPosition,
          fetch: (before, limit) => listChanges(pool, name, key, { before, limit }),
          positionOf: ({ id }) => id,
          represent: representChange,
        });
        const current = representCondition(await readCondition(pool, name, key));
        const body = { ...current, changes, nextCursor } satisfies z.output<
          typeof conditionHistory
        >;
        const link = nextLink(request, { nextCursor });
        return { body: JSON.stringify(body), freshness: 'revalidate', link };
      });
    },
  });
}

function assessRoute(api: Api, ledger: ConditionDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/outlooks/:slug/conditions/:key/assessments',
    config: { access: 'analyst' },
    schema: {
      operationId: 'assessCondition',
      tags: [TAG],
      summary: 'Assess a condition',
      description:
        'Changes the state of a condition that has no rule. With `overrideReason`, it also works for a condition that has one. A triggered condition makes a review of the outlook due, and the next version must answer it.',
      security: [{ key: [] }],
      params: keyParams,
      body: newAssessment,
      response: { 201: condition, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { slug: name, key } = request.params;
      const assessment = { ...request.body, actor: actorOf(request) };
      await runWrite(request, reply, ledger, {
        work: (session) => assessCondition(session, name, key, assessment, ledger.now),
        respond: (assessed) => ({
          status: 201,
          headers: { location: `/v1/outlooks/${name}/conditions/${key}` },
          body: representCondition(assessed),
        }),
        subjectOf: ({ state }) => ({
          subject: `/v1/outlooks/${name}/conditions/${key}`,
          summary: `Assessed the condition as ${state}`,
        }),
        afterCommit: () => {
          ledger.cache.invalidate(name);
          ledger.feed.announce();
        },
      });
      return reply;
    },
  });
}

/** A condition as the API returns it. */
export function representCondition({ lastChange, ...rest }: Condition): z.output<typeof condition> {
  return { ...rest, lastChange: lastChange && representChange(lastChange) };
}

function representChange(change: ConditionChange) {
  const { state, cause, reason, day, observations, version, assessment, answer } = change;
  return {
    state,
    cause,
    reason,
    day,
    observations: [...observations],
    version,
    recordedAt: change.recordedAt.toISOString(),
    assessment: assessment && { ...assessment, evidence: [...assessment.evidence] },
    answer,
  };
}
