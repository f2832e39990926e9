/** An iterator whose next item can be read before it is taken. */
export class Peekable<Item> {
  readonly #items: AsyncIterator<Item>;
  #next: Promise<IteratorResult<Item>> | undefined;

  constructor(items: AsyncIterable<Item>) {
    this.#items = items[Symbol.asyncIterator]();
  }

  /** The next item, which `next` returns as well; null at the end. */
  async peek(): Promise<Item | null> {
    this.#next ??= this.#items.next();
    const { done, value } = await this.#next;
    return done === true ? null : value;
  }

  async next(): Promise<Item | null> {
    const item = await this.peek();
    if (item !== null) this.#next = undefined;
    return item;
  }
}

/** Groups neighbouring items: one that `belongs` to the first of a group joins it, and any other starts the next group. */
export async function* groupsOf<Item>(
  pages: AsyncIterable<readonly Item[]>,
  belongs: (item: Item, first: Item) => boolean,
): AsyncGenerator<Item[]> {
  let group: Item[] = [];
  for await (const page of pages) {
    for (const item of page) {
      const [first] = group;
      if (first !== undefined && !belongs(item, first)) {
        yield group;
        group = [];
      }
      group.push(item);
    }
  }
  if (group.length > 0) yield group;
}
