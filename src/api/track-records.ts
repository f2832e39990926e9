import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { readInstrument } from '../ledger/instruments.ts';
import { readAnalyst } from '../ledger/analysts.ts';
import { readTrackRecord, type RecordOfForecaster } from '../ledger/track-records.ts';
import { byScore, type Scored } from '../domain/scoring.ts';
import type { LeadTime, MeanScore } from '../domain/track-record.ts';
import { keyNeeded } from '../http/problems.ts';
import { requirePast } from '../http/require-past.ts';
import { WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { symbol } from '../http/fields.ts';
import type { RecordReference, RecordScope } from '../ledger/forecast-sums.ts';
import type { Reference } from './schemas/scores.ts';
import {
  analystRecordQuery,
  instrumentRecordQuery,
  recordQuery,
  trackRecord,
} from './schemas/track-records.ts';

export type TrackRecordDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  now: () => Date;
};

const TAG = 'Track records';
const DESCRIPTION =
  'Counts, mean scores with standard errors, skill, calibration, Murphy’s decomposition, and accuracy by lead time. Covers resolved outlooks, except void ones. `asOf` returns the record as of that time, so that nobody can improve it afterwards. Without a key, it covers the outlooks that were public from their first version; a key adds the internal outlooks of its desks. A disclosure changes no record.';

export function trackRecordRoutes(api: Api, ledger: TrackRecordDeps): void {
  allRoute(api, ledger);
  instrumentRoute(api, ledger);
  analystRoute(api, ledger);
}

function allRoute(api: Api, ledger: TrackRecordDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/track-record',
    config: { access: 'read' },
    schema: {
      operationId: 'getTrackRecord',
      tags: [TAG],
      summary: 'Read the track record of all outlooks',
      description: DESCRIPTION,
      querystring: recordQuery,
      response: { 200: trackRecord, ...problemResponses(422) },
    },
    handler: (request, reply) =>
      answerRecord(
        request,
        reply,
        ledger,
        { ...request.query, source: 'version' },
        async () => null,
      ),
  });
}

function instrumentRoute(api: Api, ledger: TrackRecordDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/instruments/:symbol/track-record',
    config: { access: 'read' },
    schema: {
      operationId: 'getInstrumentTrackRecord',
      tags: [TAG],
      summary: 'Read the track record of an instrument',
      description: DESCRIPTION,
      params: z.strictObject({ symbol }),
      querystring: instrumentRecordQuery,
      response: { 200: trackRecord, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { symbol: instrument } = request.params;
      const query = { ...request.query, instrument, source: 'version' as const };
      return answerRecord(request, reply, ledger, query, async () => {
        await readInstrument(ledger.pool, instrument);
        return null;
      });
    },
  });
}

function analystRoute(api: Api, ledger: TrackRecordDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/analysts/:id/track-record',
    config: { access: 'read' },
    schema: {
      operationId: 'getAnalystTrackRecord',
      tags: [TAG],
      summary: 'Read the track record of an analyst',
      description: `${DESCRIPTION} A version counts for its author, over the time that it was current. \`source=view\` needs a key.`,
      params: z.strictObject({ id: z.uuid().toLowerCase() }),
      querystring: analystRecordQuery,
      response: { 200: trackRecord, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      if (request.query.source === 'view' && !request.audience.hasKey) {
        throw keyNeeded(['source']);
      }
      return answerRecord(request, reply, ledger, request.query, () =>
        readAnalyst(ledger.pool, request.params.id),
      );
    },
  });
}

type RecordQuery = {
  source: RecordScope['source'];
  instrument?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  minCoverage?: number | undefined;
  asOf?: Date | undefined;
  reference: Reference;
};
type Analyst = z.output<typeof trackRecord>['analyst'];

/** @param subject throws if the instrument or analyst does not exist */
function answerRecord(
  request: FastifyRequest,
  reply: FastifyReply,
  { pool, cache, now }: TrackRecordDeps,
  { source, instrument, from, to, minCoverage, asOf, reference }: RecordQuery,
  subject: () => Promise<Analyst>,
): Promise<void> {
  requirePast('asOf', asOf, now());
  // Any event may change a record, or at least its counts.
  return cache.answer(request, reply, { tags: WHOLE_LEDGER }, async () => {
    const analyst = await subject();
    const scope: RecordScope = {
      analystId: analyst && analyst.id,
      source,
      instrument: instrument ?? null,
      from: from ?? null,
      to: to ?? null,
      minCoverage: minCoverage ?? null,
      asOf: asOf ?? null,
      audience: request.audience,
    };
    const found = await readTrackRecord(pool, scope, recordReference(reference));
    const body = JSON.stringify(represent(analyst, scope, reference, found));
    return { body, freshness: 'revalidate' };
  });
}

function recordReference({ name, probabilities }: Reference): RecordReference {
  if (probabilities) return probabilities;
  if (name === 'climatology') return name;
  throw new Error(`a track record has no reference ${name}`);
}

/** With fewer outlooks, a record says that its sample is small. */
const FEW = 30;

function represent(
  analyst: Analyst,
  { source, instrument, from, to, minCoverage, asOf }: RecordScope,
  reference: Reference,
  { scores, leadTimes, ...record }: RecordOfForecaster,
): z.output<typeof trackRecord> {
  const missing: z.output<typeof trackRecord>['missing'] = [];
  const valueAt = (pointer: string, { value, reason }: Scored): number | null => {
    if (reason !== null) missing.push({ pointer, reason });
    return value;
  };
  const nothing: Scored = { value: null, reason: 'no outlook is scored' };
  const unknown: MeanScore = {
    mean: nothing,
    standardError: nothing,
    skill: nothing,
    skillError: nothing,
  };
  return {
    analyst,
    source,
    instrument,
    period: { from, to },
    asOf: asOf && asOf.toISOString(),
    minCoverage,
    reference,
    ...record,
    isSmall: Math.min(record.nEffective, record.clusters) < FEW,
    scores: byScore((name) => {
      const { mean, standardError, skill, skillError } = scores?.[name] ?? unknown;
      const at = `/scores/${name}`;
      return {
        mean: valueAt(`${at}/mean`, mean),
        standardError: valueAt(`${at}/standardError`, standardError),
        skill: valueAt(`${at}/skill`, skill),
        skillError: valueAt(`${at}/skillError`, skillError),
      };
    }),
    missing,
    leadTimes: leadTimes.map(representLead),
  };
}

function representLead({ lead, n, nEffective, brier, decomposition }: LeadTime) {
  const { standardError, skill } = brier;
  const missing = Object.entries({ standardError, skill }).flatMap(([name, { reason }]) =>
    reason === null ? [] : [{ pointer: `/brier/${name}`, reason }],
  );
  const scores = { mean: brier.mean, standardError: standardError.value, skill: skill.value };
  return { lead, n, nEffective, brier: scores, decomposition, missing };
}
