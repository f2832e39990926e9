import type { FastifyRequest } from 'fastify';
import { stdSerializers } from 'pino';

/** What requests and errors are to the log: never a key, wherever a client put it. */
export const LOG_SERIALIZERS = {
  req: ({ method, url, ip }: FastifyRequest) => ({
    method,
    url: url.replaceAll(/olk_[\w-]+/g, 'olk_…'),
    ip,
  }),
  err: (error: Error & { client?: unknown }) => {
    // pg's pool hangs the broken client on the error, with what could cancel its queries.
    const { client: _, ...told } = stdSerializers.err(error);
    return told;
  },
};
