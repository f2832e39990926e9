import { isDeepStrictEqual } from 'node:util';
import type { OpenAPIV3_1 } from 'openapi-types';
import { EVENT_STREAM_TYPE } from '../negotiation.ts';
import { portable } from './portable.ts';
import { STATUS_TEXTS } from './texts.ts';
import {
  CSV_BODIES,
  REQUEST_EXAMPLES,
  SAMPLE_INSTRUMENT,
  SAMPLE_OUTLOOK,
} from './examples.ts';

type Schema = Record<string, unknown>;
type Operation = OpenAPIV3_1.OperationObject & { operationId: string };
type Documented = OpenAPIV3_1.Document & { components: { schemas: Record<string, Schema> } };

const REF = '#/components/schemas/';
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;

/**
 * Turns the generated document into the one that is served: each concept is one component, and what all operations share
 * is added here.
 */
export function tidy(document: OpenAPIV3_1.Document): OpenAPIV3_1.Document {
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of METHODS) {
      const operation = item?.[method] as Operation | undefined;
      if (operation) completeOperation(operation, method, path);
    }
  }
  const tidied = document as Documented;
  mergeComponents(tidied);
  tidied.components.parameters = PARAMETERS;
  tidied.components.headers = HEADERS;
  return portable(tidied);
}

const PARAMETERS: Record<string, OpenAPIV3_1.ParameterObject> = {
  IfNoneMatch: {
    name: 'If-None-Match',
    in: 'header',
    description: 'ETags of the copies that the client holds. Returns 304 if one is current.',
    schema: { type: 'string' },
  },
  LastEventId: {
    name: 'Last-Event-ID',
    in: 'header',
    description: 'The id of the last event that the client received. Browsers send it on reconnecting.',
    schema: { type: 'string' },
  },
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description:
      'A unique value for this request: 1–255 printable ASCII characters, such as a UUID, in double quotes. A retry with the same key does not repeat the write and returns the first response, byte for byte.',
    schema: { type: 'string', maxLength: 257 },
  },
  IfMatch: {
    name: 'If-Match',
    in: 'header',
    description:
      'The ETag that you have: of the outlook for a write, of this URL for a read. Returns 412 if it is no longer current.',
    schema: { type: 'string' },
  },
};

const HEADERS: Record<string, OpenAPIV3_1.HeaderObject> = {
  ETag: { description: 'The strong validator of the body.', schema: { type: 'string' } },
  Location: { description: 'The URL of the created resource.', schema: { type: 'string' } },
  Link: { description: 'The next page, as `rel="next"`.', schema: { type: 'string' } },
  RetryAfter: { description: 'Seconds to wait.', schema: { type: 'integer' } },
};
const header = (name: string) => ({ $ref: `#/components/headers/${name}` });
const parameter = (name: string) => ({ $ref: `#/components/parameters/${name}` });

/** The examples of path parameters in Swagger UI. */
const PATH_EXAMPLES: Record<string, unknown> = {
  slug: SAMPLE_OUTLOOK['slug'],
  symbol: SAMPLE_INSTRUMENT['symbol'],
  version: 1,
  code: 'probability-sum',
};

/** Operations that call another service outside any transaction, so a retry calls it again. */
const IGNORING_KEY = new Set(['testWebhook']);

function completeOperation(operation: Operation, method: string, path: string): void {
  for (const part of operation.parameters ?? []) {
    if (!('name' in part) || part.in !== 'path') continue;
    const example = PATH_EXAMPLES[part.name];
    if (example !== undefined) part.example = example;
  }
  const responses = operation.responses as Record<string, OpenAPIV3_1.ResponseObject>;
  // Whether reads need a key depends on the service's settings.
  operation.security ??= [{}, { key: [] }];
  const problem = {
    content: { 'application/problem+json': { schema: { $ref: `${REF}Problem` } } },
  };
  if (operation.security.some((requirement) => 'key' in requirement)) {
    responses['401'] ??= { description: '', ...problem };
  }
  for (const status of ['400', '406', '429', '500', '503'])
    responses[status] ??= { description: '', ...problem };
  const isStream = EVENT_STREAM_TYPE in (responses['200']?.content ?? {});
  if (method === 'get') {
    const condition = isStream ? 'LastEventId' : 'IfNoneMatch';
    operation.parameters = [...(operation.parameters ?? []), parameter(condition)];
    if (!isStream) {
      responses['304'] = { description: '', headers: { ETag: header('ETag') } };
      responses['412'] = { description: '', ...problem };
    }
  }
  if ((method === 'post' || method === 'patch') && !IGNORING_KEY.has(operation.operationId)) {
    operation.parameters = [...(operation.parameters ?? []), parameter('IdempotencyKey')];
    responses['409'] ??= { description: '', ...problem };
  }
  if ('412' in responses) {
    operation.parameters = [...(operation.parameters ?? []), parameter('IfMatch')];
  }
  for (const [status, response] of Object.entries(responses)) {
    response.description = STATUS_TEXTS[status] ?? '';
    if (status === '204') delete response.content;
    if (status === '429') response.headers = { 'Retry-After': header('RetryAfter') };
    if (status === '200' && !isStream) {
      const isList = operation.parameters?.some(isCursor);
      // The body of a POST with this status is not a representation of its URL.
      response.headers = {
        ...(method !== 'post' && { ETag: header('ETag') }),
        ...(isList && { Link: header('Link') }),
      };
    }
    if (status === '201') response.headers = { ETag: header('ETag'), Location: header('Location') };
    if (status === '503') response.headers = { 'Retry-After': header('RetryAfter') };
  }
  addExamples(operation, path);
}

