import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { datingOfPeriods } from '../domain/series.ts';
import { listObservations, type Vintage } from '../ledger/observation-reads.ts';
import { recordObservations } from '../ledger/observations.ts';
import { previewObservations } from '../ledger/observation-preview.ts';
import { readSeries } from '../ledger/series.ts';
import { setFreshness } from '../http/conditional-requests.ts';
import { readJsonBodies, textOf } from '../http/json-body.ts';
import { callerOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { requirePast } from '../http/require-past.ts';
import { CSV_TYPES, CsvText, placeOf, readCsv, type SentObservations } from './observation-csv.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { announceObservations, type AnnounceDeps } from './announce-observations.ts';
import { cursorTimestamp } from '../http/paging.ts';
import { jsonPointer, Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { day, slug } from '../http/fields.ts';
import {
  DEFAULT_OBSERVATIONS,
  newObservations,
  observation,
  observationQuery,
} from './schemas/series.ts';
import { importQuery, maxJumpOf, recorded } from './schemas/series-files.ts';
import { invalidRequest, MOST_ERRORS, validatorCompiler } from '../http/validation.ts';

export type ObservationDeps = WriteDeps & AnnounceDeps;

const TAG = 'Series';
const params = z.strictObject({ key: slug });
/** In bytes: enough for 10,000 observations, each with a note, and for any file of daily prices. */
const BODY_LIMIT = 4_194_304;

export async function observationRoutes(api: Api, ledger: ObservationDeps): Promise<void> {
  listRoute(api, ledger);
  // A scope of its own, because only this route accepts CSV.
  await api.register(async (scope) => recordRoute(scope, ledger));
}

function recordRoute(api: Api, ledger: ObservationDeps): void {
  readJsonBodies(api, 'application/json');
  api.addContentTypeParser(
    CSV_TYPES,
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      await request.work?.takeTurn();
      return new CsvText(textOf(request, body));
    },
  );
  api.route({
    method: 'POST',
    url: '/v1/series/:key/observations',
    config: { access: 'feed', takesGzip: true },
    bodyLimit: BODY_LIMIT,
    schema: {
      operationId: 'recordObservations',
      tags: [TAG],
      summary: 'Send observations',
      description: DESCRIPTION,
      security: [{ key: [] }],
      params,
      querystring: importQuery,
      consumes: ['application/json', 'text/csv'],
      body: newObservations,
      response: { 200: recorded, ...problemResponses(400, 401, 403, 404, 413, 415, 422) },
    },
    // How CSV is read depends on the query and the series.
    validatorCompiler: (route) => {
      const validate = validatorCompiler(route as never);
      return (data: unknown) => (data instanceof CsvText ? { value: data } : validate(data));
    },
    handler: async (request, reply) => {
      const { key } = request.params;
      const sent = await observationsOf(request.body, request.query, key, ledger);
      refuseFuture(sent, ledger.now());
      if (request.query.dryRun) return reply.send(await dryRun(request, key, sent, ledger));
      await recordAll(request, reply, { key, sent, ledger });
      return reply;
    },
  });
}

const DESCRIPTION =
  'Records up to 10,000 days, all or none. A day with a new value gets a new vintage; an unchanged value has no effect, so a batch can be sent again. `"value": null` retracts a day: it gets a vintage without a value. The same transaction evaluates the conditions that watch the series, and the drawdown labels if the series holds closes.\n\nAlso accepts CSV (RFC 4180) of up to 40,000 rows, in UTF-8, with a header line: `date,value`, `date,value,provenance,note`, or any file with a column of dates and one of values. The parameters say what the file itself leaves open; an ambiguous file is refused. `format` names a provider. Rows without a value are skipped. The body may be compressed by gzip (`Content-Encoding: gzip`); the limit of 4 MiB holds for what it decompresses to.';

type ImportQuery = z.output<typeof importQuery>;
type Sent = SentObservations;

/** @throws Problem `invalid-request`; DomainError `series-not-found` */
async function observationsOf(
  body: unknown,
  query: ImportQuery,
  key: string,
  { pool }: ObservationDeps,
): Promise<Sent> {
  const {
    format: provider,
    dateColumn,
    valueColumn,
    dateFormat,
    decimal,
    delimiter,
    missing,
  } = query;
  const described = { dateColumn, valueColumn, dateFormat, decimal, delimiter, missing };
  if (body instanceof CsvText) {
    const series = await readSeries(pool, key);
    return readCsv(body, { provider, ...described }, datingOfPeriods(series));
  }
  const errors = Object.entries({ format: provider, ...described }).flatMap(([name, value]) => {
    const detail = 'describes CSV: send it with Content-Type: text/csv';
    return value === undefined ? [] : [{ pointer: `/${name}`, detail, in: 'query' as const }];
  });
  if (errors.length > 0) throw invalidRequest(errors, 'query');
  return { ...(body as Pick<Sent, 'observations'>), rows: null, skipped: [] };
}

/** The most days that a preview lists of each kind. */
const MOST_PREVIEWED = 100;

async function dryRun(
  request: FastifyRequest,
  key: string,
  { observations, skipped }: Sent,
  { pool }: ObservationDeps,
): Promise<z.output<typeof recorded>> {
  const { from, to, revisions, jumps, ...counts } = await previewObservations(
    pool,
    key,
    callerOf(request).desks,
    observations,
    maxJumpOf(request.query as ImportQuery),
  );
  const preview = {
    from,
    to,
    skippedDays: skipped.slice(0, MOST_PREVIEWED),
    revisions: revisions.slice(0, MOST_PREVIEWED),
    jumps: jumps.slice(0, MOST_PREVIEWED),
  };
  return { series: key, ...counts, skipped: skipped.length, recordedAt: null, preview };
}

async function recordAll(
  request: FastifyRequest,
  reply: FastifyReply,
  { key, sent, ledger }: { key: string; sent: Sent; ledger: ObservationDeps },
): Promise<void> {
  const { desks } = callerOf(request);
  await runWrite(request, reply, ledger, {
    work: (session) => recordObservations(session, key, desks, sent.observations, ledger.now),
    respond: ({ added, revised, retracted, unchanged, recordedAt }) => ({
      status: 200,
      body: {
        series: key,
        added,
        revised,
        retracted,
        unchanged,
        skipped: sent.skipped.length,
        recordedAt: recordedAt?.toISOString() ?? null,
        preview: null,
      },
    }),
    subjectOf: ({ added, revised, retracted }) => ({
      subject: `/v1/series/${key}/observations`,
      summary: `Added ${added}, revised ${revised}, retracted ${retracted}`,
    }),
    afterCommit: (recordedNow) => announceObservations(ledger, recordedNow),
  });
}

/** How far local time may be ahead of UTC, in milliseconds. */
const AHEAD = 14 * 3_600_000;

function refuseFuture({ observations, rows }: Sent, now: Date): void {
  const last = new Date(now.getTime() + AHEAD).toISOString().slice(0, 10);
  const errors = observations.flatMap(({ date }, index) => {
    if (date <= last) return [];
    const row = rows?.[index];
    const place = row ? placeOf(row, 'date') : '';
    const pointer = jsonPointer(['observations', row?.index ?? index, 'date']);
    const detail = `${place}must not be in the future; the server time is ${now.toISOString()}`;
    return [{ pointer, detail }];
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

function listRoute(api: Api, { pool, now }: ObservationDeps): void {
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
      setFreshness(reply, 'revalidate');
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
