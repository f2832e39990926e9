import { z } from 'zod';
import { listVersions, readVersion } from '../db/versions.ts';
import { setFreshness } from './caching.ts';
import { decodeCursor, encodeCursor, pageFrom, pageOf, pageShape, sendPage } from './paging.ts';
import { representOutlook, representVersionEntry } from './representations.ts';
import { type Api, type Ledger, refusals } from './routing.ts';
import { slug } from './schemas/fields.ts';
import { outlook, versionEntry } from './schemas/outlooks.ts';

const TAG = 'Versions';
const error = 'must be a whole number from 1';
const versionNumber = z
  .int({ error })
  .min(1, { error })
  .max(2_147_483_647, { error: 'must be at most 2147483647' });

export function versionRoutes(api: Api, ledger: Ledger): void {
  listRoute(api, ledger);
  oneRoute(api, ledger);
}

function listRoute(api: Api, { db, requireKeyForReads }: Ledger): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/versions',
    config: { access: 'read' },
    schema: {
      operationId: 'listVersions',
      tags: [TAG],
      summary: "List an outlook's versions",
      description: 'Newest first, with who changed what and why.',
      params: z.strictObject({ slug }),
      querystring: z.strictObject(pageShape),
      response: { 200: pageOf(versionEntry), ...refusals(404, 422) },
    },
    handler: async (request, reply) => {
      const { limit, cursor } = request.query;
      const query = { versionsOf: request.params.slug };
      const before = decodeCursor(cursor, query, versionNumber);
      const found = await listVersions(db, request.params.slug, { before, limit: limit + 1 });
      const { items, nextCursor } = pageFrom(found, limit, (last) =>
        encodeCursor(query, last.version),
      );
      setFreshness(reply, 'revalidate', requireKeyForReads);
      return sendPage(request, reply, { items: items.map(representVersionEntry), nextCursor });
    },
  });
}

function oneRoute(api: Api, { db, frameworks, requireKeyForReads }: Ledger): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/versions/:version',
    config: { access: 'read' },
    schema: {
      operationId: 'getVersion',
      tags: [TAG],
      summary: 'Read one version',
      description: 'The outlook as that version published it. It never changes; keep it for ever.',
      params: z.strictObject({
        slug,
        version: z.preprocess(
          (text) => (typeof text === 'string' && /^[1-9]\d{0,9}$/.test(text) ? Number(text) : text),
          versionNumber,
        ),
      }),
      response: { 200: outlook, ...refusals(404, 422) },
    },
    handler: async (request, reply) => {
      const { slug: name, version } = request.params;
      const found = await readVersion(db, frameworks, name, version);
      setFreshness(reply, 'immutable', requireKeyForReads);
      return reply.send(representOutlook(found));
    },
  });
}
