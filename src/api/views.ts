import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { holdView, listViews, listViewVersions, type View } from '../ledger/views.ts';
import { notFound } from '../ledger/versions.ts';
import { DomainError } from '../domain/errors.ts';
import { fractionsOf } from '../domain/probabilities.ts';
import { authorOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import {
  decodeCursor,
  encodeCursor,
  LIST_TYPES,
  pageContent,
  pageFrom,
  listShape,
  renderPage,
} from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug, versionNumber } from '../http/fields.ts';
import { newView, view } from './schemas/views.ts';

export type ViewDeps = WriteDeps & {
  cache: ResponseCache;
  feed: ChangeFeed;
};

const TAG = 'Views';
const slugParams = z.strictObject({ slug });
const analystId = z.uuid().toLowerCase();

export function viewRoutes(api: Api, ledger: ViewDeps): void {
  listRoute(api, ledger);
  ownRoute(api, ledger);
  holdRoute(api, ledger);
  historyRoute(api, ledger);
}

function listRoute(api: Api, { pool, cache }: ViewDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/views',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listViews',
      tags: [TAG],
      summary: 'List the views that analysts hold',
      description: 'The newest version of each, one an analyst.',
      params: slugParams,
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(view), ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { limit, cursor } = request.query;
      const cursorScope = ['views', name];
      const after = decodeCursor(cursor, cursorScope, analystId);
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const found = await listViews(pool, name, { asOf: null, after, limit: limit + 1 });
        if (found.length === 0) await requireOutlook(pool, name);
        const page = pageFrom(found, limit, (last) => encodeCursor(cursorScope, last.analyst.id));
        return renderPage(request, { ...page, items: page.items.map(represent) }, view);
      });
    },
  });
}

const OWN_URL = '/v1/outlooks/:slug/views/me';

function ownRoute(api: Api, { pool }: ViewDeps): void {
  api.route({
    method: 'GET',
    url: OWN_URL,
    config: { access: 'analyst' },
    schema: {
      operationId: 'getOwnView',
      tags: [TAG],
      summary: 'Read your own view',
      description: 'The newest version of the view that the analyst of the key holds.',
      security: [{ key: [] }],
      params: slugParams,
      response: { 200: view, ...problemResponses(403, 404, 422) },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const { id } = authorOf(request);
      const [own] = await listViewVersions(pool, name, id, { before: null, limit: 1 });
      if (!own) throw await noView(pool, name, id);
      forbidStoring(reply); // whose it is, is in the key
      return reply.send(represent(own));
    },
  });
}

function holdRoute(api: Api, ledger: ViewDeps): void {
  api.route({
    method: 'PUT',
    url: OWN_URL,
    config: { access: 'analyst' },
    schema: {
      operationId: 'holdView',
      tags: [TAG],
      summary: 'Hold a view of your own',
      description:
        'Records what you think of an outlook, whatever its desk publishes: 201 for your first view of it, 200 for the next version, or where nothing changes. Views are pooled into a consensus, and scored once the outlook is resolved.',
      security: [{ key: [] }],
      params: slugParams,
      body: newView,
      response: {
        200: view,
        201: view,
        ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422),
      },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const author = authorOf(request);
      forbidStoring(reply); // whose it is, is in the key
      await runWrite(request, reply, ledger, {
        work: (session) => holdView(session, name, { ...request.body, author }, ledger.now),
        respond: ({ view: held, isNew }) => ({
          ...(isNew && held.version === 1
            ? { status: 201, headers: { location: `/v1/outlooks/${name}/views/${author.id}` } }
            : { status: 200 }),
          body: represent(held),
        }),
        afterCommit: ({ isNew }) => {
          if (!isNew) return;
          ledger.cache.invalidate(name);
          ledger.feed.announce();
        },
        ignoresKey: true,
      });
      return reply;
    },
  });
}

function historyRoute(api: Api, { pool, cache }: ViewDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/views/:analyst',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'getView',
      tags: [TAG],
      summary: "Read how an analyst's view came to be",
      description: 'All versions of the view that an analyst holds, newest first.',
      params: z.strictObject({ slug, analyst: analystId }),
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(view), ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name, analyst } = request.params;
      const { limit, cursor } = request.query;
      const cursorScope = ['view', name, analyst];
      const before = decodeCursor(cursor, cursorScope, versionNumber);
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const page = { before, limit: limit + 1 };
        const found = await listViewVersions(pool, name, analyst, page);
        if (found.length === 0 && before === null) throw await noView(pool, name, analyst);
        const shown = pageFrom(found, limit, (last) => encodeCursor(cursorScope, last.version));
        return renderPage(request, { ...shown, items: shown.items.map(represent) }, view);
      });
    },
  });
}

async function noView(pool: pg.Pool, name: string, analyst: string): Promise<DomainError> {
  await requireOutlook(pool, name);
  return new DomainError('view-not-found', `The analyst ${analyst} holds no view of "${name}".`);
}

async function requireOutlook(pool: pg.Pool, name: string): Promise<void> {
  const missing = await notFound(pool, name, 'newest');
  if (missing.code === 'outlook-not-found') throw missing;
}

function represent(held: View): z.output<typeof view> {
  return {
    analyst: held.analyst,
    version: held.version,
    recordedAt: held.recordedAt.toISOString(),
    probabilities: fractionsOf(held.probabilities),
    rationale: held.rationale,
  };
}
