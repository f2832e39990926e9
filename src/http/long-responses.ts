import { once } from 'node:events';
import type { OutgoingHttpHeaders } from 'node:http';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { constants, createBrotliCompress, createGzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readLedgerState } from '../postgres/ledger-state.ts';
import type { Session } from '../postgres/pool.ts';
import { addressOf } from './clients.ts';
import { digestOf, noneMatchHolds, requireExpectedETag } from './conditional-requests.ts';
import { acceptedCoding, type Coding } from './negotiation.ts';
import { Problem } from './problems.ts';
import { whenFinished } from './when-finished.ts';

/**
 * How many long responses are sent at once, and to one address. Once half of them are in use, an address gets one: a client
 * may read slowly for hours, and the addresses of a few such clients would keep all others out.
 */
const AT_ONCE = 8;
const AT_ONCE_TO_ADDRESS = 4;
/** How long a client may leave a part unread before its response ends, in milliseconds. */
const READ_WITHIN = 30_000;
/** How many characters are written at once; a part of the body may have more. */
const WRITE_SIZE = 65_536;

/** The addresses that long responses are being sent to; once for each response. */
const sending: string[] = [];

/** A body of any length. */
export type LongBody = {
  /** Reads it part by part. No query may be open between two. */
  parts: AsyncGenerator<string, void>;
  /** The headers of its content. */
  headers: Readonly<Record<string, string>>;
  /**
   * Names the content in a weak ETag: two bodies with the same digest may differ by what changed while they were read. Null
   * without an ETag.
   */
  digest: string | null;
};

/**
 * Sends a body of any length in the memory of a few of its parts: it reads the next part once the client has read most of
 * those before. A client that reads nothing for {@link READ_WITHIN} loses its connection. If a part can't be read, the
 * connection breaks off, so that the client does not take what it has for the whole.
 * @throws Problem `rate-limited` or `overloaded` if too many long responses are being sent
 */
export async function sendLongBody(
  request: FastifyRequest,
  reply: FastifyReply,
  { parts, headers, digest }: LongBody,
): Promise<FastifyReply> {
  if (isKnown(request, digest)) return sendNotModified(request, reply, digest);
  if (request.method !== 'HEAD') admit(request, reply);
  // An error of the first part is still answered with a problem.
  const first = await parts.next();
  const { coding } = acceptedCoding(request);
  addVary(reply, 'Accept-Encoding');
  reply.headers(headers);
  if (digest !== null) reply.header('etag', longETag(digest, coding));
  if (coding !== 'identity') reply.header('content-encoding', coding);
  request.work?.continueAsLong();
  reply.hijack();
  reply.raw.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders);
  if (request.method === 'HEAD') reply.raw.end();
  else await writeOrBreakOff(request, reply, withFirst(first, parts), coding);
  await parts.return();
  return reply;
}

/**
 * Whether the client has the content already.
 * @throws Problem `precondition-failed` if If-Match names another ETag
 */
export function isKnown(request: FastifyRequest, digest: string | null): boolean {
  // A weak ETag, or none, meets If-Match only as `*`.
  requireExpectedETag(request, digest === null ? null : longETag(digest, 'identity'));
  const known = request.headers['if-none-match'];
  const { coding } = acceptedCoding(request);
  return digest !== null && noneMatchHolds(known, longETag(digest, coding));
}

/** Answers 304 to a client that has the content. */
export function sendNotModified(
  request: FastifyRequest,
  reply: FastifyReply,
  digest: string | null,
): FastifyReply {
  const { coding } = acceptedCoding(request);
  addVary(reply, 'Accept-Encoding');
  return reply
    .code(304)
    .header('etag', longETag(digest ?? '', coding))
    .send();
}

/**
 * The digest of a response that is longer than can be read before it is sent: of what it is, and of the state of the ledger.
 * Call it before the first part is read, so that whatever changes meanwhile changes the next digest.
 */
export async function digestNow(session: Session, content: string): Promise<string> {
  return digestOf(`${content} ${await readLedgerState(session)}`);
}

function longETag(digest: string, coding: Coding): string {
  return coding === 'identity' ? `W/"${digest}"` : `W/"${digest}-${coding}"`;
}

