import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import slugify from '@sindresorhus/slugify';
import { z } from 'zod';
import type pg from 'pg';
import { createOutlook } from '../ledger/outlooks.ts';
import { missingVersionError } from '../ledger/missing-version.ts';
import type { VersionReader } from '../ledger/versions.ts';
import type { Actor } from '../domain/desks.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { actorOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { requirePast } from '../http/require-past.ts';
import { wantedType } from '../http/negotiation.ts';
import { Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { validatorCompiler } from '../http/validation.ts';
import { queryTimestamp, queryVersion, slug, withRule } from '../http/fields.ts';
import { requestedOutlook } from './clones.ts';
import { type newOutlook, outlookRequest } from './schemas/outlook-requests.ts';
import { outlook } from './schemas/outlooks.ts';
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

export type OutlookDeps = WriteDeps & {
  cache: ResponseCache;
  feed: ChangeFeed;
  versions: VersionReader;
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
      response: { 201: outlook, ...problemResponses(400, 401, 403, 409, 413, 415, 422) },
    },
    // The members of a clone are known only once its source is read.
    validatorCompiler: (route) =>
      route.httpPart === 'body'
        ? (value: unknown) => ({ value })
        : validatorCompiler(route as never),
    handler: async (request, reply) => {
      const announce = announcer(ledger);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const actor = actorOf(request);
          const body = await requestedOutlook(session, ledger.versions, actor, request.body);
          const created = await publishOutlook(session, body, actor, ledger.now);
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

/**
 * Creates the outlook that a request describes. Call it in a transaction.
 * @throws DomainError as {@link createOutlook} does; Problem if no slug is given and none can be made from the title
 */
export async function publishOutlook(
  session: pg.PoolClient,
  body: z.output<typeof newOutlook>,
  actor: Actor,
  now: () => Date,
): Promise<OutlookVersion> {
  const { slug: givenSlug, instrument, horizon, continues, from: _, ...rest } = body;
  const { desk, visibility, ...published } = rest;
  const { rationale, probabilities, ...framework } = published;
  const subject = { slug: givenSlug ?? slugOf(framework.title), instrument, horizon, continues };
  const owner = { desk, visibility, actor };
  return createOutlook(session, { ...subject, ...owner, rationale, probabilities, framework }, now);
}

function slugOf(title: string): string {
  const made = slugify(title, { decamelize: false }).slice(0, 100).replace(/-$/, '');
  if (slug.safeParse(made).success) return made;
  throw new Problem('invalid-request', 'No slug can be made from the title; send one.', {
    errors: [{ pointer: '/slug', detail: 'is required, because none can be made from the title' }],
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
