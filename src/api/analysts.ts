import { z } from 'zod';
import { type AnalystState, changeAnalyst, readAnalystState } from '../access/analyst-changes.ts';
import { runWrite, type WriteDeps, type WriteResponse } from '../access/run-write.ts';
import { analystLine } from '../http/fields.ts';
import { answerList, keysetReads, LIST_TYPES, pageContent } from '../http/list-responses.ts';
import { readJsonBodies } from '../http/json-body.ts';
import { idPosition, listShape, LONG_TEXTS_AT_ONCE } from '../http/paging.ts';
import { WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { listAnalysts, listViewsOf, readAnalyst } from '../ledger/analysts.ts';
import { listOutlooksOf } from '../ledger/outlook-list.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import { representSummary } from './outlook-json.ts';
import { analyst, analystPatch, analystView } from './schemas/analysts.ts';
import { outlookSummary } from './schemas/outlooks.ts';
import { representView } from './views.ts';

export type AnalystDeps = WriteDeps & { cache: ResponseCache; feed: ChangeFeed };

const TAG = 'Analysts';
const params = z.strictObject({
  id: z.uuid().toLowerCase().meta({ description: 'The id of the analyst, as in `author.id`.' }),
});

export async function analystRoutes(api: Api, ledger: AnalystDeps): Promise<void> {
  listRoute(api, ledger);
  oneRoute(api, ledger);
  outlooksRoute(api, ledger);
  viewsRoute(api, ledger);
  // A scope of its own, because only this route takes merge patches, and it takes nothing else.
  await api.register(async (scope) => changeRoute(scope, ledger));
}

function listRoute(api: Api, { pool, cache }: AnalystDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/analysts',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listAnalysts',
      tags: [TAG],
      summary: 'List the analysts',
      description:
        'The analysts who have published a version or, with a key, a view, by name. Holders of keys who have published neither are left out.',
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(analyst), ...problemResponses(422) },
    },
    handler: (request, reply) => {
      const reads = keysetReads(request.query, {
        cursorScope: ['analysts'],
        position: analystLine,
        fetch: (after, limit) => listAnalysts(pool, { after, limit, audience: request.audience }),
        positionOf: ({ name }) => name,
        represent: (found) => found,
      });
      return answerList(request, reply, { pool, cache, tags: WHOLE_LEDGER }, reads, analyst);
    },
  });
}

function oneRoute(api: Api, { pool, cache }: AnalystDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/analysts/:id',
    config: { access: 'read' },
    schema: {
      operationId: 'getAnalyst',
      tags: [TAG],
      summary: 'Read an analyst',
      description: 'The name of an analyst, by the id that versions, views and keys name.',
      params,
      response: { 200: analyst, ...problemResponses(404, 422) },
    },
    handler: (request, reply) =>
      cache.answer(request, reply, { tags: WHOLE_LEDGER }, async () => {
        const found = await readAnalystState(pool, request.params.id);
        return { body: JSON.stringify(found), freshness: 'revalidate' };
      }),
  });
}

function changeRoute(api: Api, ledger: AnalystDeps): void {
  readJsonBodies(api, 'application/merge-patch+json');
  api.route({
    method: 'PATCH',
    url: '/v1/analysts/:id',
    config: { access: 'admin' },
    schema: {
      operationId: 'changeAnalyst',
      tags: [TAG],
      summary: 'Rename, deactivate or reactivate an analyst',
      description:
        'A merge patch (RFC 7396) of `name` and `active`. What the analyst wrote shows the new name; the log keeps the earlier one, and nobody else gets it. While an analyst is deactivated, their keys and tokens are refused, and each consensus leaves their views out; a consensus as of an earlier time has them. They stay the author of what they wrote.',
      security: [{ key: [] }],
      params,
      consumes: ['application/merge-patch+json'],
      body: analystPatch,
      response: { 200: analyst, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      await runWrite(request, reply, ledger, {
        work: (session) => changeAnalyst(session, id, request.body, ledger.now()),
        respond: changedResponse,
        subjectOf: ({ changes }) => ({
          subject: `/v1/analysts/${id}`,
          // Without the names, which may be erased.
          summary: changes.length > 0 ? `The analyst was ${changes.join(' and ')}` : NO_CHANGE,
        }),
        afterCommit: async (changed) => {
          // Whatever shows the name was dropped by then.
          if (changed.changes.length > 0) await ledger.feed.refresh();
          ledger.feed.announce();
          return changedResponse(changed);
        },
      });
      return reply;
    },
  });
}

const NO_CHANGE = 'Changed nothing';

const changedResponse = ({ analyst: changed }: { analyst: AnalystState }): WriteResponse => ({
  status: 200,
  body: changed,
});

function outlooksRoute(api: Api, { pool, cache }: AnalystDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/analysts/:id/outlooks',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listOutlooksOfAnalyst',
      tags: [TAG],
      summary: "List an analyst's outlooks",
      description:
        'The outlooks of which the analyst has published a version, each at its current version, which may be by somebody else. The outlooks that were created last come first.',
      params,
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(outlookSummary), ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { audience } = request;
      const { id } = request.params;
      const reads = keysetReads(request.query, {
        cursorScope: ['outlooks of', id],
        position: idPosition,
        fetch: async (before, limit) => {
          const outlooks = await listOutlooksOf(pool, id, { before, limit, audience });
          if (outlooks.length === 0) await readAnalyst(pool, id);
          return outlooks;
        },
        positionOf: (outlook) => outlook.id,
        represent: representSummary,
      });
      return answerList(request, reply, { pool, cache, tags: WHOLE_LEDGER }, reads, outlookSummary);
    },
  });
}

function viewsRoute(api: Api, { pool, cache }: AnalystDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/analysts/:id/views',
    config: { access: 'key', serves: LIST_TYPES },
    schema: {
      operationId: 'listViewsOfAnalyst',
      tags: [TAG],
      summary: "List an analyst's views",
      description:
        'The views of the analyst, one for each outlook, at its newest version. Withdrawn views have the kind `withdrawn`. Views of the outlooks that were created last come first.',
      security: [{ key: [] }],
      params,
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(analystView), ...problemResponses(401, 404, 422) },
    },
    handler: (request, reply) => {
      const { audience } = request;
      const { id } = request.params;
      const reads = keysetReads(request.query, {
        cursorScope: ['views of', id],
        rowsAtOnce: LONG_TEXTS_AT_ONCE,
        position: idPosition,
        fetch: async (before, limit) => {
          const views = await listViewsOf(pool, id, { before, limit, audience });
          if (views.length === 0) await readAnalyst(pool, id);
          return views;
        },
        positionOf: ({ outlookId }) => outlookId,
        represent: ({ slug, title, ...view }) => ({ slug, title, ...representView(view) }),
      });
      return answerList(request, reply, { pool, cache, tags: WHOLE_LEDGER }, reads, analystView);
    },
  });
}
