import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { digestOf, noneMatchHolds, requireExpectedETag } from './conditional-requests.ts';
import { addVary } from './long-responses.ts';
import { acceptedCoding, type Coding } from './negotiation.ts';
import { COMPRESS, WORTH_COMPRESSING } from './response-cache/encoded-body.ts';

/** Adds an ETag to every representation that is sent, and compresses reads. Answers a GET with 304 if the client has it. */
export function completeRepresentations(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    const body = typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : null;
    if (body === null || reply.statusCode === 204 || reply.statusCode >= 300) return payload;
    if (isRead(request)) return completeRead(request, reply, body);
    // Besides reads, only the response to a create, put, patch or delete is a representation.
    const isRepresentation =
      reply.statusCode === 201 || ['PATCH', 'PUT', 'DELETE'].includes(request.method);
    if (isRepresentation && !reply.hasHeader('etag')) reply.header('etag', `"${digestOf(body)}"`);
    return payload;
  });
}

/** Completes whole files as well, which their plugin sends as streams. It must not send large ones. */
export function completeFiles(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (reply.statusCode !== 200 || !isRead(request) || !isStream(payload)) return payload;
    const body = await buffer(payload);
    return completeRead(request, reply, body);
  });
}

const isRead = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';
const isStream = (payload: unknown): payload is Readable =>
  typeof (payload as Readable | null)?.pipe === 'function';

/** Compressed bodies by their coding and digest. Documents are read often, and others by those who poll. */
const compressed = new LRUCache<string, Buffer>({
  maxSize: 4 * 2 ** 20,
  sizeCalculation: (bytes) => bytes.length + 200,
});

/** @throws Problem `precondition-failed` or `weak-etag` if If-Match does not name the ETag of the body */
async function completeRead(
  request: FastifyRequest,
  reply: FastifyReply,
  body: string | Buffer,
): Promise<string | Buffer | null> {
  const coding = codingOf(request, reply, body);
  const digest = digestOf(body);
  const plain = String(reply.getHeader('etag') ?? `"${digest}"`);
  const etag = coding === 'identity' ? plain : `${plain.slice(0, -1)}-${coding}"`;
  reply.header('etag', etag);
  requireExpectedETag(request, etag);
  if (noneMatchHolds(request.headers['if-none-match'], etag)) {
    reply.code(304).removeHeader('content-type').removeHeader('content-length');
    // For HEAD, Fastify needs the body for Content-Length and then leaves it out.
    return request.method === 'HEAD' ? body : null;
  }
  if (coding === 'identity') return body;
  const key = `${coding} ${digest}`;
  const bytes = compressed.get(key) ?? (await COMPRESS[coding](Buffer.from(body as string)));
  compressed.set(key, bytes);
  reply.header('content-encoding', coding).removeHeader('content-length');
  return bytes;
}

const COMPRESSIBLE = /^(?:text\/|image\/svg|application\/(?:json|\w+\+json|xml|javascript))/;

/** The coding to send a body in. Adds `Vary` if another client might get another one. */
function codingOf(request: FastifyRequest, reply: FastifyReply, body: string | Buffer): Coding {
  const type = String(reply.getHeader('content-type') ?? '');
  if (reply.hasHeader('content-encoding') || !COMPRESSIBLE.test(type)) return 'identity';
  addVary(reply, 'Accept-Encoding');
  const { coding, refusesIdentity } = acceptedCoding(request);
  return body.length >= WORTH_COMPRESSING || refusesIdentity ? coding : 'identity';
}
