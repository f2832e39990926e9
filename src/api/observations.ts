import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { listObservations, type Vintage } from '../ledger/observation-reads.ts';
import { recordObservations } from '../ledger/observations.ts';
import { setFreshness } from '../http/conditional-requests.ts';
import { readJsonBodies, textOf } from '../http/json-body.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { ANY_SERIES } from '../http/response-cache/cache-entry.ts';
import { requirePast } from '../http/require-past.ts';
import { CsvText, placeOf, readObservations, type SentObservations } from './observation-csv.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { cursorTimestamp } from '../http/paging.ts';
import { jsonPointer, Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { day, slug } from '../http/fields.ts';
import {
  DEFAULT_OBSERVATIONS,
  newObservations,
  observation,
  observationQuery,
  recorded,
} from './schemas/series.ts';
import { MOST_ERRORS, validatorCompiler } from '../http/validation.ts';

export type ObservationDeps = WriteDeps & {
  cache: ResponseCache;
  feed: ChangeFeed;
  requireKeyForReads: boolean;
};

const TAG = 'Series';
const params = z.strictObject({ key: slug });
/** In bytes: enough for 10,000 observations, each with a note. */
const BODY_LIMIT = 4_194_304;

export async function observationRoutes(api: Api, ledger: ObservationDeps): Promise<void> {
  listRoute(api, ledger);
  // A scope of its own, because only this route accepts CSV.
  await api.register(async (scope) => recordRoute(scope, ledger));
}

function recordRoute(api: Api, ledger: ObservationDeps): void {
  readJsonBodies(api, 'application/json');
  api.addContentTypeParser(
    'text/csv',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      return new CsvText(textOf(request, body));
    },
  );
  api.route({
    method: 'POST',
    url: '/v1/series/:key/observations',
    config: { access: 'feed' },
    bodyLimit: BODY_LIMIT,
    schema: {
      operationId: 'recordObservations',
      tags: [TAG],
      summary: 'Send observations',
      description:
        'Records up to 10,000 days, all or none. A day with a new value gets a new vintage; an unchanged value has no effect, so a batch can be sent again. `"value": null` retracts a day: it gets a vintage without a value. The same transaction evaluates the conditions that watch the series, and the drawdown labels if the series holds closes.\n\nAlso accepts CSV (RFC 4180) with the header `date,value` or `date,value,provenance,note`.',
      security: [{ key: [] }],
      params,
      consumes: ['application/json', 'text/csv'],
      body: newObservations,
      response: { 200: recorded, ...problemResponses(400, 401, 403, 404, 413, 415, 422) },
    },
    // The faults of CSV name a line and a column.
    validatorCompiler: (route) =>
      route.httpPart === 'body'
        ? (body: unknown) => validated(body)
        : validatorCompiler(route as never),
    handler: async (request, reply) => {
      const { key } = request.params;
      const { observations, lines } = request.body as SentObservations;
      refuseFuture(observations, lines, ledger.now());
      await runWrite(request, reply, ledger, {
        work: (session) => recordObservations(session, key, observations, ledger.now),
        respond: ({ added, revised, retracted, unchanged, recordedAt }) => ({
          status: 200,
          body: {
            series: key,
            added,
            revised,
            retracted,
            unchanged,
            recordedAt: recordedAt?.toISOString() ?? null,
          },
        }),
        subjectOf: ({ added, revised, retracted }) => ({
          subject: `/v1/series/${key}/observations`,
          summary: `Added ${added}, revised ${revised}, retracted ${retracted}`,
        }),
        afterCommit: ({ slugs, recordedAt }) => {
          if (recordedAt !== null) ledger.cache.invalidate(ANY_SERIES);
          for (const slug of slugs) ledger.cache.invalidate(slug);
          if (slugs.length > 0) ledger.feed.announce();
        },
      });
      return reply;
    },
  });
}

function validated(body: unknown): { value: SentObservations } | { error: Problem } {
  try {
    return { value: readObservations(body) };
  } catch (error) {
    if (error instanceof Problem) return { error };
    throw error;
  }
}

/** How far local time may be ahead of UTC, in milliseconds. */
const AHEAD = 14 * 3_600_000;

function refuseFuture(
  observations: SentObservations['observations'],
  lines: SentObservations['lines'],
  now: Date,
): void {
  const last = new Date(now.getTime() + AHEAD).toISOString().slice(0, 10);
  const errors = observations.flatMap(({ date }, index) => {
    if (date <= last) return [];
    const detail = `${placeOf(lines, index, 'date')}must not be in the future; the server time is ${now.toISOString()}`;
    return [{ pointer: jsonPointer(['observations', index, 'date']), detail }];
  });
  if (errors.length === 0) return;
  const detail = 'Observations cannot be in the future. Nothing was stored.';
  throw new Problem('invalid-request', detail, { errors: errors.slice(0, MOST_ERRORS) });
}

const vintagePosition = z.codec(
  z.tuple([day, cursorTimestamp]),
  z.object({ date: day, recordedAt: z.date() }),
  {
    decode: ([date, recordedAt]) => ({ date, recordedAt }),
    encode: ({ date, recordedAt }) => [date, recordedAt] as [string, Date],
  },
);

function listRoute(api: Api, { pool, requireKeyForReads, now }: ObservationDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/series/:key/observations',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listObservations',
      tags: [TAG],
      summary: 'Read observations',
      description:
        'By day, oldest first: the newest values or, with `asOf`, the values known at that time. Revised values stay on record as vintages.',
      params,
      querystring: observationQuery,
      response: { 200: pageContent(observation), ...problemResponses(404, 422) },
    },
    handler: async (request, reply) => {
      const { key } = request.params;
      const { asOf, vintages } = request.query;
      const { from = '0001-01-01', to = 'infinity' } = request.query;
      requirePast('asOf', asOf, now());
      const which = asOf ? { asOf } : vintages === 'all' ? 'vintages' : 'newest';
      const reads = keysetReads(
        request.query,
        {
          cursorScope: ['observations', key, asOf ?? null, vintages, from, to],
          position: vintagePosition,
          fetch: (after, limit) => listObservations(pool, key, which, { from, to, after, limit }),
          positionOf: ({ date, recordedAt }) => ({ date, recordedAt }),
          represent,
        },
        DEFAULT_OBSERVATIONS,
      );
      setFreshness(reply, 'revalidate', requireKeyForReads);
      return sendList(request, reply, pool, reads, observation);
    },
  });
}

function represent(vintage: Vintage): z.output<typeof observation> {
  const { date, value, provenance, note, recordedAt, supersededAt } = vintage;
  return {
    date,
    value,
    provenance,
    note,
    recordedAt: recordedAt.toISOString(),
    supersededAt: supersededAt?.toISOString() ?? null,
  };
}
