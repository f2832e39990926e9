import type { OpenAPIV3_1 } from 'openapi-types';
import { SAMPLE_INSTRUMENT, SAMPLE_OUTLOOK } from './examples.ts';

type Parameter = OpenAPIV3_1.ParameterObject;
type ParameterOrReference = Parameter | OpenAPIV3_1.ReferenceObject;

/** The header parameters that operations share. */
export const PARAMETERS: Record<string, Parameter> = {
  IfNoneMatch: {
    name: 'If-None-Match',
    in: 'header',
    description: 'ETags of the copies that the client holds. Returns 304 if one is current.',
    schema: { type: 'string' },
    example: '"n1qqmwXCpBqHUqJIKsXBSjuAMWU"',
  },
  LastEventId: {
    name: 'Last-Event-ID',
    in: 'header',
    description: 'The id of the last event that the client received. Browsers send it on reconnecting.',
    schema: { type: 'string', maxLength: 100 },
    example: '138-5f0c91ab',
  },
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description:
      'A unique value for this request: 1–255 printable ASCII characters, such as a UUID, in double quotes. A retry with the same key does not repeat the write and returns the first response, byte for byte.',
    schema: {
      type: 'string',
      minLength: 1,
      maxLength: 257,
      // access/idempotency-key.ts, without the distinction of what is captured.
      pattern: String.raw`^(?:"[\x20\x21\x23-\x5b\x5d-\x7e]{1,255}"|[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,255})$`,
    },
    example: '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
  },
  IfMatch: {
    name: 'If-Match',
    in: 'header',
    description:
      'The ETag that you have: of the outlook for a write, of this URL for a read. Returns 412 if it is no longer current.',
    schema: { type: 'string' },
    example: '"n1qqmwXCpBqHUqJIKsXBSjuAMWU"',
  },
};

export const parameter = (name: string) => ({ $ref: `#/components/parameters/${name}` });

const slug = SAMPLE_OUTLOOK['slug'];
const uuid = '016d28b9-0db9-42d9-ba83-9f320b0c00e5';

/** The parameters of paths, each with the segment before it. */
const OF_PATH: Record<string, { description: string; example: unknown }> = {
  'outlooks/{slug}': { description: 'The slug of the outlook.', example: slug },
  'versions/{version}': { description: 'The number of the version, from 1.', example: 1 },
  'evidence/{id}': { description: 'The id of the item of evidence.', example: uuid },
  'views/{analyst}': { description: 'The id of the analyst.', example: uuid },
  'analysts/{id}': { description: 'The id of the analyst.', example: uuid },
  'conditions/{key}': { description: 'The key of the condition.', example: 'rate-relief' },
  'instruments/{symbol}': {
    description: 'The symbol of the instrument.',
    example: SAMPLE_INSTRUMENT['symbol'],
  },
  'series/{key}': { description: 'The key of the series.', example: 'us-10y-yield' },
  'desks/{desk}': { description: 'The slug of the desk.', example: 'main' },
  'keys/{id}': { description: 'The id of the key, which is not the key itself.', example: uuid },
  'proposals/{id}': { description: 'The id of the proposal.', example: uuid },
  'webhooks/{id}': { description: 'The id of the webhook.', example: uuid },
  'log/{generation}': { description: 'The generation of the log.', example: '1' },
  'tile/{level}': { description: 'The level of the tile.', example: '0' },
  '{level}/{tile}': { description: 'The tile.', example: 'x001/067.p/8' },
  'entries/{tile}': { description: 'The bundle.', example: 'x001/067' },
  'problems/{code}': {
    description: 'The last part of the `type` of a problem.',
    example: 'probability-sum',
  },
};

/** Examples of parameters of queries, by name, where a route gives none. */
const OF_QUERY: Record<string, unknown> = {
  asOf: '2026-11-20T16:00:00.000Z',
  minVersion: 2,
  against: 1,
  version: 2,
  number: 1,
  instrument: SAMPLE_INSTRUMENT['symbol'],
  desk: 'main',
  outlook: slug,
  minProbability: 0.3,
  maxProbability: 0.5,
  updatedSince: '2026-11-01T00:00:00Z',
  q: 'refinancing',
  cursor: 'WyJydXNzZWxsLTIwMDAtZG93bnNpZGUiLDJd',
  limit: 20,
  maxAge: 90,
  v: '2-light',
  width: 800,
  height: 450,
  scale: 2,
  since: '2026-03-31',
  minDepth: 0.05,
  minCoverage: 0.5,
  author: 'Small-cap desk',
  dateColumn: 'observation_date',
  valueColumn: 'DGS30',
  dateFormat: 'DD.MM.YYYY',
  decimal: ',',
  delimiter: ';',
  missing: 'n/a',
  maxJump: 0.2,
  lastEventId: '138-5f0c91ab',
  analyst: uuid,
  subject: `/v1/outlooks/${String(slug)}`,
};

/** Describes the parameters of an operation, and gives each an example. */
export function describeParameters(
  parameters: readonly ParameterOrReference[],
  path: string,
): ParameterOrReference[] {
  return parameters.map((one) => {
    if ('$ref' in one) return one;
    return one.in === 'path' ? ofPath(one, path) : ofQuery(one);
  });
}

function ofPath(one: Parameter, path: string): Parameter {
  const segments = path.split('/');
  const at = segments.indexOf(`{${one.name}}`);
  return { ...OF_PATH[segments.slice(at - 1, at + 1).join('/')], ...one };
}

/** A query can't hold null: a parameter of it is left out instead. */
function ofQuery(one: Parameter): Parameter {
  const { anyOf, default: initial, ...rest } = (one.schema ?? {}) as OpenAPIV3_1.SchemaObject;
  const forms = (anyOf ?? []).filter((form) => !('type' in form) || form.type !== 'null');
  const schema = forms.length === 1 ? { ...rest, ...forms[0] } : one.schema;
  const dated = isOfFormat(schema, 'date') ? '2026-03-31' : '2026-11-20T16:00:00.000Z';
  const named = isOfFormat(schema, 'uuid') ? uuid : OF_QUERY[one.name];
  const example = named ?? (isOfFormat(schema, 'date', 'date-time') && dated);
  const hasOwn = one.example !== undefined || 'examples' in rest || 'example' in rest;
  return {
    ...one,
    schema: (initial == null ? schema : { ...schema, default: initial }) as Parameter['schema'],
    ...(!hasOwn && example !== false && { example }),
  } as Parameter;
}

function isOfFormat(schema: unknown, ...formats: string[]): boolean {
  return formats.includes(String((schema as { format?: string } | undefined)?.format));
}

/** The path of an operation with the examples of its parameters. */
export function examplePath(path: string): string {
  const segments = path.split('/');
  const exampleOf = (segment: string, at: number) =>
    OF_PATH[`${segments[at - 1]}/${segment}`]?.example ?? segment;
  return segments.map((segment, at) => String(exampleOf(segment, at))).join('/');
}
