import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { Problem } from './problems.ts';

/** A host and a port as RFC 3986, 3.2.2 and 3.2.3 spell them; `http` has no URL with an empty host (RFC 9110, 4.2.1). */
const HOST = /^(?:\[[\w.:%~-]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d*)?$/;

/** Fields that decide how a request is answered, and that it may have only once; by the length of their names. */
const SINGLE_FIELDS: Record<number, string> = {
  4: 'host',
  12: 'content-type',
  13: 'authorization',
  15: 'idempotency-key',
};

/** Refuses requests with header fields that HTTP forbids or that the service does not support. */
export function refuseInvalidHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => done(faultOfHeaders(request.raw)));
}

/**
 * What is wrong with the target of a request (see http/routing.ts) or with its header fields. It has to be quick, because
 * every read calls it, even a cached one.
 * @returns undefined if nothing is
 */
export function faultOfHeaders(message: IncomingMessage): Problem | undefined {
  const { headers, rawHeaders } = message;
  const { host, expect, 'transfer-encoding': coding } = headers;
  if (!message.url?.startsWith('/')) {
    return new Problem(
      'malformed-request',
      'The request target must be a path, or a URL that starts with http:// or https://.',
    );
  }
  if (host === undefined ? message.httpVersion >= '1.1' : !HOST.test(host)) {
    return new Problem('malformed-request', 'Send one Host header, with a valid host.');
  }
  const repeated = repeatedField(rawHeaders);
  if (repeated !== undefined) {
    return new Problem('malformed-request', `Send the header ${repeated} once.`);
  }
  if (expect !== undefined && !/^(?:100-continue)?$/i.test(expect)) {
    return new Problem('expectation-failed', 'The only supported expectation is 100-continue.');
  }
  if (coding !== undefined && !/^chunked$/i.test(coding)) {
    return new Problem('not-implemented', 'The only supported transfer coding is chunked.');
  }
  return undefined;
}

/** Node itself drops the second value of these fields, or joins both, so nobody would know which one counts. */
function repeatedField(rawHeaders: readonly string[]): string | undefined {
  let seen = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const single = SINGLE_FIELDS[name.length];
    if (single === undefined || name.toLowerCase() !== single) continue;
    const bit = 1 << name.length;
    if (seen & bit) return name;
    seen |= bit;
  }
  return undefined;
}
