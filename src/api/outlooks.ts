import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { z } from 'zod';
import { missingVersionError } from '../ledger/missing-version.ts';
import { actorOf } from '../access/authentication.ts';
import { requirePast } from '../http/require-past.ts';
import { wantedType } from '../http/negotiation.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { keepSentBody } from '../http/sent-body.ts';
import { validatorCompiler } from '../http/validation.ts';
import { queryTimestamp, queryVersion, slug, withRule } from '../http/fields.ts';
import { publishOutlook } from './carry-out.ts';
import { requestedOutlook } from './clones.ts';
import { type ProposeDeps, runOrPropose } from './propose.ts';
import { outlookRequest } from './schemas/outlook-requests.ts';
import { outlook } from './schemas/outlooks.ts';
import { proposal } from './schemas/proposals.ts';
import {
  publishedResponse,
  publishedSubject,
  announcer,
  renderPublished,
  VERSION_TYPES,
  versionContent,
  versionFormat,
  versionDraft,
} from './version-responses.ts';

export type OutlookDeps = ProposeDeps & {
  cache: ResponseCache;
  publicUrl: string;
};

const TAG = 'Outlooks';
const slugParams = z.strictObject({ slug });

export function outlookRoutes(api: Api, ledger: OutlookDeps): void {
  currentRoute(api, ledger);
  createRoute(api, ledger);
}

function createRoute(api: Api, ledger: OutlookDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/outlooks',
    config: { access: 'analyst' },
    schema: {
      operationId: 'createOutlook',
      tags: [TAG],
      summary: 'Publish a new outlook',
      description:
        'Creates an outlook with version 1. The instrument must exist. The slug, the instrument and the horizon can never change. With `from`, the outlook is a clone of a version, with the members of the request in place of its own. It is a new forecast: its author is the sender and its time that of the request, and it starts without evidence, views and triggered conditions. To roll an outlook over to a later horizon, send `continues` as well: `{"from": {"slug": "a"}, "continues": "a", "slug": "b", "horizon": {…}, "probabilities": {…}, "rationale": "…"}`. Both outlooks then name each other. Scores and track records do not depend on it. An outlook belongs to one desk, for good, and only that desk may change it; `visibility` says who sees it.',
      security: [{ key: [] }],
      body: outlookRequest,
      response: {
        201: outlook,
        202: proposal,
        ...problemResponses(400, 401, 403, 409, 413, 415, 422),
      },
    },
    // The members of a clone are known only once its source is read.
    validatorCompiler: (route) =>
      route.httpPart === 'body'
        ? (value: unknown) => ({ value })
        : validatorCompiler(route as never),
    preValidation: keepSentBody,
    handler: async (request, reply) => {
      const announce = announcer(ledger);
      const proposable = { kind: 'outlook', outlook: null } as const;
      await runOrPropose(request, reply, ledger, proposable, {
        work: async (session) => {
          const actor = actorOf(request);
          const body = await requestedOutlook(session, ledger.versions, actor, request.body);
          const by = { actor, mode: 'direct' } as const;
          const created = await publishOutlook(session, body, by, ledger.now);
          return { ...renderPublished(created), continues: created.continues };
        },
        respond: (created) => publishedResponse(created, `/v1/outlooks/${created.slug}`),
        subjectOf: publishedSubject,
        afterCommit: (created) => {
          if (created.continues !== null) ledger.cache.invalidate(created.continues);
          announce(created);
        },
      });
      return reply;
    },
  });
}

function currentRoute(api: Api, ledger: OutlookDeps): void {
  const { pool, versions, cache, now } = ledger;
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug',
    config: { access: 'read', serves: VERSION_TYPES },
    schema: {
      operationId: 'getOutlook',
      tags: [TAG],
      summary: 'Read an outlook',
      description:
        'The current version, complete. With `asOf`, the version that was current at that time, with its conditions in their states of that time. A numbered version shows the states at its publication instead.',
      params: slugParams,
      querystring: withRule(
        z.strictObject({
          asOf: queryTimestamp.optional().meta({
            description:
              "A time, by the service's clock, with at most millisecond precision. A version is current from its `publishedAt` until the `publishedAt` of the next one.",
          }),
          minVersion: queryVersion.optional().meta({
            description:
              'Return at least this version, from any instance. Returns 404 if it does not exist yet.',
          }),
          format: versionFormat,
        }),
        ({ asOf, minVersion }) =>
          asOf === undefined || minVersion === undefined
            ? []
            : [
                {
                  path: ['minVersion'],
                  detail: 'cannot be combined with asOf: leave one of them out',
                },
              ],
      ),
      response: { 200: versionContent, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { asOf, minVersion = 1, format } = request.query;
      requirePast('asOf', asOf, now());
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const { generation } = cache;
        const found = await versions.read(name, asOf ? { asOf } : 'newest');
        if (asOf === undefined) cache.noteVersion(name, found.version, generation);
        if (found.version < minVersion) {
          throw await missingVersionError(pool, name, { version: minVersion });
        }
        const type = wantedType(request, format);
        const { hasKey } = request.audience;
        const options = { isPast: asOf !== undefined, hasKey, type, format };
        return versionDraft(ledger, found, 'revalidate', options);
      });
    },
  });
}
