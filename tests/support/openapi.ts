import { readFileSync } from 'node:fs';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { EXPOSED_HEADERS } from '../../src/http/response-headers.ts';

type Media = { schema: object };
type Response = {
  content?: Record<string, Media>;
  headers?: Record<string, Header>;
  $ref?: string;
};
type Header = { $ref?: string; required?: boolean };
type Operation = { operationId: string; responses: Record<string, Response> };
type Document = {
  paths: Record<string, Record<string, Operation>>;
  webhooks: Record<string, { post: { requestBody: { content: Record<string, Media> } } }>;
  components: {
    schemas: Record<string, object>;
    headers: Record<string, Header>;
    responses: Record<string, Response>;
  };
};

/** The committed document. */
export const DOCUMENT = JSON.parse(
  readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8'),
) as Document;

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(closed({ $id: 'document', ...DOCUMENT }) as object);
const validators = new Map<string, ValidateFunction>();
// As a router does: `/views/me/receipt` before `/views/{analyst}/receipt`. In ASCII, `{` comes after all letters.
const patterns = Object.keys(DOCUMENT.paths)
  .toSorted((a, b) => (a < b ? -1 : 1))
  .map((path) => ({ path, pattern: patternOf(path) }));

// The document lets answers grow. What this release answers is all described.
function closed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(closed);
  const copy = Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, closed(child)]),
  );
  const isObject = copy['type'] === 'object' && copy['properties'] && !copy['additionalProperties'];
  return isObject ? { ...copy, additionalProperties: false } : copy;
}

/** Throws if the committed document doesn't describe a response: its status, type and body. */
export function assertDescribed(request: InjectOptions, response: LightMyRequestResponse): void {
  if (typeof request.url !== 'string') throw new Error('give the url as text');
  const url = request.url.split('?', 1)[0] ?? '';
  const method = String(request.method ?? 'GET').toLowerCase();
  const template = patterns.find(({ pattern }) => pattern.test(url))?.path;
  const operation = template && DOCUMENT.paths[template]?.[method === 'head' ? 'get' : method];
  if (!template || !operation || response.statusCode === 405) return;
  const where = `${operation.operationId} ${response.statusCode}`;
  const status = String(response.statusCode);
  const described = componentOf(operation.responses[status], DOCUMENT.components.responses);
  if (!described) throw new Error(`${where} is not described: ${response.body}`);
  for (const [name, header] of Object.entries(described.headers ?? {})) {
    const { required } = componentOf(header, DOCUMENT.components.headers) ?? {};
    if (required && response.headers[name.toLowerCase()] === undefined) {
      throw new Error(`${where} lacks the header ${name}`);
    }
  }
  for (const name of EXPOSED_HEADERS) {
    if (response.headers[name.toLowerCase()] === undefined) continue;
    if (!described.headers?.[name]) throw new Error(`${where} has the undescribed header ${name}`);
  }
  if (!described.content || method === 'head') {
    if (response.body !== '') throw new Error(`${where} has a body: ${response.body}`);
    return;
  }
  const type = String(response.headers['content-type']).split(';', 1)[0] ?? '';
  if (!described.content[type]) throw new Error(`${where} is not described as ${type}`);
  if (!/[/+]json$/.test(type)) return;
  const verb = method === 'head' ? 'get' : method;
  const validate = validatorOf({ path: template, method: verb, status, type });
  if (!validate(JSON.parse(textOf(response)))) {
    throw new Error(`${where}: ${ajv.errorsText(validate.errors)} in ${response.body}`);
  }
}

/** Throws if the committed document doesn't describe what the service posts to a webhook. */
export function assertDeliveryDescribed(payload: {
  type: string;
  [member: string]: unknown;
}): void {
  const { type } = payload;
  const validate = compiled(
    `webhooks/${type}`,
    `webhooks ${type} post requestBody content application/json schema`.split(' '),
  );
  if (!validate(payload)) throw new Error(`${type}: ${ajv.errorsText(validate.errors)}`);
  describedKinds.add(type);
}

/** The kinds of events that were validated so far. */
export const describedKinds = new Set<string>();

/** The schemas of the events about a stream. */
const STREAM_SCHEMAS: Record<string, string> = {
  'stream.opened': 'StreamOpenedData',
  'stream.reset': 'StreamResetData',
};

/** Throws if the committed document doesn't describe the data of an event as a stream sends it. */
export function assertEventDescribed(type: string, data: unknown): void {
  const name = STREAM_SCHEMAS[type];
  if (name === undefined) {
    assertDeliveryDescribed({ type, timestamp: '2026-11-20T16:00:00.000Z', data });
    return;
  }
  const validate = compiled(name, ['components', 'schemas', name]);
  if (!validate(data)) throw new Error(`${type}: ${ajv.errorsText(validate.errors)}`);
  describedKinds.add(type);
}

/** A part of the document, or the component that it refers to. */
export function componentOf<Part extends { $ref?: string }>(
  part: Part | undefined,
  components: Record<string, Part>,
): Part | undefined {
  return part?.$ref ? components[part.$ref.split('/').at(-1) ?? ''] : part;
}

function textOf({ headers, rawPayload }: LightMyRequestResponse): string {
  const coding = headers['content-encoding'];
  if (coding === 'br') return brotliDecompressSync(rawPayload).toString();
  return (coding === 'gzip' ? gunzipSync(rawPayload) : rawPayload).toString();
}

function patternOf(template: string): RegExp {
  const pattern = template.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+');
  return new RegExp(`^${pattern}$`);
}

/** Where the document describes a body of a response. */
export type Place = { path: string; method: string; status: string; type: string };

/** Validates a body as the document describes it, with no member that it does not name. */
export function validatorOf({ path, method, status, type }: Place): ValidateFunction {
  const { $ref } = DOCUMENT.paths[path]?.[method]?.responses[status] ?? {};
  return compiled(
    `${method} ${path} ${status} ${type}`,
    $ref
      ? [...$ref.split('/').slice(1), 'content', type, 'schema']
      : ['paths', path, method, 'responses', status, 'content', type, 'schema'],
  );
}

/** The validator of a schema in the document. */
function compiled(key: string, place: readonly string[]): ValidateFunction {
  const known = validators.get(key);
  if (known) return known;
  const pointer = place
    .map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')))
    .join('/');
  const made = ajv.compile({ $ref: `document#/${pointer}` });
  validators.set(key, made);
  return made;
}
