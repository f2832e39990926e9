import type { FastifyCorsOptions } from '@fastify/cors';
import type { FastifyRequest } from 'fastify';
import { EXPOSED_HEADERS } from './response-headers.ts';

/**
 * Pages of any origin may read what anyone may read. Pages of the configured origins may also write,
 * and read where reads need a key. No cookie ever grants anything, so credentials are never allowed.
 */
export function corsOf(config: { corsOrigins: readonly string[]; requireKeyForReads: boolean }) {
  const exposedHeaders = [...EXPOSED_HEADERS];
  const readers = {
    origin: '*',
    methods: ['GET', 'HEAD'],
    // Without Authorization, so that pages of any other origin can't write, whatever key they have.
    allowedHeaders: ['If-None-Match', 'Last-Event-ID', 'X-Request-Id'],
    exposedHeaders,
  };
  const trusted = {
    origin: [...config.corsOrigins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      'Authorization',
      'Content-Type',
      'Idempotency-Key',
      'If-Match',
      'If-None-Match',
      'Last-Event-ID',
      'X-Request-Id',
    ],
    exposedHeaders,
  };
  return (
    request: FastifyRequest,
    callback: (error: Error | null, options: FastifyCorsOptions) => void,
  ): void => {
    const { origin } = request.headers;
    const isTrusted = origin !== undefined && config.corsOrigins.includes(origin);
    // Any other OPTIONS asks for the allowed methods (http/routing.ts).
    const preflight = request.headers['access-control-request-method'] !== undefined;
    // Public reads get the same response from pages of every origin.
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const isOpen = !config.requireKeyForReads && (isRead || !isTrusted);
    callback(null, { ...(isOpen ? readers : trusted), preflight });
  };
}
