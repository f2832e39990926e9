import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { historyBatches, type HistoryPoint, readHistory } from '../ledger/history.ts';
import { fractionsOf } from '../domain/probabilities.ts';
import { requirePast } from '../http/require-past.ts';
import { answerAsCsv } from '../http/list-responses.ts';
import { CSV_TYPE, JSON_TYPE, wantedType } from '../http/negotiation.ts';
import { listShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { queryTimestamp, slug, withRule } from '../http/fields.ts';
import { probabilityHistory } from './schemas/history.ts';

export type HistoryDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  now: () => Date;
};

export function historyRoutes(api: Api, { pool, cache, now }: HistoryDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/probabilities',
    config: { access: 'read', serves: [JSON_TYPE, CSV_TYPE] },
    schema: {
      operationId: 'getProbabilities',
      tags: ['Versions'],
      summary: 'Read the history of the probabilities',
      description:
        'Each version with its probabilities, oldest first: all versions, or those published in [from, to). A version applies until the next one, so draw the series as steps. Also available as CSV (RFC 4180), with `Accept: text/csv` or `format=csv`.',
      params: z.strictObject({ slug }),
      querystring: withRule(
        z.strictObject({
          from: queryTimestamp
            .optional()
            .meta({ description: 'Only versions published at or after this time.' }),
          to: queryTimestamp
            .optional()
            .meta({ description: 'Only versions published before this time.' }),
          format: listShape.format,
        }),
        ({ from, to }) =>
          from === undefined || to === undefined || from <= to
            ? []
            : [{ path: ['from'], detail: `must not be after to, ${to.toISOString()}` }],
      ),
      response: {
        200: {
          content: {
            'application/json': { schema: probabilityHistory },
            'text/csv': {
              schema: z.string().meta({
                description: 'CSV (RFC 4180), with a header line and CRLF.',
                examples: [
                  'version,publishedAt,bear,base,bull\r\n1,2026-11-20T16:00:00.000Z,0.3,0.45,0.25\r\n',
                ],
              }),
            },
          },
        },
        ...problemResponses(404, 422),
      },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const { from, to, format } = request.query;
      requirePast('from', from, now());
      if (wantedType(request, format) === CSV_TYPE) {
        const parts = () => csvParts(historyBatches(pool, name, { from, to }));
        return answerAsCsv(request, reply, { pool, cache, tags: [name] }, parts);
      }
      await cache.answer(request, reply, { tags: [name] }, async () => {
        const { opening, points } = await readHistory(pool, name, { from, to });
        const body = JSON.stringify({
          slug: name,
          opening: opening && representPoint(opening),
          points: points.map(representPoint),
        } satisfies z.output<typeof probabilityHistory>);
        return { body, freshness: 'revalidate', hasAlternatives: format === undefined };
      });
      return reply;
    },
  });
}

function representPoint({ version, publishedAt, probabilities }: HistoryPoint) {
  return { version, publishedAt: publishedAt.toISOString(), ...fractionsOf(probabilities) };
}

// Numbers and timestamps need no quotes.
async function* csvParts(
  batches: AsyncIterable<readonly HistoryPoint[]>,
): AsyncGenerator<string, void> {
  yield 'version,publishedAt,bear,base,bull\r\n';
  for await (const points of batches) {
    yield points.map((point) => `${Object.values(representPoint(point)).join(',')}\r\n`).join('');
  }
}
