import { z } from 'zod';
import { createSeries, listSeries, readSeries } from '../ledger/series.ts';
import { setFreshness } from '../http/conditional-requests.ts';
import { callerOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { listShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { newSeries, series } from './schemas/series.ts';

export type SeriesDeps = WriteDeps;

const TAG = 'Series';

export function seriesRoutes(api: Api, ledger: SeriesDeps): void {
  listRoute(api, ledger);
  oneRoute(api, ledger);
  createRoute(api, ledger);
}

function createRoute(api: Api, ledger: SeriesDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/series',
    config: { access: 'feed' },
    schema: {
      operationId: 'createSeries',
      tags: [TAG],
      summary: 'Add a series',
      description:
        'Adds a series of prices or an indicator. Rules watch series, and drawdowns are computed from closes. A series belongs to one desk, for good, and only that desk sends observations of it.',
      security: [{ key: [] }],
      body: newSeries,
      response: { 201: series, ...problemResponses(400, 401, 403, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      await runWrite(request, reply, ledger, {
        work: (session) =>
          createSeries(session, request.body, callerOf(request).desks, ledger.now()),
        respond: (created) => ({
          status: 201,
          headers: { location: `/v1/series/${request.body.key}` },
          body: created,
        }),
        subjectOf: () => ({
          subject: `/v1/series/${request.body.key}`,
          summary: `Added "${request.body.name}"`,
        }),
      });
      return reply;
    },
  });
}

function listRoute(api: Api, { pool }: SeriesDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/series',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listSeries',
      tags: [TAG],
      summary: 'List series',
      description: 'Sorted by key.',
      querystring: z.strictObject({
        ...listShape,
        desk: slug.optional().meta({ description: 'Only series of the desk with this slug.' }),
      }),
      response: { 200: pageContent(series), ...problemResponses(422) },
    },
    handler: async (request, reply) => {
      const { desk = null } = request.query;
      const reads = keysetReads(request.query, {
        cursorScope: desk === null ? 'series' : ['series', desk],
        position: slug,
        fetch: (after, limit) =>
          listSeries(pool, { after, limit, desk, audience: request.audience }),
        positionOf: ({ key }) => key,
        represent: (found) => found,
      });
      setFreshness(reply, 'revalidate');
      return sendList(request, reply, pool, reads, series);
    },
  });
}

function oneRoute(api: Api, { pool }: SeriesDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/series/:key',
    config: { access: 'read' },
    schema: {
      operationId: 'getSeries',
      tags: [TAG],
      summary: 'Read a series',
      description: 'One series by its key.',
      params: z.strictObject({ key: slug }),
      response: { 200: series, ...problemResponses(404, 422) },
    },
    handler: async (request, reply) => {
      const found = await readSeries(pool, request.params.key);
      setFreshness(reply, 'revalidate');
      return reply.send(found);
    },
  });
}
