import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import {
  listViews,
  listViewVersions,
  readOwnView,
  recordView,
  type View,
  viewNotFound,
  withdrawView,
} from '../ledger/views.ts';
import { requireOutlook } from '../ledger/find-outlook.ts';
import type { DomainError } from '../domain/errors.ts';
import { fractionsOf } from '../domain/probabilities.ts';
import type { Analyst } from '../access/analysts.ts';
import type { AuditSubject } from '../access/audit-log.ts';
import { authorOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { answerList, keysetReads, LIST_TYPES, pageContent } from '../http/list-responses.ts';
import { listShape, LONG_TEXTS_AT_ONCE } from '../http/paging.ts';
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
  withdrawRoute(api, ledger);
  historyRoute(api, ledger);
}

function listRoute(api: Api, { pool, cache }: ViewDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/views',
    config: { access: 'key', serves: LIST_TYPES },
    schema: {
      operationId: 'listViews',
      tags: [TAG],
      summary: 'List the views of an outlook',
      description:
        'One view per analyst, at its newest version. Views that were withdrawn, and those of analysts who are deactivated, are left out; the history of each shows them. Views are for those with a key; without one, see the consensus.',
      security: [{ key: [] }],
      params: slugParams,
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(view), ...problemResponses(401, 404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const reads = keysetReads(request.query, {
        cursorScope: ['views', name],
        rowsAtOnce: LONG_TEXTS_AT_ONCE,
        position: analystId,
        fetch: async (after, limit) => {
          const views = await listViews(pool, name, { asOf: null, after, limit });
          if (views.length === 0) await requireOutlook(pool, name);
          return views;
        },
        positionOf: ({ analyst }) => analyst.id,
        represent: representView,
      });
      return answerList(request, reply, { pool, cache, tags: [name] }, reads, view);
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
      description:
        'The newest version of the view of the analyst whom the key belongs to, even if it is withdrawn.',
      security: [{ key: [] }],
      params: slugParams,
      response: { 200: view, ...problemResponses(403, 404, 422) },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const { id } = authorOf(request);
      const own = await readOwnView(pool, name, id);
      if (!own) throw await noView(pool, name, id);
      forbidStoring(reply); // whose it is, is in the key
      return reply.send(representView(own));
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
      summary: 'Record your own view',
      description:
        'Records your own probabilities for an outlook, independently of its published version. Returns 201 for your first view, and 200 for a later version or if nothing changes. Views are pooled into a consensus, and scored once the outlook is resolved.',
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
        work: (session) => recordView(session, name, { ...request.body, author }, ledger.now),
        respond: ({ view: current, isNew }) => ({
          ...(isNew && current.version === 1
            ? { status: 201, headers: { location: `/v1/outlooks/${name}/views/${author.id}` } }
            : { status: 200 }),
          body: representView(current),
        }),
        subjectOf: (recorded) => viewSubject(name, author, recorded),
        afterCommit: ({ isNew }) => announceView(ledger, name, isNew),
        ignoresKey: true,
      });
      return reply;
    },
  });
}

function withdrawRoute(api: Api, ledger: ViewDeps): void {
  api.route({
    method: 'DELETE',
    url: OWN_URL,
    config: { access: 'analyst' },
    schema: {
      operationId: 'withdrawView',
      tags: [TAG],
      summary: 'Withdraw your own view',
      description:
        'Records a version of the kind `withdrawn`. From then on, the list of views and each consensus leave your view out; as of an earlier time, and in the history, it stays. The time during which you held it is scored. If the view is withdrawn already, nothing changes. To hold a view again, send PUT.',
      security: [{ key: [] }],
      params: slugParams,
      response: { 200: view, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const author = authorOf(request);
      forbidStoring(reply); // whose it is, is in the key
      await runWrite(request, reply, ledger, {
        work: (session) => withdrawView(session, name, author, ledger.now),
        respond: ({ view: current }) => ({ status: 200, body: representView(current) }),
        subjectOf: (recorded) => viewSubject(name, author, recorded),
        afterCommit: ({ isNew }) => announceView(ledger, name, isNew),
        ignoresKey: true,
      });
      return reply;
    },
  });
}

function viewSubject(
  name: string,
  { id }: Analyst,
  { view: current, isNew }: { view: View; isNew: boolean },
): AuditSubject {
  const done = current.kind === 'withdrawn' ? 'Withdrew the view' : 'Recorded the view';
  return {
    subject: `/v1/outlooks/${name}/views/${id}`,
    summary: isNew ? `${done}, version ${current.version}` : 'Changed nothing',
  };
}

function announceView({ cache, feed }: ViewDeps, name: string, isNew: boolean): void {
  if (!isNew) return;
  cache.invalidate(name);
  feed.announce();
}

function historyRoute(api: Api, { pool, cache }: ViewDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/views/:analyst',
    config: { access: 'key', serves: LIST_TYPES },
    schema: {
      operationId: 'getView',
      tags: [TAG],
      summary: "List the versions of an analyst's view",
      description: "All versions of an analyst's view, newest first, with its withdrawals.",
      security: [{ key: [] }],
      params: z.strictObject({ slug, analyst: analystId }),
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(view), ...problemResponses(401, 404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name, analyst } = request.params;
      const reads = keysetReads(request.query, {
        cursorScope: ['view', name, analyst],
        rowsAtOnce: LONG_TEXTS_AT_ONCE,
        position: versionNumber,
        fetch: async (before, limit) => {
          const views = await listViewVersions(pool, name, analyst, { before, limit });
          if (views.length === 0 && before === null) throw await noView(pool, name, analyst);
          return views;
        },
        positionOf: ({ version }) => version,
        represent: representView,
      });
      return answerList(request, reply, { pool, cache, tags: [name] }, reads, view);
    },
  });
}

async function noView(pool: pg.Pool, name: string, analyst: string): Promise<DomainError> {
  await requireOutlook(pool, name);
  return viewNotFound(name, analyst);
}

/** A view as the API returns it. */
export function representView(current: View): z.output<typeof view> {
  return {
    analyst: current.analyst,
    version: current.version,
    kind: current.kind,
    recordedAt: current.recordedAt.toISOString(),
    probabilities: fractionsOf(current.probabilities),
    rationale: current.rationale,
  };
}
