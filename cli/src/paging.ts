/** The most items that a page may have. */
const PAGE = 100;

type Page<Item> = { items: Item[]; nextCursor: string | null };

/**
 * Pages of a list as one, which is what the service calls a page, too.
 * @param most items; Infinity for all of them
 */
export async function walk<Item>(
  most: number,
  read: (at: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): Promise<Page<Item>> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const limit = Math.min(PAGE, most - items.length);
    const page: Page<Item> = await read({ limit, ...(cursor !== null && { cursor }) });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null && items.length < most);
  return { items, nextCursor: cursor };
}