function isCursor(candidate: OpenAPIV3_1.ParameterObject | OpenAPIV3_1.ReferenceObject): boolean {
  return 'name' in candidate && candidate.name === 'cursor';
}

function addExamples(operation: Operation, path: string): void {
  const examples = REQUEST_EXAMPLES[operation.operationId];
  const body = operation.requestBody;
  if (!body || '$ref' in body) return;
  if (!examples) throw new Error(`${path}: ${operation.operationId} needs an example of its body`);
  body.required = true;
  for (const [type, media] of Object.entries(body.content)) {
    body.content[type] =
      type === 'text/csv' ? { ...CSV_BODIES[operation.operationId] } : { ...media, examples };
  }
}

/** Ends the name of a schema in the document that fastify-type-provider-zod makes. */
export const MARK = '.';

/** `X` of `X.`, a schema of responses, and of `X.Input`, one of requests. */
const conceptOf = (name: string): string => name.split(MARK, 1)[0] ?? '';

/**
 * zod writes every schema twice, for responses and for requests, used or not. Keeps the used ones, under one name.
 * Those of requests only are closed to unknown members; those of responses are open, so that a client does not break
 * when a release adds a member.
 */
function mergeComponents(document: Documented): void {
  const { paths, webhooks, components } = document;
  const { schemas } = components;
  const used = reachable([paths, webhooks], schemas);
  const kept = new Map<string, Schema>();
  for (const name of [...used].toSorted()) {
    const concept = conceptOf(name);
    const isResponse = used.has(concept + MARK);
    const schema = renamed(isResponse ? opened(schemas[name]) : schemas[name]) as Schema;
    const other = kept.get(concept);
    if (other && !isDeepStrictEqual(other, schema)) {
      throw new Error(`${concept} differs between requests and responses: give it two names`);
    }
    kept.set(concept, schema);
  }
  components.schemas = Object.fromEntries(kept);
  document.paths = renamed(paths) as OpenAPIV3_1.PathsObject;
  if (webhooks) document.webhooks = renamed(webhooks) as typeof webhooks;
}

function reachable(from: unknown, schemas: Record<string, Schema>, found = new Set<string>()) {
  walk(from, (node) => {
    const ref = node['$ref'];
    if (typeof ref !== 'string' || !ref.startsWith(REF)) return;
    const named = ref.slice(REF.length);
    // A reference that is written by hand has no mark.
    const name = named.includes(MARK) ? named : named + MARK;
    if (found.has(name)) return;
    found.add(name);
    reachable(schemas[name], schemas, found);
  });
  return found;
}

function walk(value: unknown, visit: (node: Schema) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) visit(value as Schema);
  for (const child of Object.values(value)) walk(child, visit);
}

/** A copy with the names that the document uses. */
function renamed(value: unknown): unknown {
  return mapped(value, (key, child) =>
    key === '$ref' && typeof child === 'string' ? conceptOf(child) : child,
  );
}

function opened(value: unknown): unknown {
  return mapped(value, (key, child) =>
    key === 'additionalProperties' && child === false ? undefined : child,
  );
}

function mapped(value: unknown, change: (key: string, child: unknown) => unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((entry) => mapped(entry, change));
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, child]) => [key, mapped(change(key, child), change)] as const)
      .filter(([, child]) => child !== undefined),
  );
}
