import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import helmet from 'helmet';

type Headers = Readonly<Record<string, string>>;

/** Response headers that pages of other origins may read. */
export const EXPOSED_HEADERS = [
  'Age',
  'Cache-Status',
  'Content-Disposition',
  'ETag',
  'Link',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'X-Request-Id',
];

/**
 * Which response gets which headers, besides `X-Request-Id` and those of its content. The hooks below set them; cached
 * responses skip the hooks and take them from here as well. A cached 304 goes without those of every response: clients keep
 * them with the response that they have (RFC 9110, 15.4.5).
 */
export const RESPONSE_HEADERS = {
  /** Every response. Pages and pictures replace the policy by one of their own. */
  every: helmetHeaders({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // Any page may embed responses; CORS decides what its scripts may read.
    crossOriginResourcePolicy: { policy: 'cross-origin' as const },
    // See `overTls` below.
    strictTransportSecurity: false,
    // Obsolete, or covered by the policy above.
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xFrameOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  }),
  /** Responses over TLS: browsers use only TLS for a year. */
  overTls: { 'strict-transport-security': 'max-age=31536000' },
  /** Public reads, for pages of other origins. Whatever is not cached gets them from the CORS plugin. */
  crossOriginReads: {
    'access-control-allow-origin': '*',
    'access-control-expose-headers': EXPOSED_HEADERS.join(', '),
  },
} as const satisfies Record<string, Headers>;

/** Sets the headers of {@link RESPONSE_HEADERS} on whatever is not answered from the cache. */
export function setResponseHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).headers(RESPONSE_HEADERS.every);
    if (request.protocol === 'https') reply.headers(RESPONSE_HEADERS.overTls);
  });
}

/**
 * The headers of a cached response to a public read that depend on the request: alternately names and values, as
 * `writeHead` takes them.
 */
export function requestFields(request: FastifyRequest): string[] {
  const isCrossOrigin = request.raw.headers.origin !== undefined;
  const isOverTls = request.protocol === 'https';
  const fields = ['x-request-id', request.id];
  if (isCrossOrigin) fields.push(...CROSS_ORIGIN_FIELDS);
  if (isOverTls) fields.push(...TLS_FIELDS);
  return fields;
}

const CROSS_ORIGIN_FIELDS = Object.entries(RESPONSE_HEADERS.crossOriginReads).flat();
const TLS_FIELDS = Object.entries(RESPONSE_HEADERS.overTls).flat();

/** What helmet sets for options that are the same for every response. */
function helmetHeaders(options: Parameters<typeof helmet>[0]): Headers {
  const headers: Record<string, string> = {};
  const setHeader = (name: string, value: string) => void (headers[name.toLowerCase()] = value);
  const response = { setHeader, removeHeader: () => {} } as unknown as ServerResponse;
  helmet(options)({} as IncomingMessage, response, () => {});
  return headers;
}
