import slugify from '@sindresorhus/slugify';
import { z } from 'zod';
import type { Db } from '../db/client.ts';
import { createOutlook, listOutlooks } from '../db/outlooks.ts';
import { readVersion } from '../db/versions.ts';
import { OUTLOOK_STATUSES, type OutlookVersion } from '../domain/outlook.ts';
import { authorOf } from './auth.ts';
import { setFreshness } from './caching.ts';
import { cursorMoment, decodeCursor, encodeCursor, pageOf, pageShape, sendPage } from './paging.ts';
import { Problem } from './problems.ts';
import { representOutlook, representSummary } from './representations.ts';
import { type Api, type Ledger, refusals } from './routing.ts';
import { slug, symbol } from './schemas/fields.ts';
import { newOutlook, outlook, outlookSummary } from './schemas/outlooks.ts';
import { isSnapshot } from './snapshots.ts';

const TAG = 'Outlooks';
const slugParams = z.strictObject({ slug });

export function outlookRoutes(api: Api, ledger: Ledger): void {
  listRoute(api, ledger);
  currentRoute(api, ledger);
  createRoute(api, ledger);
}

function createRoute(api: Api, { db, now }: Ledger): void {
  api.route({
    method: 'POST',
    url: '/v1/outlooks',
    config: { access: 'analyst' },
    schema: {
      operationId: 'createOutlook',
      tags: [TAG],
      summary: 'Publish a new outlook',
      description:
        'Creates the outlook with its version 1. The instrument must exist; the horizon, the instrument and the slug stay for good.',
      security: [{ key: [] }],
      body: newOutlook,
      response: { 201: outlook, ...refusals(400, 401, 403, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const created = await publishOutlook(db, request.body, authorOf(request), now);
      return reply
        .code(201)
        .header('location', `/v1/outlooks/${created.slug}`)
        .send(representOutlook(created));
    },
  });
}

/**
 * Creates the outlook that a request describes.
 * @throws DomainError as {@link createOutlook} does; Problem where no slug is given nor can be made
 */
export async function publishOutlook(
  db: Db,
  body: z.output<typeof newOutlook>,
  author: OutlookVersion['author'],
  now: () => Date,
): Promise<OutlookVersion> {
  const { slug: wanted, instrument, horizon, rationale, probabilities, ...framework } = body;
  const about = { slug: wanted ?? slugOf(framework.title), instrument, horizon };
  return createOutlook(db, { ...about, author, rationale, probabilities, framework }, now);
}

function slugOf(title: string): string {
  const made = slugify(title, { decamelize: false }).slice(0, 100).replace(/-$/, '');
  if (slug.safeParse(made).success) return made;
  throw new Problem('invalid-request', 'No slug can be made from the title; give one.', {
    errors: [{ pointer: '/slug', detail: 'is required, as none can be made from the title' }],
  });
}

const listPosition = z
  .tuple([cursorMoment, z.int().min(1), z.string().max(6000).refine(isSnapshot), cursorMoment])
  .transform(([publishedAt, id, snapshot, startedAt]) => ({
    publishedAt: new Date(publishedAt),
    id,
    snapshot,
    startedAt: new Date(startedAt),
  }));

function listRoute(api: Api, { db, now, requireKeyForReads }: Ledger): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks',
    config: { access: 'read' },
    schema: {
      operationId: 'listOutlooks',
      tags: [TAG],
      summary: 'List outlooks',
      description:
        'Summaries of current versions, the newest publication first. A walk by cursor goes on through the ledger as its first page saw it: an outlook that is revised meanwhile is neither skipped nor shown twice.',
      querystring: z.strictObject({
        instrument: symbol.optional().meta({ description: 'Only outlooks on this symbol.' }),
        status: z.enum(OUTLOOK_STATUSES).optional().meta({ description: 'Only of this status.' }),
        ...pageShape,
      }),
      response: { 200: pageOf(outlookSummary), ...refusals(422) },
    },
    handler: async (request, reply) => {
      const { limit, cursor, instrument = null, status = null } = request.query;
      const filters = { instrument, status };
      const after = decodeCursor(cursor, filters, listPosition);
      const { summaries, next } = await listOutlooks(db, filters, { after, limit, now: now() });
      setFreshness(reply, 'revalidate', requireKeyForReads);
      return sendPage(request, reply, {
        items: summaries.map(representSummary),
        nextCursor:
          next &&
          encodeCursor(filters, [
            next.publishedAt.getTime(),
            next.id,
            next.snapshot,
            next.startedAt.getTime(),
          ]),
      });
    },
  });
}

function currentRoute(api: Api, { db, frameworks, requireKeyForReads }: Ledger): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug',
    config: { access: 'read' },
    schema: {
      operationId: 'getOutlook',
      tags: [TAG],
      summary: 'Read an outlook',
      description: 'The version that stands now, whole.',
      params: slugParams,
      response: { 200: outlook, ...refusals(404, 422) },
    },
    handler: async (request, reply) => {
      const current = await readVersion(db, frameworks, request.params.slug, null);
      setFreshness(reply, 'revalidate', requireKeyForReads);
      return reply.send(representOutlook(current));
    },
  });
}
