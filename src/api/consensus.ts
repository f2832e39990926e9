import { z } from 'zod';
import { type PooledViews, readConsensus, readPublicPool } from '../ledger/consensus.ts';
import type { CurrentOutlook } from '../ledger/locked-outlooks.ts';
import type { Session } from '../postgres/pool.ts';
import { requireOutlook } from '../ledger/find-outlook.ts';
import { nextPublicPool, type PublicPool, publicPoolTime } from '../domain/consensus.ts';
import { DomainError } from '../domain/errors.ts';
import { byScenario, fractionsOf } from '../domain/probabilities.ts';
import { keyNeeded } from '../http/problems.ts';
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
        'The pooled views that analysts hold, with their spread and the distance of each view from the pool. A view is left out from its withdrawal on, or while its analyst is deactivated; with `maxAge`, so is an old one.\n\nWithout a key, it is the linear pool with equal weights, in whole percents, as of the last midnight (UTC), with the number of views and their standard deviation. It is shown from three views on, and refreshed once a day, so that it does not tell who holds which view. `method`, `weights`, `maxAge` and `asOf` need a key.',
      params,
      querystring: consensusQuery,
      response: { 200: consensus, ...problemResponses(404, 409, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { asOf = null, ...how } = request.query;
      const at = now();
      const { hasKey } = request.audience;
      if (!hasKey) requirePublic(request.query);
      requirePast('asOf', asOf ?? undefined, at);
      if (!hasKey) {
        return cache.answer(request, reply, { tags: [name] }, async () => {
          const asOf = publicPoolTime(at);
          const pooled = await orNotFound(pool, name, readPublicPool(pool, name, asOf));
          const body = JSON.stringify(representPublic(name, pooled, asOf));
          const maxAge = nextPublicPool(at).getTime() - at.getTime();
          return { body, freshness: 'revalidate', maxAge };
        });
      }
      // Skill also depends on other outlooks, and on closes that confirm an outcome.
      const isSkill = how.weights === 'skill';
      const tags = isSkill ? [...WHOLE_LEDGER, ANY_SERIES] : [name];
      return cache.answer(request, reply, { tags }, async () => {
        const pooling = { ...how, asOf, now: at };
        const pooled = await orNotFound(pool, name, readConsensus(pool, name, pooling));
        const body = { slug: name, ...how, asOf, ...represent(pooled) };
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

/**
 * What `pooled` resolves to.
 * @throws DomainError `outlook-not-found` if it found no views because there is no such outlook
 */
async function orNotFound<Pooled>(
  session: Session,
  slug: string,
  pooled: Promise<Pooled>,
): Promise<Pooled> {
  return pooled.catch(async (error: unknown) => {
    const isEmpty = error instanceof DomainError && /^(no-views|too-few-views)$/.test(error.code);
    if (isEmpty) await requireOutlook(session, slug);
    throw error;
  });
}

/** How views are pooled for those without a key. */
const PUBLIC_POOLING = { method: 'linear', weights: 'equal', maxAge: null } as const;

/** @throws Problem `unauthorized` for any pool but the one that everyone may read */
function requirePublic(query: z.output<typeof consensusQuery>): void {
  const sent: Record<string, unknown> = query;
  const open: Record<string, unknown> = PUBLIC_POOLING;
  const closed = Object.keys(sent).filter((name) => sent[name] !== open[name]);
  if (closed.length > 0) throw keyNeeded(closed);
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

function representPublic(
  slug: string,
  { n, percents, deviations }: PublicPool,
  asOf: Date,
): z.output<typeof consensus> {
  return {
    slug,
    ...PUBLIC_POOLING,
    asOf: asOf.toISOString(),
    n,
    probabilities: byScenario((name) => percents[name] / 100),
    spread: byScenario((name) => ({ standardDeviation: deviations[name] / 100 })),
  };
}

type Pooled = Omit<z.output<typeof consensus>, 'slug' | 'method' | 'weights' | 'maxAge' | 'asOf'>;

function represent({ consensus: found, views }: PooledViews): Pooled {
  return {
    n: views.length,
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
