import { isDeepStrictEqual } from 'node:util';

type Schema = Record<string, unknown>;

const REF = '#/components/schemas/';

/** Formats beside which a pattern says nothing more. The Python client of openapi-generator matches it against a date. */
const FORMATS = new Set(['date-time', 'date', 'uuid']);

/** A copy of the document that the generators of tests/generated-clients read as it is meant. */
export function portable<Document extends { components: { schemas: Record<string, Schema> } }>(
  document: Document,
): Document {
  const { schemas } = document.components;
  const flat = mapSchemas(document, (schema) => flatUnion(schema, schemas));
  return mapSchemas(flat, (schema) => withFormat(withoutSymbols(withoutPattern(schema)))) as Document;
}

/** Maps each object outside of examples, the inner ones first. */
function mapSchemas(value: unknown, change: (schema: Schema) => Schema): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((entry) => mapSchemas(entry, change));
  return change(
    Object.fromEntries(
      Object.entries(value).map(([key, child]) => [
        key,
        key === 'example' || key === 'examples' ? child : mapSchemas(child, change),
      ]),
    ),
  );
}

function withoutPattern(schema: Schema): Schema {
  if (!FORMATS.has(String(schema['format']))) return schema;
  const { pattern: _, ...rest } = schema;
  return rest;
}

/** A choice of punctuation as a pattern: clients in Rust name the variants of an enum by the letters and digits. */
function withoutSymbols(schema: Schema): Schema {
  const { enum: values, ...rest } = schema;
  if (!Array.isArray(values) || values.every((value) => /[a-z0-9]/i.test(String(value)))) {
    return schema;
  }
  const choices = values.map((value) => String(value).replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`));
  return { ...rest, pattern: `^(?:${choices.join('|')})$` };
}

/**
 * Numbers are doubles; without a format, clients in Go take them for 32 bits. Every integer has 32 bits, unless its schema
 * says 64. zod's bounds of safe integers are left out.
 */
function withFormat(schema: Schema): Schema {
  const types = [schema['type']].flat();
  if (types.includes('number')) return { ...schema, format: 'double' };
  if (schema['type'] !== 'integer') return schema;
  const { minimum, maximum, ...rest } = schema;
  return {
    ...rest,
    format: schema['format'] ?? 'int32',
    ...(minimum !== Number.MIN_SAFE_INTEGER && { minimum }),
    ...(maximum !== Number.MAX_SAFE_INTEGER && { maximum }),
  };
}

/**
 * A union of objects as one object that has the members of all, with none of them required unless all forms require it.
 * Generated clients throw at a union, or lose members.
 */
function flatUnion(schema: Schema, schemas: Record<string, Schema>): Schema {
  const { anyOf, ...rest } = schema;
  if (!Array.isArray(anyOf)) return schema;
  const forms = (anyOf as Schema[]).map((form) => resolved(form, schemas));
  if (forms.filter(({ type }) => type !== 'null').length < 2) return schema;
  if (!forms.every((form) => form['properties'])) {
    throw new Error(`Not a union of objects: ${JSON.stringify(schema)}`);
  }
  const [first = [], ...others] = forms.map((form) => (form['required'] ?? []) as string[]);
  const required = first.filter((name) => others.every((names) => names.includes(name)));
  const isClosed = forms.every((form) => form['additionalProperties'] === false);
  return {
    type: 'object',
    properties: membersOf(forms),
    ...(required.length > 0 && { required }),
    ...(isClosed && { additionalProperties: false }),
    ...rest,
  };
}

/** The members of all forms. A default of one form is none of another. */
function membersOf(forms: readonly Schema[]): Record<string, Schema> {
  const members = new Map<string, Schema>();
  for (const form of forms) {
    for (const [name, { default: _, ...member }] of Object.entries(
      form['properties'] as Record<string, Schema>,
    )) {
      const other = members.get(name);
      if (other && !isDeepStrictEqual(other, member)) {
        throw new Error(`The forms of a union differ in their member ${name}: rename one`);
      }
      members.set(name, member);
    }
  }
  return Object.fromEntries(members);
}

function resolved(schema: Schema, schemas: Record<string, Schema>): Schema {
  const ref = schema['$ref'];
  return typeof ref === 'string' ? (schemas[ref.slice(REF.length)] ?? {}) : schema;
}
