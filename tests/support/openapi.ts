import { readFileSync } from 'node:fs';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';

type Media = { schema: object };
type Response = { content?: Record<string, Media>; headers?: Record<string, unknown> };
type Operation = { operationId: string; responses: Record<string, Response> };
type Document = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
};

/** The committed document. */
export const DOCUMENT = JSON.parse(
  readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8'),
) as Document;

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(closed({ $id: 'document', ...DOCUMENT }) as object);
const validators = new Map<string, ValidateFunction>();
const patterns = Object.keys(DOCUMENT.paths).map((path) => ({ path, pattern: patternOf(path) }));

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
  const described = operation.responses[String(response.statusCode)];
  if (!described) throw new Error(`${where} is not described: ${response.body}`);
  for (const name of Object.keys(described.headers ?? {})) {
    const isOptional = name === 'Link';
    if (!isOptional && response.headers[name.toLowerCase()] === undefined) {
      throw new Error(`${where} lacks the header ${name}`);
    }
  }
  if (!described.content || method === 'head') {
    if (response.body !== '') throw new Error(`${where} has a body: ${response.body}`);
    return;
  }
  const type = String(response.headers['content-type']).split(';', 1)[0] ?? '';
  if (!described.content[type]) throw new Error(`${where} is not described as ${type}`);
  if (!/[/+]json$/.test(type)) return;
  const validate = validatorOf(template, operation, method, response.statusCode, type);
  if (!validate(JSON.parse(textOf(response)))) {
    throw new Error(`${where}: ${ajv.errorsText(validate.errors)} in ${response.body}`);
  }
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

function validatorOf(
  template: string,
  operation: Operation,
  method: string,
  status: number,
  type: string,
): ValidateFunction {
  const key = `${operation.operationId} ${status}`;
  const known = validators.get(key);
  if (known) return known;
  const verb = method === 'head' ? 'get' : method;
  const pointer = ['paths', template, verb, 'responses', String(status), 'content', type, 'schema']
    .map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')))
    .join('/');
  const made = ajv.compile({ $ref: `document#/${pointer}` });
  validators.set(key, made);
  return made;
}
