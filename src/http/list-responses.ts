import type { FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { z } from 'zod';
import { setFreshness } from './conditional-requests.ts';
import { csvHeader, csvOf, csvRows } from './csv.ts';
import { addVary, digestNow, isKnown, sendLongBody, sendNotModified } from './long-responses.ts';
import { CONTENT_TYPES, CSV_TYPE, JSON_TYPE, wantedType } from './negotiation.ts';
import { DEFAULT_LIMIT, keysetBatches, type KeysetList, keysetPage, pageOf } from './paging.ts';
import { cacheKey, type CacheTags, resourceOf } from './response-cache/cache-entry.ts';
import type { ResponseDraft } from './response-cache/encoded-body.ts';
import type { ResponseCache } from './response-cache/response-cache.ts';

/** The media types of every list. */
export const LIST_TYPES = [JSON_TYPE, CSV_TYPE] as const;

/** The response with a page, for the OpenAPI document. `page` is its JSON schema if that differs from the usual one. */
export const pageContent = (item: z.ZodObject, page: z.ZodType = pageOf(item)) => ({
  content: {
    [JSON_TYPE]: { schema: page },
    [CSV_TYPE]: {
      schema: z.string().meta({
        description: `RFC 4180, with a header line and CRLF: ${csvHeader(item)}. All items, or with \`limit\` a page; then the Link header points to the next one.`,
        examples: [`${csvHeader(item)}\r\n`],
      }),
    },
  },
});

type Page<Item extends object = object> = { items: readonly Item[]; nextCursor?: string | null };

/** How the list that a query asks for is read. */
export type ListReads<Item extends object> = {
  /** The page that the query asks for. */
  page: () => Promise<Page<Item>>;
  /** All items from the cursor of the query on, a batch at a time. */
  batches: () => AsyncGenerator<readonly Item[], void>;
  /** Whether the page may have megabytes. */
  isLarge: boolean;
};

/**
 * The reads of a list that is read by positions.
 * @param defaultLimit how many items a page has if the query sets no limit
 */
export function keysetReads<Row, Position, Item extends object>(
  { limit, cursor }: Pick<ListQuery, 'limit' | 'cursor'>,
  list: KeysetList<Row, Position, Item>,
  defaultLimit = DEFAULT_LIMIT,
): ListReads<Item> {
  const length = limit ?? defaultLimit;
  return {
    page: () => keysetPage({ limit: length, cursor }, list),
    batches: () => keysetBatches(cursor, list),
    isLarge: length > (list.rowsAtOnce ?? Infinity),
  };
}

type CachedListDeps = { pool: pg.Pool; cache: ResponseCache; tags: CacheTags };

/**
 * Answers a read of a list whose changes events report: with a page, or as CSV without a limit with all items. What has at
 * most {@link MOST_WHOLE} characters is cached.
 * @param item the schema of an item
 */
export async function answerList<Item extends object>(
  request: FastifyRequest,
  reply: FastifyReply,
  { pool, cache, tags }: CachedListDeps,
  reads: ListReads<Item>,
  item: z.ZodObject,
): Promise<FastifyReply> {
  if (!asksForAll(request)) {
    await cache.answer(request, reply, { tags, isLarge: reads.isLarge }, async () =>
      pageDraft(request, await reads.page(), item),
    );
    return reply;
  }
  const body = () => csvParts(reads, item);
  return answerAsCsv(request, reply, { pool, cache, tags }, body);
}

/**
 * Answers a read as CSV: from the cache if it has at most {@link MOST_WHOLE} characters, else as a long response.
 * @param parts reads the CSV anew, part by part
 */
export async function answerAsCsv(
  request: FastifyRequest,
  reply: FastifyReply,
  { pool, cache, tags }: CachedListDeps,
  parts: () => AsyncGenerator<string, void>,
): Promise<FastifyReply> {
  const content = contentOf(request);
  // Only a long response has a weak ETag: who sends one back need not wait until its first part is read.
  if (request.headers['if-none-match']?.includes('W/')) {
    const digest = await digestNow(pool, content);
    if (isKnown(request, digest)) {
      setLongHeaders(request, reply);
      return sendNotModified(request, reply, digest);
    }
  }
  try {
    await cache.answer(request, reply, { tags, isLarge: true }, async () => {
      const { text, isWhole } = await startOf(parts());
      if (!isWhole) throw new TooLong();
      return csvDraft(request, text);
    });
    return reply;
  } catch (error) {
    if (!(error instanceof TooLong)) throw error;
  }
  // Before the first part is read, so that what changes meanwhile changes the digest.
  const digest = await digestNow(pool, content);
  setLongHeaders(request, reply);
  return sendLongBody(request, reply, { parts: parts(), headers: csvHeaders(request), digest });
}

/** Names what a list as CSV shows, for its weak ETag: that of one audience is not known to another. */
const contentOf = (request: FastifyRequest): string =>
  `csv ${cacheKey(request.audience, resourceOf(request))}`;

function setLongHeaders(request: FastifyRequest, reply: FastifyReply): void {
  setFreshness(reply, 'revalidate');
  if (hasAlternatives(request)) addVary(reply, 'Accept');
}

/**
 * Answers a read of a list that is not cached, as {@link answerList} does. The reply has its Cache-Control.
 * @param pool for the ETag of a long response; null if nothing tells when the list changes
 */
export async function sendList<Item extends object>(
  request: FastifyRequest,
  reply: FastifyReply,
  pool: pg.Pool | null,
  reads: ListReads<Item>,
  item: z.ZodObject,
): Promise<FastifyReply> {
  if (!asksForAll(request)) return sendDraft(reply, pageDraft(request, await reads.page(), item));
  const digest = pool && (await digestNow(pool, contentOf(request)));
  const parts = csvParts(reads, item);
  const { text, isWhole } = await startOf(parts);
  if (isWhole) return sendDraft(reply, csvDraft(request, text));
  if (hasAlternatives(request)) addVary(reply, 'Accept');
  const body = { parts: withStart(text, parts), headers: csvHeaders(request), digest };
  return sendLongBody(request, reply, body);
}

/** Sends a draft that is not cached. */
function sendDraft(reply: FastifyReply, draft: ResponseDraft): FastifyReply {
  const { type = JSON_TYPE, body, headers = {}, link } = draft;
  if (link !== undefined) reply.header('link', link);
  if (draft.hasAlternatives) addVary(reply, 'Accept');
  return reply.headers(headers).type(CONTENT_TYPES[type]).send(body);
}

type ListQuery = {
  limit?: number | undefined;
  cursor?: string | undefined;
  format?: 'json' | 'csv' | undefined;
};
const queryOf = ({ query }: FastifyRequest) => query as ListQuery;

/** Whether a request asks for all items of a list: as CSV and without a limit. */
const asksForAll = (request: FastifyRequest): boolean =>
  queryOf(request).limit === undefined && isCsv(request);
const isCsv = (request: FastifyRequest): boolean =>
  wantedType(request, queryOf(request).format) === CSV_TYPE;
const hasAlternatives = (request: FastifyRequest): boolean => queryOf(request).format === undefined;

/** A page as JSON or CSV, with a Link to the next one. */
export function pageDraft(request: FastifyRequest, page: Page, item: z.ZodObject): ResponseDraft {
  const link = nextLink(request, page);
  if (isCsv(request)) return { ...csvDraft(request, csvOf(item, page.items)), link };
  const body = JSON.stringify(page);
  return { body, link, freshness: 'revalidate', hasAlternatives: hasAlternatives(request) };
}

/** The draft of a response as CSV. */
function csvDraft(request: FastifyRequest, body: string): ResponseDraft {
  return {
    body,
    type: CSV_TYPE,
    freshness: 'revalidate',
    hasAlternatives: hasAlternatives(request),
    headers: { 'content-disposition': fileName(request) },
  };
}

const csvHeaders = (request: FastifyRequest): Record<string, string> => ({
  'content-type': CONTENT_TYPES[CSV_TYPE],
  'content-disposition': fileName(request),
});

/**
 * Names the file that CSV is saved as (RFC 6266), after its URL: `russell-2000-downside-versions.csv` for
 * `/v1/outlooks/russell-2000-downside/versions`.
 */
function fileName(request: FastifyRequest): string {
  const parts = (request.routeOptions.url ?? '').split('/').slice(2);
  const params = request.params as Record<string, string>;
  const names = parts.flatMap((part, index) => {
    if (part.startsWith(':')) return String(params[part.slice(1)]).replaceAll(/[^\w.-]/g, '_');
    return index === 0 && parts.length > 1 ? [] : part;
  });
  return `attachment; filename="${names.join('-')}.csv"`;
}

async function* csvParts<Item extends object>(
  { batches }: ListReads<Item>,
  item: z.ZodObject,
): AsyncGenerator<string, void> {
  let header = `${csvHeader(item)}\r\n`;
  for await (const items of batches()) {
    yield header + csvRows(item, items);
    header = '';
  }
}

/** How many characters a response as CSV may have that is sent, and cached, as a whole. */
const MOST_WHOLE = 2 ** 20;

class TooLong extends Error {}

/** The first parts of a text: all, or those that make it longer than {@link MOST_WHOLE}. */
async function startOf(
  parts: AsyncGenerator<string, void>,
): Promise<{ text: string; isWhole: boolean }> {
  let text = '';
  for (;;) {
    const next = await parts.next();
    if (next.done) return { text, isWhole: true };
    text += next.value;
    if (text.length > MOST_WHOLE) return { text, isWhole: false };
  }
}

async function* withStart(
  start: string,
  rest: AsyncGenerator<string, void>,
): AsyncGenerator<string, void> {
  yield start;
  yield* rest;
}

/** The path of the next page, without the parameters that the route ignores: other clients get the same response. */
export function nextUrl({ url, query }: FastifyRequest, cursor: string): string {
  const { pathname, searchParams } = new URL(url, 'http://relative');
  const known = new Map(Object.entries(query as object));
  const sent = [...searchParams].filter(([name]) => known.get(name) !== undefined);
  const next = new URLSearchParams(sent);
  next.set('cursor', cursor);
  return `${pathname}?${next.toString()}`;
}

/** The value of a Link header to the next page; undefined on the last page. */
export function nextLink(
  request: FastifyRequest,
  { nextCursor = null }: Pick<Page, 'nextCursor'>,
): string | undefined {
  return nextCursor === null ? undefined : `<${nextUrl(request, nextCursor)}>; rel="next"`;
}
