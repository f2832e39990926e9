import type { FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** The body as JSON.parse read it, before the schema of its route; null unless the route keeps it. */
    sentBody: unknown;
  }
}

/** Keeps the body of a request as it was sent: the `preValidation` hook of a route whose request can become a proposal. */
export async function keepSentBody(request: FastifyRequest): Promise<void> {
  request.sentBody = request.body;
}
