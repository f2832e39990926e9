// The yardstick: a bare Fastify route that sends a constant.
import fastify from 'fastify';
import { answerJobs } from './workers.ts';

export type Constant = { path: string; contentType: string; body: Uint8Array };

/** Serves a constant. Resolves to the origin of the server. */
async function serve({ path, contentType, body }: Constant): Promise<string> {
  const app = fastify();
  const bytes = Buffer.from(body);
  app.get(path.split('?', 1)[0] ?? path, (_, reply) =>
    reply.header('content-type', contentType).send(bytes),
  );
  return app.listen({ host: '127.0.0.1', port: 0 });
}

answerJobs(serve);
