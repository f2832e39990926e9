import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { noneMatchHolds, requireExpectedETag } from '../conditional-requests.ts';
import { requestFields } from '../response-headers.ts';
import type { EncodedBody } from './encoded-body.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whether it is answered from the cache. */
    isCached: boolean;
  }
}

/**
 * Sends a body from the cache, or 304 if the client has it already. It goes straight to the socket, because no hook has
 * anything to add to a read without a key. For one with a key, the headers that hooks set are sent, too.
 * @throws Problem `precondition-failed` if If-Match does not name the ETag of the body
 */
export function sendBody(
  request: FastifyRequest,
  reply: FastifyReply,
  body: EncodedBody,
  { withHooks }: { withHooks: boolean },
  moreFields: readonly string[] = [],
): void {
  const { headers, method } = request.raw;
  requireExpectedETag(request, body.etag);
  const isNotModified = noneMatchHolds(headers['if-none-match'], body.etag);
  const ownFields = isNotModified ? body.notModifiedFields : body.fields;
  const fields = withHooks
    ? withHookFields(reply.getHeaders(), ownFields.concat(moreFields))
    : ownFields.concat(requestFields(request), moreFields);
  reply.hijack();
  const response = reply.raw;
  omitKeepAlive(response);
  response.writeHead(isNotModified ? 304 : 200, fields);
  if (isNotModified || method === 'HEAD') response.end();
  else response.end(body.bytes);
}

/** Leaves out the Keep-Alive headers: with HTTP/1.1, a connection stays open by default. */
function omitKeepAlive(response: ServerResponse): void {
  if (response.shouldKeepAlive && response.req.httpVersionMinor === 1) {
    response.removeHeader('connection');
  }
}

/** The fields of a body and those that hooks set. The body's own win; both may add to Vary. */
function withHookFields(
  byHooks: ReturnType<FastifyReply['getHeaders']>,
  own: readonly string[],
): string[] {
  const fields = [...own];
  for (const [name, value] of Object.entries(byHooks)) {
    const at = own.indexOf(name);
    if (at === -1) fields.push(name, String(value));
    else if (name === 'vary') fields[at + 1] = `${String(value)}, ${own[at + 1]}`;
  }
  return fields;
}

/**
 * Says how many seconds ago a response was known to be current (RFC 9111, 5.1; RFC 9211).
 * @param heardAt when the ledger's events were last heard of, by `performance.now()`
 */
export function staleFields(heardAt: number): string[] {
  const age = Math.ceil((performance.now() - heardAt) / 1000);
  return ['age', String(age), 'cache-status', `outlook-ledger; hit; ttl=-${age}; detail=STALE`];
}
