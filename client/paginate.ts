import { type CallResult, dataOrThrow } from './problems.ts';
import { isTemporary, pause, retryAfter } from './retries.ts';

/** The most items that the service puts on a page. */
const PAGE_SIZE = 100;
/** How often a page is asked for again while the service is busy or unavailable. */
const MAX_RETRIES = 5;
/** The wait before a page is asked for again, in milliseconds, if the service does not say. It doubles. */
const RETRY_WAIT = 500;

/** The members of pages that hold their items. */
export type ItemMember = 'items' | 'changes' | 'versions';

/** The type of an item of a page; never for a response that is no page. */
export type ItemOf<Page> = Page extends { nextCursor: string | null }
  ? Page extends Record<'items', (infer Item)[]>
    ? Item
    : Page extends Record<'changes', (infer Item)[]>
      ? Item
      : Page extends Record<'versions', (infer Item)[]>
        ? Item
        : never
  : never;

/** What a page is asked for with. */
export type PageQuery = { limit: number; cursor?: string };

/**
 * Yields the items of all pages, one page in memory at a time. It waits and asks again while the service is busy or
 * unavailable.
 * @throws ProblemError, UnexpectedResponseError, or the error of `fetch`
 */
export async function* paginate<Item>(
  readPage: (query: PageQuery) => Promise<CallResult<unknown>>,
  signal: AbortSignal | null | undefined,
): AsyncGenerator<Item, void, undefined> {
  for (let cursor: string | null = null, isFirst = true; isFirst || cursor !== null;) {
    const query: PageQuery = { limit: PAGE_SIZE, ...(cursor !== null && { cursor }) };
    const page = (await withRetries(() => readPage(query), signal)) as Record<string, unknown>;
    yield* itemsOf(page) as Item[];
    cursor = (page['nextCursor'] ?? null) as string | null;
    isFirst = false;
  }
}

function itemsOf(page: Record<string, unknown>): unknown[] {
  const members = ['items', 'changes', 'versions'] satisfies ItemMember[];
  const items = members.map((member) => page[member]).find(Array.isArray);
  if (!items) throw new TypeError('The response is not a page of a list.');
  return items;
}

async function withRetries<Data>(
  call: () => Promise<CallResult<Data>>,
  signal: AbortSignal | null | undefined,
): Promise<Data> {
  for (let retries = 0; ; retries += 1) {
    const result = await call();
    const isLast = retries === MAX_RETRIES || signal?.aborted;
    if (isLast || !isTemporary(result.response)) return dataOrThrow(result);
    await pause(Math.max(RETRY_WAIT * 2 ** retries, retryAfter(result.response)), signal);
  }
}
