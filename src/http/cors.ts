import type { FastifyCorsOptions } from '@fastify/cors';
import type { FastifyRequest } from 'fastify';
import { EXPOSED_HEADERS } from './response-headers.ts';

/** For how long browsers remember a preflight, in seconds: as long as a changed list of origins may take to apply. */
const REMEMBER_PREFLIGHTS = 600;

/**
 * The fields that pages of any origin may send with a read. The W3C's trace context and baggage come from tracing in
 * browsers, Cache-Control and Pragma from clients that read around caches and from stream clients.
 */
const READ_FIELDS = [
  'Baggage',
  'Cache-Control',
  'If-None-Match',
  'Last-Event-ID',
  'Pragma',
  'Traceparent',
  'Tracestate',
  'X-Request-Id',
];

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
    allowedHeaders: READ_FIELDS,
    exposedHeaders,
    maxAge: REMEMBER_PREFLIGHTS,
  };
  const trusted = {
    origin: [...config.corsOrigins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      'Authorization',
      'Content-Type',
      'Idempotency-Key',
      'If-Match',
      ...READ_FIELDS,
    ],
    exposedHeaders,
    maxAge: REMEMBER_PREFLIGHTS,
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