/** Adds a field to `Vary`, which the CORS plugin has set for pages of other origins. */
export function addVary(reply: FastifyReply, field: string): void {
  const known = [reply.getHeader('vary') ?? []].flat().join(', ');
  if (known.split(', ').includes(field)) return;
  reply.header('vary', known === '' ? field : `${field}, ${known}`);
}

function admit(request: FastifyRequest, reply: FastifyReply): void {
  const address = addressOf(request);
  const headers = { 'retry-after': '5' };
  const ofAddress = sending.filter((one) => one === address).length;
  const most = sending.length < AT_ONCE / 2 ? AT_ONCE_TO_ADDRESS : 1;
  if (ofAddress >= most) {
    const detail = `Your address is reading ${ofAddress} long responses; wait until one is complete.`;
    throw new Problem('rate-limited', detail, { headers });
  }
  if (sending.length >= AT_ONCE) {
    const detail = 'The service is sending as many long responses as it can.';
    throw new Problem('overloaded', detail, { headers });
  }
  sending.push(address);
  whenFinished(request, reply, () => sending.splice(sending.indexOf(address), 1));
}

async function* withFirst(
  first: IteratorResult<string, void>,
  rest: AsyncIterable<string>,
): AsyncGenerator<string, void> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

class ClientGone extends Error {}

async function writeOrBreakOff(
  request: FastifyRequest,
  reply: FastifyReply,
  parts: AsyncIterable<string>,
  coding: Coding,
): Promise<void> {
  try {
    await writeParts(request, reply, parts, coding);
  } catch (error) {
    breakOff(reply);
    const level = error instanceof ClientGone ? 'debug' : 'warn';
    request.log[level]({ reqId: request.id, err: error }, 'a long response broke off');
  }
}

async function writeParts(
  request: FastifyRequest,
  reply: FastifyReply,
  parts: AsyncIterable<string>,
  coding: Coding,
): Promise<void> {
  const gone = new AbortController();
  whenFinished(request, reply, () => gone.abort());
  const out = encoderTo(reply.raw, coding);
  let text = '';
  for await (const part of parts) {
    if (gone.signal.aborted) throw new ClientGone('the client closed the connection');
    text += part;
    if (text.length >= WRITE_SIZE) {
      await write(out, text, gone);
      text = '';
    }
    await withinBudget(request, gone.signal);
  }
  if (text !== '') await write(out, text, gone);
  out.end();
}

/** What compresses a body into a response; the response itself for the identity. */
function encoderTo(response: Writable, coding: Coding): Writable {
  if (coding === 'identity') return response;
  const encoder =
    coding === 'gzip'
      ? createGzip()
      : // As for cached bodies (http/response-cache/encoded-body.ts).
        createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
  response.once('close', () => encoder.destroy());
  encoder.pipe(response);
  return encoder;
}

async function write(out: Writable, text: string, gone: AbortController): Promise<void> {
  if (out.write(text) || gone.signal.aborted) return;
  const timer = setTimeout(() => gone.abort(), READ_WITHIN);
  try {
    await once(out, 'drain', { signal: gone.signal });
  } catch {
    throw new ClientGone(`the client left a part unread for ${READ_WITHIN / 1000} s, or is gone`);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits while the client is beyond its budget, so that a long response leaves others their share. */
async function withinBudget({ work }: FastifyRequest, signal: AbortSignal): Promise<void> {
  const seconds = work?.client.work.recoverySeconds ?? 0;
  if (seconds > 0 && !signal.aborted) {
    await delay(Math.min(1_000, 1_000 * seconds), undefined, { signal }).catch(() => {});
  }
}

/** Resets the connection: only so does a client of HTTP/1.0, as proxies often are, learn that the body is incomplete. */
function breakOff({ raw }: FastifyReply): void {
  const { socket } = raw;
  if (socket && raw.req.httpVersionMinor === 0) {
    // Node.js would end the connection first, as after a whole body.
    socket.destroySoon = () => socket.destroy();
    socket.resetAndDestroy();
  }
  raw.destroy();
}
