import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { noneMatchHolds } from '../conditional-requests.ts';
import type { Form } from './encoded-body.ts';

// A header field costs a cached reply, and its client, more than a kilobyte of its body: what only pages of
// other origins need goes to them, what only a body needs goes with one.
const BODY_FIELDS = ['x-content-type-options', 'nosniff'];
/** What pages of other origins may read of an answer's header. */
export const EXPOSED_HEADERS = [
  'Age',
  'Cache-Status',
  'ETag',
  'Link',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'X-Request-Id',
];
/** Asks browsers to stay with TLS for a year, where it is how they came. */
export const TRANSPORT_SECURITY = ['strict-transport-security', 'max-age=31536000'] as const;
const CORS_FIELDS = [
  'access-control-allow-origin',
  '*',
  'access-control-expose-headers',
  EXPOSED_HEADERS.join(', '),
];

/**
 * Sends a rendered reply, or 304 where the client has this very form of it. It goes straight to the
 * socket, past what hooks set: an open read needs little of that. Where reads need a key it is sent, too.
 */
export function sendForm(
  request: FastifyRequest,
  reply: FastifyReply,
  form: Form,
  isKeyed: boolean,
  more: readonly string[] = [],
): void {
  const { headers, method } = request.raw;
  const isKnown = noneMatchHolds(headers['if-none-match'], form.etag);
  const own = (isKnown ? form.unmodifiedFields : form.fields).concat(more);
  const fields = isKeyed ? merged(reply.getHeaders(), own) : own;
  if (!isKeyed) {
    if (!isKnown) fields.push(...BODY_FIELDS);
    if (headers.origin !== undefined) fields.push(...CORS_FIELDS);
    if (request.protocol === 'https') fields.push(...TRANSPORT_SECURITY);
    if (headers['x-request-id'] === request.id) fields.push('x-request-id', request.id);
  }
  reply.hijack();
  const response = reply.raw;
  stayOpenSilently(response);
  response.writeHead(isKnown ? 304 : 200, fields);
  if (isKnown || method === 'HEAD') response.end();
  else response.end(form.bytes);
}

/** Leaves out what HTTP/1.1 takes for granted: that the connection stays open. */
function stayOpenSilently(response: ServerResponse): void {
  if (response.shouldKeepAlive && response.req.httpVersionMinor === 1) {
    response.removeHeader('connection');
  }
}

/** Fields that hooks set and those of the reply; both may say what a reply varies by. */
function merged(byHooks: ReturnType<FastifyReply['getHeaders']>, own: readonly string[]): string[] {
  const fields = [...own];
  for (const [name, value] of Object.entries(byHooks)) {
    const at = own.indexOf(name);
    if (at === -1) fields.push(name, String(value));
    else if (name === 'vary') fields[at + 1] = `${String(value)}, ${own[at + 1]}`;
  }
  return fields;
}
