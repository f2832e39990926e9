import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { stdSerializers } from 'pino';
import { whenFinished } from './when-finished.ts';

// Keys, secrets of webhooks, and tokens (JWT). What follows may be percent-encoded, to any depth. The first four characters
// of a key are its hint, which is no secret.
const BYTE = String.raw`%(?:25)*[\da-f]{2}`;
const SECRETS = new RegExp(
  String.raw`(olk_)(?:[\w-]|${BYTE}){5,}|(whsec_)(?:[\w\-+/=]|${BYTE}){5,}|(?<![\w-])(eyj)[\w-]{8,}(?:\.|%(?:25)*2e)[\w.%-]*`,
  'gi',
);

/**
 * Replaces keys, secrets of webhooks and tokens in a text, wherever a client put them. A text that shows one only after
 * percent-decoding, however often, is returned decoded.
 */
export function withoutSecrets(text: string): string {
  const plain = redacted(text);
  if (!plain.includes('%')) return plain;
  const decoded = decodedAscii(plain);
  if (decoded === null) return `${plain.split('%', 1)[0]}…`;
  const safe = redacted(decoded);
  return safe === decoded ? plain : safe;
}

function redacted(text: string): string {
  return text.replaceAll(
    SECRETS,
    (_, key?: string, secret?: string, token?: string) => `${key ?? secret ?? token}…`,
  );
}

/** How often a text is decoded at most. */
const MOST_DECODED = 8;

/** Decodes percent-encoded printable ASCII until none is left, and nothing else; null if that takes too many rounds. */
function decodedAscii(text: string): string | null {
  let decoded = text;
  for (let turn = 0; turn < MOST_DECODED; turn += 1) {
    const next = decoded
      .replaceAll(/%(?:25)+/g, '%')
      .replaceAll(/%([2-7][\da-f])/gi, (whole, hex: string) =>
        hex.toLowerCase() === '7f' ? whole : String.fromCharCode(Number.parseInt(hex, 16)),
      );
    if (next === decoded) return decoded;
    decoded = next;
  }
  return null;
}

/** How the log writes requests and errors: without secrets, and without the values that a client sent. */
export const LOG_SERIALIZERS = {
  req: ({ method, url, ip }: FastifyRequest) => ({
    method,
    url: withoutSecrets(url),
    ip: withoutSecrets(ip ?? ''), // the connection may be closed
  }),
  err: (error: unknown) =>
    error instanceof Error ? loggedError(stdSerializers.err(error)) : withoutSecrets(String(error)),
};

type Logged = { type: string; message: string; stack: string };

/**
 * The members of an error that help to find its cause. Others may quote values: an error of PostgreSQL has `detail` and
 * `where`, and the pool attaches the broken client, with the secret that can cancel its queries.
 */
function loggedError({ type, message, stack, ...more }: ReturnType<typeof stdSerializers.err>) {
  const known = Object.entries(more).filter(([name]) => LOGGED.has(name));
  const errors = more['aggregateErrors'] as readonly Logged[] | undefined;
  return {
    type,
    message: withoutSecrets(message),
    stack: withoutSecrets(stack),
    ...Object.fromEntries(known),
    ...(errors && {
      aggregateErrors: errors.map((one) => ({
        type: one.type,
        message: withoutSecrets(one.message),
        stack: withoutSecrets(one.stack),
      })),
    }),
  };
}

const LOGGED = new Set(
  'code errno syscall address port severity schema table column constraint routine statusCode'.split(
    ' ',
  ),
);

/**
 * Logs one line for each response: writes and refusals at `info`, successful reads at `debug`, because
 * they are many and a line costs more than a cached response. A write has a line also if its connection closed before
 * the response: it may have been carried out.
 */
export function logRequests(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      whenFinished(request, reply, () => logUnanswered(request, reply));
    }
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const level = isRead && reply.statusCode < 400 ? 'debug' : 'info';
    const { id: reqId, log } = request;
    log[level]({ reqId, req: request, res: reply, responseTime: reply.elapsedTime }, 'answered');
    done();
  });
}

function logUnanswered(request: FastifyRequest, { raw }: FastifyReply): void {
  if (raw.writableFinished) return;
  const { id: reqId, log } = request;
  log.info({ reqId, req: request }, 'the connection closed before the response');
}

/** The client's request id if it is fit for a log line and a header and holds no secret, else one of our own. */
export function requestId(request: {
  headers: Record<string, string | string[] | undefined>;
}): string {
  const sent = request.headers['x-request-id'];
  const isFit = typeof sent === 'string' && /^[\w.:-]{1,100}$/.test(sent);
  return isFit && withoutSecrets(sent) === sent ? sent : randomUUID();
}
