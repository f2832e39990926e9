import { stringify } from 'csv-stringify/sync';
import { z } from 'zod';

/** A column: its name, and the path of its value in an item. */
type Column = { name: string; path: readonly string[] };

const known = new WeakMap<z.ZodObject, Column[]>();

/**
 * The columns by the schema of the items, so that they do not depend on the items: one for each member; those of nested
 * objects have a path as their name (`author.name`).
 */
function columnsOf(item: z.ZodObject): Column[] {
  const columns = known.get(item) ?? membersOf(item, []);
  known.set(item, columns);
  return columns;
}

function membersOf(object: z.ZodObject, path: readonly string[]): Column[] {
  return Object.entries(object.shape).flatMap(([name, schema]) => {
    const inside = withoutNull(schema as z.ZodType);
    const at = [...path, name];
    return inside instanceof z.ZodObject
      ? membersOf(inside, at)
      : [{ name: at.join('.'), path: at }];
  });
}

function withoutNull(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodNullable ? withoutNull(schema.unwrap() as z.ZodType) : schema;
}

/** The header line of items. */
export function csvHeader(item: z.ZodObject): string {
  return columnsOf(item)
    .map(({ name }) => name)
    .join(',');
}

/** Items as CSV, as {@link csvRows} writes them, after its header line. */
export function csvOf(item: z.ZodObject, items: readonly object[]): string {
  return `${csvHeader(item)}\r\n${csvRows(item, items)}`;
}

/**
 * Items as the lines of CSV after its header (RFC 4180), with CRLF. A list of texts is joined by "; "; other lists and rules are
 * JSON. A text that a spreadsheet would read as a formula gets an apostrophe before it (OWASP, CSV injection).
 */
export function csvRows(item: z.ZodObject, items: readonly object[]): string {
  const columns = columnsOf(item);
  const rows = items.map((one) => columns.map(({ path }) => cellOf(valueAt(one, path))));
  return stringify(rows, {
    record_delimiter: 'windows',
    quote_record_delimiter: true, // also quotes a lone CR or LF, which readers take for a line break
    escape_formulas: true,
    cast: { boolean: String },
  });
}

function valueAt(item: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, name) => (value as Record<string, unknown> | null | undefined)?.[name],
    item,
  );
}

function cellOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const isTexts = Array.isArray(value) && value.every((one) => typeof one === 'string');
  return isTexts ? value.join('; ') : JSON.stringify(value);
}
