import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { noneMatchHolds } from './caching.ts';
import type { Form } from './rendering.ts';

/**
 * What each open read says besides its own fields: that it is data, whatever a browser makes of it, and
 * that any page may read it. Few, as they are most of what a cached reply costs.
 */
const OPEN_FIELDS = [
  'x-content-type-options',
  'nosniff',
  'access-control-allow-origin',
  '*',
  'access-control-expose-headers',
  'ETag, Link, Location, Retry-After, X-Request-Id',
];

/**
 * Sends a rendered reply, or 304 where the client has this very form of it. It goes straight to the
 * socket, past the hooks, whose headers are the same for each read; where reads need a key they differ
 * by origin, and are sent as they were set.
 */
export function sendForm(
  request: FastifyRequest,
  reply: FastifyReply,
  form: Form,
  isKeyed: boolean,
): void {
  const isKnown = noneMatchHolds(request.raw.headers['if-none-match'], form.etag);
  const own = isKnown ? form.unmodifiedFields : form.fields;
  const fields = isKeyed
    ? merged(reply.getHeaders(), own)
    : OPEN_FIELDS.concat(own, 'x-request-id', request.id);
  reply.hijack();
  const response = reply.raw;
  // What helmet put there already; kept replies are sent before it looks.
  if (!isKeyed) for (const name of response.getHeaderNames()) response.removeHeader(name);
  stayOpenSilently(response);
  response.writeHead(isKnown ? 304 : 200, fields);
  if (isKnown || request.raw.method === 'HEAD') response.end();
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
