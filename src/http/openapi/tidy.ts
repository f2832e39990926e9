import { isDeepStrictEqual } from 'node:util';
import type { OpenAPIV3_1 } from 'openapi-types';
import { CSV_BODIES, REQUEST_EXAMPLES } from './examples.ts';
import { describeParameters, parameter, PARAMETERS } from './parameters.ts';
import { portable } from './portable.ts';
import { completeResponses, HEADERS, isStreaming, RESPONSES } from './responses.ts';

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
  tidied.components.responses = RESPONSES;
  return portable(tidied);
}

/** Operations that call another service outside any transaction, so a retry calls it again. */
const IGNORING_KEY = new Set(['testWebhook']);

/** Operations without limits, as health checks must be. */
const UNLIMITED = new Set(['getHealth', 'getReadiness']);

function completeOperation(operation: Operation, method: string, path: string): void {
  const { operationId } = operation;
  // Whether reads need a key depends on the service's settings.
  operation.security ??= [{}, { key: [] }];
  const isStream = isStreaming(operation.responses as never);
  const isIdempotent =
    (method === 'post' || method === 'patch') && !IGNORING_KEY.has(operationId);
  const parameters = describeParameters(operation.parameters ?? [], path);
  operation.responses = completeResponses(operation.responses as never, {
    operationId,
    method,
    path,
    isIdempotent,
    takesKey: operation.security.some((requirement) => 'key' in requirement),
    isList: parameters.some((one) => 'name' in one && one.name === 'cursor'),
    isUnlimited: UNLIMITED.has(operationId),
  });
  operation.parameters = [
    ...parameters,
    ...(method === 'get' ? [parameter(isStream ? 'LastEventId' : 'IfNoneMatch')] : []),
    ...(isIdempotent ? [parameter('IdempotencyKey')] : []),
    ...('412' in operation.responses ? [parameter('IfMatch')] : []),
  ];
  addExamples(operation, path);
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
  const used = reachable([paths, webhooks, RESPONSES], schemas);
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
