import type pg from 'pg';
import { z } from 'zod';
import { analystLine } from '../http/fields.ts';
import { answerList, keysetReads, LIST_TYPES, pageContent } from '../http/list-responses.ts';
import { idPosition, listShape, LONG_TEXTS_AT_ONCE } from '../http/paging.ts';
import { WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { listAnalysts, listViewsOf, readAnalyst } from '../ledger/analysts.ts';
import { listOutlooksOf } from '../ledger/outlook-list.ts';
import { representSummary } from './outlook-json.ts';
import { analyst, analystView } from './schemas/analysts.ts';
import { outlookSummary } from './schemas/outlooks.ts';
import { representView } from './views.ts';

export type AnalystDeps = { pool: pg.Pool; cache: ResponseCache };

const TAG = 'Analysts';
const params = z.strictObject({
  id: z.uuid().toLowerCase().meta({ description: 'The id of the analyst, as in `author.id`.' }),
});

export function analystRoutes(api: Api, ledger: AnalystDeps): void {
  listRoute(api, ledger);
  oneRoute(api, ledger);
  outlooksRoute(api, ledger);
  viewsRoute(api, ledger);
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
        represent: ({ id, name }) => ({ id, name }),
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
        const { id, name } = await readAnalyst(pool, request.params.id);
        return { body: JSON.stringify({ id, name }), freshness: 'revalidate' };
      }),
  });
}

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
