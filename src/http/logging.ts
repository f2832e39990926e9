import type { FastifyInstance, FastifyRequest } from 'fastify';
import { stdSerializers } from 'pino';

/** A text without the keys in it, wherever a client put them. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/olk_[\w-]+/g, 'olk_…');
}

/** What requests and errors are to the log: never a key, wherever a client put it. */
export const LOG_SERIALIZERS = {
  req: ({ method, url, ip }: FastifyRequest) => ({
    method,
    url: withoutKeys(url),
    ip,
  }),
  err: (error: Error & { client?: unknown }) => {
    // pg's pool hangs the broken client on the error, with what could cancel its queries.
    const { client: _, ...serialized } = stdSerializers.err(error);
    return serialized;
  },
};

/**
 * A line a request, once it was answered: writes and refusals at `info`, reads that were answered at
 * `debug`, as they are many and a line costs more than a cached answer.
 */
export function logRequests(app: FastifyInstance): void {
  app.addHook('onResponse', (request, reply, done) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const level = isRead && reply.statusCode < 400 ? 'debug' : 'info';
    const { id: reqId, log } = request;
    log[level]({ reqId, req: request, res: reply, responseTime: reply.elapsedTime }, 'answered');
    done();
  });
}
