import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { stdSerializers } from 'pino';
import { whenFinished } from './when-finished.ts';

/** Removes API keys from a text, wherever a client put them. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/olk_[\w-]+/g, 'olk_…');
}

/** How the log writes requests and errors: never with a key, wherever a client put it. */
export const LOG_SERIALIZERS = {
  req: ({ method, url, ip }: FastifyRequest) => ({
    method,
    url: withoutKeys(url),
    ip,
  }),
  err: (error: Error & { client?: unknown }) => {
    // pg's pool attaches the broken client to the error, with the secret that can cancel its queries.
    const { client: _, ...serialized } = stdSerializers.err(error);
    return serialized;
  },
};

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
