import { z } from 'zod';
import { type HorizonReturn, returnOfCloses } from '../domain/outcome.ts';
import {
  type FullResolution,
  readResolutions,
  type Resolutions,
  resolveOutlook,
} from '../ledger/resolutions.ts';
import type { CurrentOutlook } from '../ledger/locked-outlooks.ts';
import type { Session } from '../postgres/pool.ts';
import { actorOf } from '../access/authentication.ts';
import { withdrawalOf } from './carry-out.ts';
import { runOrPropose } from './propose.ts';
import { answerRevision, requireMatchOf, type RevisionDeps } from './revisions.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { keepSentBody } from '../http/sent-body.ts';
import { outlook } from './schemas/outlooks.ts';
import { proposal } from './schemas/proposals.ts';
import { newResolution, newWithdrawal, outlookResolution } from './schemas/resolutions.ts';

const TAG = 'Resolution';
const params = z.strictObject({ slug });

export function resolutionRoutes(api: Api, ledger: RevisionDeps): void {
  withdrawRoute(api, ledger);
  readRoute(api, ledger);
  resolveRoute(api, ledger);
}

function readRoute(api: Api, { pool, cache }: RevisionDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/resolution',
    config: { access: 'read' },
    schema: {
      operationId: 'getResolution',
      tags: [TAG],
      summary: 'Read the resolution',
      description:
        'The current resolution, the ones that it corrects, and whether closes contradict it by now.',
      params,
      response: { 200: outlookResolution, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const found = await readResolutions(pool, name);
        return { body: JSON.stringify(represent(found)), freshness: 'revalidate' };
      });
    },
  });
}

function resolveRoute(api: Api, ledger: RevisionDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/outlooks/:slug/resolution',
    config: { access: 'analyst' },
    schema: {
      operationId: 'resolveOutlook',
      tags: [TAG],
      summary: 'Resolve an outlook',
      description:
        'Records the outcome. The outlook then accepts no further versions and is scored. If its scenarios have return bands and its instrument has a series of closes, `{}` is enough once the horizon is over and its last close is in: the return from the last close before the horizon to the last close within it decides the outcome, in exact decimals. A withdrawn outlook can be resolved too, and is scored for the time before its withdrawal. `{"outcome": "reopened", "supersedes": 1, "reason": "…"}` takes resolution 1 back.',
      security: [{ key: [] }],
      params,
      body: newResolution,
      response: {
        201: outlookResolution,
        202: proposal,
        ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422),
      },
    },
    preValidation: keepSentBody,
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const by = { actor: actorOf(request), mode: 'direct' } as const;
      const resolution = { ...request.body, ...by };
      const proposable = { kind: 'resolution', outlook: name } as const;
      await runOrPropose(request, reply, ledger, proposable, {
        work: (session) => resolveOutlook(session, name, resolution, ledger.now),
        respond: (resolved) => ({
          status: 201,
          headers: { location: `/v1/outlooks/${name}/resolution` },
          body: represent(resolved),
        }),
        subjectOf: ({ resolutions: [newest] }) => ({
          subject: `/v1/outlooks/${name}/resolution`,
          summary: `Recorded resolution ${newest?.number}: ${newest?.outcome}`,
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

function withdrawRoute(api: Api, ledger: RevisionDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/outlooks/:slug/withdrawal',
    config: { access: 'analyst' },
    schema: {
      operationId: 'withdrawOutlook',
      tags: [TAG],
      summary: 'Withdraw an outlook',
      description:
        'Publishes a last version of the kind `withdrawn`, with unchanged content and the reason for the withdrawal. Once resolved, the outlook is scored for the time before its withdrawal. Send the ETag of the outlook as If-Match to get a 412 if it has changed since you read it.',
      security: [{ key: [] }],
      params,
      body: newWithdrawal,
      response: {
        201: outlook,
        202: proposal,
        ...problemResponses(400, 401, 403, 404, 409, 412, 413, 415, 422),
      },
    },
    preValidation: keepSentBody,
    handler: async (request, reply) => {
      const prepare = async (session: Session, current: CurrentOutlook) => {
        await requireMatchOf(request, ledger, session, current);
        return withdrawalOf(request.body);
      };
      await answerRevision(request, reply, ledger, 'withdrawal', prepare);
      return reply;
    },
  });
}

function represent({
  status,
  resolutions,
  contradiction,
}: Resolutions): z.output<typeof outlookResolution> {
  const [newest, ...superseded] = resolutions.map(representOne);
  const isReopened = newest?.outcome === 'reopened';
  return {
    status,
    resolution: isReopened ? null : (newest ?? null),
    contradiction: contradiction && {
      outcome: contradiction.outcome,
      closes: withReturn(contradiction.closes),
      since: contradiction.since.toISOString(),
    },
    superseded: newest && isReopened ? [newest, ...superseded] : superseded,
  };
}

function representOne(one: FullResolution) {
  return {
    number: one.number,
    outcome: one.outcome,
    realisedReturn: one.realisedReturn,
    decidedBy: one.decidedBy,
    knownAt: one.knownAt && one.knownAt.toISOString(),
    reason: one.reason,
    closes: one.closes && withReturn(one.closes),
    evidence: [...one.evidence],
    resolvedBy: one.resolvedBy,
    approvedBy: [...one.approvedBy],
    resolvedAt: one.resolvedAt.toISOString(),
    supersededAt: one.supersededAt && one.supersededAt.toISOString(),
  };
}

function withReturn({ start, end }: Pick<HorizonReturn, 'start' | 'end'>): HorizonReturn {
  return { start, end, value: returnOfCloses({ start: start.value, end: end.value }) };
}
