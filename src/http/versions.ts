import { z } from 'zod';
import { listVersions } from '../db/version-list.ts';
import {
  decodeCursor,
  encodeCursor,
  LIST_TYPES,
  pageContent,
  pageFrom,
  listShape,
  renderPage,
} from './paging.ts';
import { representVersionEntry } from './representations.ts';
import { type Api, type Ledger, refusals } from './routing.ts';
import { queryVersion, slug, versionNumber } from './schemas/fields.ts';
import { outlook, versionEntry } from './schemas/outlooks.ts';
import { renderingOf } from './views.ts';

const TAG = 'Versions';
export function versionRoutes(api: Api, ledger: Ledger): void {
  listRoute(api, ledger);
  oneRoute(api, ledger);
}

function listRoute(api: Api, { pool, replies }: Ledger): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/versions',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listVersions',
      tags: [TAG],
      summary: "List an outlook's versions",
      description: 'Newest first, with who changed what and why.',
      params: z.strictObject({ slug }),
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(versionEntry), ...refusals(404, 422) },
    },
    handler: (request, reply) => {
      const { limit, cursor } = request.query;
      const { slug: name } = request.params;
      const query = { versionsOf: name };
      const before = decodeCursor(cursor, query, versionNumber);
      return replies.answer(request, reply, { about: [name] }, async () => {
        const found = await listVersions(pool, name, { before, limit: limit + 1 });
        const { items, nextCursor } = pageFrom(found, limit, (last) =>
          encodeCursor(query, last.version),
        );
        return renderPage(
          request,
          { items: items.map(representVersionEntry), nextCursor },
          versionEntry,
        );
      });
    },
  });
}

function oneRoute(api: Api, { versions, replies }: Ledger): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/versions/:version',
    config: { access: 'read' },
    schema: {
      operationId: 'getVersion',
      tags: [TAG],
      summary: 'Read one version',
      description:
        'The outlook as that version published it. It never changes; keep it for ever. Only its Link header grows, by a `successor-version` once there is one.',
      params: z.strictObject({ slug, version: queryVersion }),
      response: { 200: outlook, ...refusals(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name, version } = request.params;
      return replies.answer(request, reply, { about: [name] }, async () => {
        const found = await versions.read(name, { version });
        const isFinal = version < found.latestVersion;
        return { ...renderingOf(found, 'immutable', { isPast: true }), isFinal };
      });
    },
  });
}
