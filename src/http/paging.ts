import { z } from 'zod';
import { Problem } from './problems.ts';

/** Reads a number in a query. */
export const digits = (value: unknown): unknown =>
  typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;

/** How many items a page has if its query sets no limit. */
export const DEFAULT_LIMIT = 20;

const limit = z.preprocess(
  digits,
  z.int({ error: 'must be a whole number in 1–100' }).min(1).max(100),
);

/** The query parameters of every page. */
export const pageShape = {
  limit: limit.default(DEFAULT_LIMIT).meta({
    description:
      'The maximum number of items to return. A page of very long items may end earlier; `nextCursor` continues it.',
  }),
  cursor: z
    .string({ error: 'must be given once' })
    // More than the longest snapshot needs (api/list-snapshot.ts).
    .max(12_000, { error: 'is too long to be a cursor of this list' })
    .optional()
    .meta({
      description: 'The `nextCursor` of the previous page. Keep the other parameters unchanged.',
    }),
};

/** The query parameters of a list that is also available as CSV. */
export const listShape = {
  ...pageShape,
  limit: limit.optional().meta({
    description:
      'The maximum number of items to return. Left out: 20 as JSON, and all as CSV. A page of very long items may end earlier; `nextCursor` or the Link header continues it.',
  }),
  format: z.enum(['json', 'csv']).optional().meta({
    description: 'Overrides the Accept header: for links and spreadsheets.',
  }),
};

/** The schema of a page of a list. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().meta({ description: 'Null on the last page.' }),
  });

/** A list that is read a page at a time: each page starts after the position of the last row of the previous page. */
export type KeysetList<Row, Position, Item> = {
  /** The list and its filters, as JSON. A cursor is valid only for the list that gave it. */
  cursorScope: unknown;
  /** Decodes and encodes the position in a cursor. */
  position: z.ZodType<Position>;
  /** How many rows to read at once if they may be large. A page of such rows ends early at {@link MOST_BYTES}. */
  rowsAtOnce?: number;
  /** The rows after the position `after`, or the first ones if it is null; at most `limit`. */
  fetch: (after: Position | null, limit: number) => Promise<readonly Row[]>;
  positionOf: (row: Row) => Position;
  represent: (row: Row) => Item;
};

/**
 * Reads the page of a list that a query asks for.
 * @throws Problem `invalid-request` for a cursor that this list did not give
 */
export async function keysetPage<Row, Position, Item extends object>(
  { limit, cursor }: { limit: number; cursor?: string | undefined },
  list: KeysetList<Row, Position, Item>,
): Promise<{ items: Item[]; nextCursor: string | null }> {
  const { cursorScope, position, positionOf } = list;
  const { items, next } = await readItems(list, decodeCursor(cursor, cursorScope, position), limit);
  return { items, nextCursor: next && encodeCursor(cursorScope, position, positionOf(next)) };
}

/** How many rows of a whole list are read at once, unless they may be large. */
export const ROWS_AT_ONCE = 500;

/**
 * Reads all items of a list after a cursor, a batch at a time, each with a query of its own.
 * @throws Problem `invalid-request` for a cursor that this list did not give
 */
export async function* keysetBatches<Row, Position, Item>(
  cursor: string | undefined,
  list: KeysetList<Row, Position, Item>,
): AsyncGenerator<Item[], void> {
  const { cursorScope, position, rowsAtOnce = ROWS_AT_ONCE, fetch, positionOf, represent } = list;
  let after = decodeCursor(cursor, cursorScope, position);
  for (;;) {
    const rows = await fetch(after, rowsAtOnce);
    yield rows.map(represent);
    const last = rows.at(-1);
    if (last === undefined || rows.length < rowsAtOnce) return;
    after = positionOf(last);
  }
}

/** How many rows to read at once if each may have a text of 20,000 characters. */
export const LONG_TEXTS_AT_ONCE = 25;

/** The most bytes of the items of a page, as JSON. The first item is on the page however large it is. */
const MOST_BYTES = 2 * 2 ** 20;

/** The items of a page, and its last row if another page follows. */
async function readItems<Row, Position, Item extends object>(
  { rowsAtOnce, fetch, positionOf, represent }: KeysetList<Row, Position, Item>,
  after: Position | null,
  limit: number,
): Promise<{ items: Item[]; next: Row | null }> {
  const items: Item[] = [];
  let [bytes, last]: [number, Row | null] = [0, null];
  for (;;) {
    // One row more than the page holds tells whether another page follows.
    const count = Math.min(limit + 1 - items.length, rowsAtOnce ?? Infinity);
    const rows = await fetch(last === null ? after : positionOf(last), count);
    for (const row of rows) {
      const item = represent(row);
      if (rowsAtOnce !== undefined) bytes += Buffer.byteLength(JSON.stringify(item));
      if (items.length === limit || (bytes > MOST_BYTES && last)) return { items, next: last };
      items.push(item);
      last = row;
    }
    if (rows.length < count) return { items, next: null };
  }
}

/**
 * A position as opaque text that clients send back unchanged.
 * @param cursorScope the list and its filters, as JSON: a cursor is valid only for these
 */
export function encodeCursor<Position>(
  cursorScope: unknown,
  schema: z.ZodType<Position>,
  position: Position,
): string {
  const content = [cursorScope, z.encode(schema, position)];
  return Buffer.from(JSON.stringify(content)).toString('base64url');
}

/**
 * The position in a cursor; null if none was sent.
 * @throws Problem `invalid-request` for a cursor that this list did not give
 */
export function decodeCursor<Position>(
  cursor: string | undefined,
  cursorScope: unknown,
  schema: z.ZodType<Position>,
): Position | null {
  if (cursor === undefined) return null;
  const parsed = z.tuple([z.unknown(), schema]).safeParse(decoded(cursor));
  if (!parsed.success)
    throw cursorProblem(
      'does not come from this list: send a `nextCursor` unchanged, or start without a cursor',
    );
  if (JSON.stringify(parsed.data[0]) !== JSON.stringify(cursorScope)) {
    throw cursorProblem(
      'belongs to a query with other filters: keep the filters, or start without a cursor',
    );
  }
  return parsed.data[1];
}

function decoded(cursor: string): unknown {
  try {
    const bytes = Buffer.from(cursor, 'base64url');
    // Node's decoder skips characters that are not base64url.
    return bytes.toString('base64url') === cursor ? JSON.parse(bytes.toString('utf8')) : null;
  } catch {
    return null;
  }
}

function cursorProblem(detail: string): Problem {
  return new Problem('invalid-request', `The cursor ${detail}.`, {
    errors: [{ pointer: '/cursor', detail, in: 'query' }],
  });
}

/** A time in a cursor, in milliseconds since 1970 and within the range of timestamps. */
export const cursorMilliseconds = z.int().min(0).max(253_402_300_799_999);
/** The same, read as a Date. */
export const cursorTimestamp = z.codec(cursorMilliseconds, z.date(), {
  decode: (milliseconds) => new Date(milliseconds),
  encode: (moment) => moment.getTime(),
});

/** A position in a list in the order of creation, newest first, then of ids. */
export const creationPosition = z.codec(
  z.tuple([cursorTimestamp, z.uuid()]),
  z.object({ createdAt: z.date(), id: z.uuid() }),
  {
    decode: ([createdAt, id]) => ({ createdAt, id }),
    encode: ({ createdAt, id }) => [createdAt, id] as [Date, string],
  },
);

/** A position in a list in the order of numeric ids. */
export const idPosition = z.int().min(1);
