import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { z } from 'zod';
import { addEvidence, importEvidence } from '../ledger/add-evidence.ts';
import { type Evidence, listEvidence, readEvidence } from '../ledger/evidence.ts';
import { requireOutlook } from '../ledger/find-outlook.ts';
import { DomainError } from '../domain/errors.ts';
import { authorOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { answerList, keysetReads, LIST_TYPES, pageContent } from '../http/list-responses.ts';
import { listShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { evidence, newEvidence } from './schemas/evidence.ts';
import { slug } from '../http/fields.ts';

export type EvidenceDeps = WriteDeps & {
  cache: ResponseCache;
  feed: ChangeFeed;
};

const TAG = 'Evidence';
const slugParams = z.strictObject({ slug });

export function evidenceRoutes(api: Api, ledger: EvidenceDeps): void {
  listRoute(api, ledger);
  oneRoute(api, ledger);
  addRoute(api, ledger);
}

function addRoute(api: Api, ledger: EvidenceDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/outlooks/:slug/evidence',
    config: { access: 'analyst' },
    schema: {
      operationId: 'addEvidence',
      tags: [TAG],
      summary: 'Add evidence',
      description:
        'Adds news or data, with claims that support or weaken parts of the current version. Items cannot be edited: to correct one, add a new item with its id in `corrects`. If the outlook already has the same item, the new one names it in `duplicateOf`. With `import=true`, such an item is not added, and the response is the existing one with status 200.',
      security: [{ key: [] }],
      params: slugParams,
      querystring: z.strictObject({
        import: z
          .enum(['true', 'false'], { error: 'must be true or false' })
          .default('false')
          .meta({
            description:
              'With `true`, an item of the same publisher and URL is added to the outlook once, however often it is sent.',
          }),
      }),
      body: newEvidence,
      response: {
        200: evidence,
        201: evidence,
        ...problemResponses(400, 401, 403, 404, 413, 415, 422),
      },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      const author = authorOf(request);
      const isImport = request.query.import === 'true';
      await runWrite(request, reply, ledger, {
        work: async (session) =>
          isImport
            ? importEvidence(session, name, request.body, author, ledger.now)
            : {
                item: await addEvidence(session, name, request.body, author, ledger.now),
                isNew: true,
              },
        respond: ({ item, isNew }) => ({
          status: isNew ? 201 : 200,
          headers: { location: `/v1/outlooks/${name}/evidence/${item.id}` },
          body: representEvidence(item),
        }),
        subjectOf: ({ item: { id, headline }, isNew }) => ({
          subject: `/v1/outlooks/${name}/evidence/${id}`,
          summary: isNew ? `Added "${headline}"` : `Did not import "${headline}" again`,
        }),
        afterCommit: ({ isNew }) => {
          if (!isNew) return;
          ledger.cache.invalidate(name);
          ledger.feed.announce();
        },
      });
      return reply;
    },
  });
}

// The range of the column.
const itemNumber = z.int().min(1).max(2_147_483_647);

function listRoute(api: Api, { pool, cache }: EvidenceDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/evidence',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listEvidence',
      tags: [TAG],
      summary: 'List evidence',
      description: 'Newest first, each with the versions that cite it.',
      params: slugParams,
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(evidence), ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const reads = keysetReads(request.query, {
        cursorScope: ['evidence', name],
        rowsAtOnce: 5, // each may have a megabyte
        position: itemNumber,
        fetch: async (before, limit) => {
          const items = await listEvidence(pool, name, { before, limit });
          if (items.length === 0) await requireOutlook(pool, name);
          return items;
        },
        positionOf: ({ number }) => number,
        represent: representEvidence,
      });
      return answerList(
        request,
        reply,
        { pool, cache, tags: [name] },
        { ...reads, isLarge: true },
        evidence,
      );
    },
  });
}

function oneRoute(api: Api, { pool, cache }: EvidenceDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/evidence/:id',
    config: { access: 'read' },
    schema: {
      operationId: 'getEvidence',
      tags: [TAG],
      summary: 'Read an item of evidence',
      description: 'One item with the versions that cite it.',
      params: z.strictObject({ slug, id: z.uuid().toLowerCase() }),
      response: { 200: evidence, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name, id } = request.params;
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const found = await readEvidence(pool, name, id);
        if (!found) {
          await requireOutlook(pool, name);
          throw new DomainError('evidence-not-found', `"${name}" has no evidence ${id}.`);
        }
        return { body: JSON.stringify(representEvidence(found)), freshness: 'revalidate' };
      });
    },
  });
}

/** An item of evidence as the API returns it. */
export function representEvidence(item: Evidence): z.output<typeof evidence> {
  return {
    id: item.id,
    headline: item.headline,
    summary: item.summary,
    publisher: item.publisher,
    url: item.url,
    publishedAt: item.publishedAt.toISOString(),
    sentiment: item.sentiment,
    tickers: [...item.tickers],
    claims: [...item.claims],
    corrects: item.corrects,
    correctedBy: item.correctedBy,
    duplicateOf: item.duplicateOf,
    addedBy: item.addedBy,
    addedAt: item.addedAt.toISOString(),
    moved: item.moved.map((move) => ({ ...move, publishedAt: move.publishedAt.toISOString() })),
  };
}
