import type { VersionReader } from '../ledger/versions.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { listVersions } from '../ledger/version-list.ts';
import { answerList, keysetReads, LIST_TYPES, pageContent } from '../http/list-responses.ts';
import { listShape, LONG_TEXTS_AT_ONCE } from '../http/paging.ts';
import { representVersionEntry } from './outlook-json.ts';
import { wantedType } from '../http/negotiation.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { queryVersion, slug, versionNumber } from '../http/fields.ts';
import { versionEntry } from './schemas/versions.ts';
import { VERSION_TYPES, versionContent, versionFormat, versionDraft } from './version-responses.ts';

export type VersionDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  versions: VersionReader;
  publicUrl: string;
};

const TAG = 'Versions';
export function versionRoutes(api: Api, ledger: VersionDeps): void {
  listRoute(api, ledger);
  oneRoute(api, ledger);
}

function listRoute(api: Api, { pool, cache }: VersionDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/versions',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listVersions',
      tags: [TAG],
      summary: "List an outlook's versions",
      description: 'Newest first, with the author, the change and the rationale of each.',
      params: z.strictObject({ slug }),
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(versionEntry), ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const reads = keysetReads(request.query, {
        cursorScope: { versionsOf: name },
        rowsAtOnce: LONG_TEXTS_AT_ONCE,
        position: versionNumber,
        fetch: (before, limit) => listVersions(pool, name, { before, limit }),
        positionOf: ({ version }) => version,
        represent: representVersionEntry,
      });
      return answerList(request, reply, { pool, cache, tags: [name] }, reads, versionEntry);
    },
  });
}

function oneRoute(api: Api, ledger: VersionDeps): void {
  const { versions, cache } = ledger;
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/versions/:version',
    config: { access: 'read', serves: VERSION_TYPES },
    schema: {
      operationId: 'getVersion',
      tags: [TAG],
      summary: 'Read one version',
      description:
        'The outlook as published in that version. The body never changes, so cache it forever. Only the Link header changes: it gains `successor-version` when the next version appears.',
      params: z.strictObject({ slug, version: queryVersion }),
      querystring: z.strictObject({ format: versionFormat }),
      response: { 200: versionContent, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name, version } = request.params;
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const found = await versions.read(name, { version });
        // A disclosure changes how an internal one shows.
        const isFinal = version < found.latestVersion && found.visibility === 'public';
        const { format } = request.query;
        const { hasKey } = request.audience;
        const options = { isPast: true, hasKey, type: wantedType(request, format), format };
        return { ...(await versionDraft(ledger, found, 'immutable', options)), isFinal };
      });
    },
  });
}
