/** The most items that the service puts on a page. */
const MAX_PAGE_SIZE = 100;

type Page<Item> = { items: Item[]; nextCursor: string | null };

/**
 * Reads page after page, and returns them as one.
 * @param limit the number of items to stop at; Infinity for all of them
 */
export async function readPages<Item>(
  limit: number,
  readPage: (query: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): Promise<Page<Item>> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Item> = await readPage({
      limit: Math.min(MAX_PAGE_SIZE, limit - items.length),
      ...(cursor !== null && { cursor }),
    });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null && items.length < limit);
  return { items, nextCursor: cursor };
}
