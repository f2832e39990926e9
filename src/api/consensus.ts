import { z } from 'zod';
import { type PooledViews, readConsensus } from '../ledger/consensus.ts';
import type { CurrentOutlook } from '../ledger/locked-outlooks.ts';
import type { Session } from '../postgres/pool.ts';
import { requireOutlook } from '../ledger/find-outlook.ts';
import { DomainError } from '../domain/errors.ts';
import { fractionsOf } from '../domain/probabilities.ts';
import { requirePast } from '../http/require-past.ts';
import { ANY_SERIES, CLOSES_MAX_AGE, WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import { consensusOf } from './carry-out.ts';
import { answerRevision, requireMatchOf, type RevisionDeps } from './revisions.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { keepSentBody } from '../http/sent-body.ts';
import { outlook } from './schemas/outlooks.ts';
import { proposal } from './schemas/proposals.ts';
import { consensus, consensusQuery, newConsensus } from './schemas/views.ts';

const TAG = 'Views';
const CONSENSUS_URL = '/v1/outlooks/:slug/consensus';
const params = z.strictObject({ slug });

export function consensusRoutes(api: Api, ledger: RevisionDeps): void {
  readRoute(api, ledger);
  publishRoute(api, ledger);
}

function readRoute(api: Api, { pool, cache, now }: RevisionDeps): void {
  api.route({
    method: 'GET',
    url: CONSENSUS_URL,
    config: { access: 'read' },
    schema: {
      operationId: 'getConsensus',
      tags: [TAG],
      summary: 'Read the consensus',
      description:
        'The pooled views that analysts hold, with their spread and the distance of each view from the pool. A withdrawn view is left out from its withdrawal on; with `maxAge`, so is an old one.',
      params,
      querystring: consensusQuery,
      response: { 200: consensus, ...problemResponses(404, 409, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { method, weights, maxAge, asOf = null } = request.query;
      const at = now();
      requirePast('asOf', asOf ?? undefined, at);
      // Skill also depends on other outlooks, and on closes that confirm an outcome.
      const isSkill = weights === 'skill';
      const tags = isSkill ? [...WHOLE_LEDGER, ANY_SERIES] : [name];
      return cache.answer(request, reply, { tags }, async () => {
        const pooling = { method, weights, maxAge, asOf, now: at };
        const pooled = await readConsensus(pool, name, pooling).catch(async (error: unknown) => {
          if (error instanceof DomainError && error.code === 'no-views') {
            await requireOutlook(pool, name);
          }
          throw error;
        });
        const body = { slug: name, method, weights, maxAge, asOf, ...represent(pooled) };
        const ageing = pooled.until ? pooled.until.getTime() - at.getTime() : Infinity;
        const expiry = isSkill ? Math.min(ageing, CLOSES_MAX_AGE) : ageing;
        return {
          body: JSON.stringify(body),
          freshness: 'revalidate',
          ...(expiry < Infinity && { maxAge: expiry }),
        };
      });
    },
  });
}

function publishRoute(api: Api, ledger: RevisionDeps): void {
  api.route({
    method: 'POST',
    url: CONSENSUS_URL,
    config: { access: 'analyst' },
    schema: {
      operationId: 'publishConsensus',
      tags: [TAG],
      summary: 'Publish the consensus',
      description:
        'Publishes the next version with the pooled probabilities, and records the views and the method. Answer triggered conditions as in any revision. Send the ETag of the outlook as If-Match to get a 412 if it has changed since you read it.',
      security: [{ key: [] }],
      params,
      body: newConsensus,
      response: {
        201: outlook,
        202: proposal,
        ...problemResponses(400, 401, 403, 404, 409, 412, 413, 415, 422),
      },
    },
    preValidation: keepSentBody,
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const prepare = async (session: Session, current: CurrentOutlook) => {
        await requireMatchOf(request, ledger, session, current);
        return consensusOf(session, name, request.body, ledger.now());
      };
      await answerRevision(request, reply, ledger, 'consensus', prepare);
      return reply;
    },
  });
}

type Pooled = Omit<z.output<typeof consensus>, 'slug' | 'method' | 'weights' | 'maxAge' | 'asOf'>;

function represent({ consensus: found, views }: PooledViews): Pooled {
  return {
    probabilities: fractionsOf(found.probabilities),
    exact: found.exact,
    spread: found.spread,
    views: views.map(
      ({ analyst, version, recordedAt, probabilities, rationale, weight }, index) => ({
        analyst,
        version,
        recordedAt: recordedAt.toISOString(),
        probabilities: fractionsOf(probabilities),
        rationale,
        weight,
        distance: found.distances[index] ?? 0,
      }),
    ),
  };
}
