import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import type { Audience } from '../domain/desks.ts';
import { z } from 'zod';
import { listOutlooks } from '../ledger/outlook-list.ts';
import type { ListPosition } from '../ledger/outlook-list-page.ts';
import type { ListQuery, ListSort } from '../ledger/outlook-list-query.ts';
import { requirePast } from '../http/require-past.ts';
import { answerList, LIST_TYPES, type ListReads, pageContent } from '../http/list-responses.ts';
import {
  cursorMilliseconds,
  cursorTimestamp,
  decodeCursor,
  DEFAULT_LIMIT,
  encodeCursor,
} from '../http/paging.ts';
import { WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import { representSummary } from './outlook-json.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { listQuery } from './schemas/outlook-list.ts';
import { outlookSummary } from './schemas/outlooks.ts';
import { isSnapshot } from './list-snapshot.ts';

export type OutlookListDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  now: () => Date;
};

export function outlookListRoutes(api: Api, ledger: OutlookListDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listOutlooks',
      tags: ['Outlooks'],
      summary: 'Find outlooks',
      description:
        'Summaries of the outlooks that match all filters, at their current version or as of a time. The cursor walks through the ledger as the first page saw it: an outlook that is revised meanwhile is neither skipped nor repeated. Filters on status and review apply to the state when a page is read. With `asOf`, each item shows its status and review as of that time.',
      querystring: listQuery,
      response: { 200: pageContent(outlookSummary), ...problemResponses(422) },
    },
    handler: (request, reply) => {
      const { pool, cache } = ledger;
      const reads = outlookListReads(ledger, request.query, request.audience);
      return answerList(request, reply, { pool, cache, tags: WHOLE_LEDGER }, reads, outlookSummary);
    },
  });
}

type Summary = z.output<typeof outlookSummary>;
type OutlookListReads = Omit<ListReads<Summary>, 'page'> & {
  page: () => Promise<{ items: Summary[]; nextCursor: string | null }>;
};

/** How many outlooks are read at once for a list of all. */
const OUTLOOKS_AT_ONCE = 100;

/**
 * Prepares the reads of the list of outlooks.
 * @throws Problem `invalid-request` if `asOf` is in the future, or the cursor belongs to another query
 */
export function outlookListReads(
  { pool, now }: Pick<OutlookListDeps, 'pool' | 'now'>,
  sent: z.output<typeof listQuery>,
  audience: Audience,
): OutlookListReads {
  const { limit = DEFAULT_LIMIT, cursor } = sent;
  const query = listQueryOf(sent);
  const startedAt = now();
  requirePast('asOf', query.asOf ?? undefined, startedAt);
  const after = decodeCursor(cursor, query, POSITIONS[query.sort]);
  const read = async (from: ListPosition | null, count: number) => {
    const page = { after: from, limit: count, now: startedAt, audience };
    const { summaries, next } = await listOutlooks(pool, query, page);
    return { items: summaries.map(representSummary), next };
  };
  return {
    isLarge: false,
    page: async () => {
      const { items, next } = await read(after, limit);
      return { items, nextCursor: next && encodeCursor(query, POSITIONS[query.sort], next) };
    },
    batches: async function* batches() {
      let from: ListPosition | null = after;
      do {
        const { items, next } = await read(from, OUTLOOKS_AT_ONCE);
        yield items;
        from = next;
      } while (from !== null);
    },
  };
}

function listQueryOf(sent: z.output<typeof listQuery>): ListQuery {
  const { scenario, q: search = null } = sent;
  const { minProbability: min = null, maxProbability: max = null } = sent;
  return {
    instrument: sent.instrument ?? null,
    status: sent.status ?? null,
    reviewDue: sent.reviewDue ?? null,
    awaitingResolution: sent.awaitingResolution ?? null,
    contradicted: sent.contradicted ?? null,
    probability: scenario === undefined ? null : { scenario, min, max },
    updatedSince: sent.updatedSince ?? null,
    search,
    sort: sent.sort ?? (search === null ? '-publishedAt' : 'relevance'),
    asOf: sent.asOf ?? null,
    author: sent.author,
    horizonEndsAfter: sent.horizonEndsAfter,
    horizonEndsBefore: sent.horizonEndsBefore,
    outcome: sent.outcome,
    desk: sent.desk,
  };
}

const id = z.int().min(1);
const byTime = positionWith(z.tuple([cursorMilliseconds, id]));
const POSITIONS: Record<ListSort, z.ZodType<ListPosition>> = {
  '-publishedAt': byTime,
  publishedAt: byTime,
  slug: positionWith(z.tuple([slug])),
  relevance: positionWith(z.tuple([z.number(), cursorMilliseconds, id])),
};

function positionWith(key: z.ZodType<ListPosition['key']>): z.ZodType<ListPosition> {
  const snapshot = z.string().max(6000).refine(isSnapshot);
  const rankedFrom = z.tuple([cursorMilliseconds, id]).optional();
  return z.codec(
    z.tuple([cursorTimestamp, key, snapshot, rankedFrom]),
    z.object({ startedAt: z.date(), key, snapshot, rankedFrom }),
    {
      decode: ([startedAt, sortKey, seen, from]) => ({
        startedAt,
        key: sortKey,
        snapshot: seen,
        rankedFrom: from,
      }),
      encode: (position) => {
        const always = [position.startedAt, position.key, position.snapshot] as const;
        return [...always, ...(position.rankedFrom ? [position.rankedFrom] : [])] as [
          Date,
          ListPosition['key'],
          string,
          [number, number]?,
        ];
      },
    },
  );
}
