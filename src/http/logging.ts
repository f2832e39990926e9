import type { FastifyInstance, FastifyRequest } from 'fastify';
import { stdSerializers } from 'pino';

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
 * they are many and a line costs more than a cached response.
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
