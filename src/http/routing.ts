import type { IncomingMessage } from 'node:http';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyRequest,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ONLY_JSON, preferredType } from './negotiation.ts';
import { pathOf, Problem } from './problems.ts';
import { problemDocument } from './problem-schemas.ts';

/** A Fastify instance whose routes are typed by their zod schemas. */
export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

const problem = { content: { 'application/problem+json': { schema: problemDocument } } };

/** The response schemas of the error statuses of a route. */
export function problemResponses<Status extends number>(
  ...statuses: Status[]
): Record<Status, typeof problem> {
  return Object.fromEntries(statuses.map((status) => [status, problem])) as Record<
    Status,
    typeof problem
  >;
}

/** Makes routes that declare no query parameters refuse all of them by name, as other routes refuse unknown ones. */
export function refuseUnknownQueries(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    route.schema = {
      ...route.schema,
      querystring: route.schema?.querystring ?? z.strictObject({}),
    };
  });
}

/** The methods that routes have, besides OPTIONS. Every other method is refused. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** The target of `OPTIONS *`, which asks about the service as a whole, as a path (RFC 9112, 3.2.4). */
const WHOLE_SERVICE = '/*';

/**
 * The target of a request as a path with its query. A client may also send a whole URL (RFC 9112, 3.2.2): its scheme and
 * authority are left out, so that whatever reads the target sees the same path.
 */
export function pathOfTarget({ method, url = '/' }: IncomingMessage): string {
  if (url.startsWith('/')) return url;
  if (url === '*' && method === 'OPTIONS') return WHOLE_SERVICE;
  const path = url.replace(/^https?:\/\/[^/?#]*/i, '');
  return path === url || path.startsWith('/') ? path : `/${path}`;
}

/**
 * Answers the requests that no route takes: OPTIONS with `Allow`, another method of a known path with 405, and an unknown
 * path with 404. It does so before bodies are read, because a faulty body must not hide the reason.
 */
export function refuseUnrouted(app: FastifyInstance): void {
  const isTaken = (method: string, url: string): boolean => {
    const route = app.findRoute({ method, url });
    return route !== null && !hasEmptyParameter(route.params);
  };
  app.addHook('onRequest', async (request, reply) => {
    const { url: route } = request.routeOptions;
    // `*` is what @fastify/cors registers for OPTIONS of all paths.
    if (route !== undefined && route !== '*') {
      return hasEmptyParameter(request.params) ? reply.callNotFound() : undefined;
    }
    const url = pathOf(request);
    const methods = METHODS.filter((method) => url === WHOLE_SERVICE || isTaken(method, url));
    if (methods.length === 0) throw noRoute(request);
    const allow = [...methods, 'OPTIONS'].join(', ');
    reply.header('allow', allow);
    if (request.method === 'OPTIONS') return reply.code(204).send();
    throw new Problem('method-not-allowed', `${request.method} is not allowed here; use ${allow}.`);
  });
}

/** Whether a parameter of the path is empty: the router takes `/outlooks/` for an outlook with an empty slug. */
function hasEmptyParameter(params: unknown): boolean {
  return Object.values(params as Record<string, string>).includes('');
}

/** The problem of a request that no route matches. */
export function noRoute(request: FastifyRequest): Problem {
  return new Problem('not-found', `No route matches ${request.method} ${pathOf(request)}.`);
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The media types of the route; only JSON if not given. */
    serves?: readonly string[];
  }
}

const PROBLEM_JSON = ['application/problem+json'];

/** Refuses a request whose `Accept` header excludes all media types of its route. */
export function refuseOtherMediaTypes(app: FastifyInstance): void {
  app.addHook('onRequest', async (request) => {
    const { serves = ONLY_JSON } = request.routeOptions.config;
    // A format in the URL overrides the header, which a link or a spreadsheet can't set.
    if (serves.length > 1 && 'format' in (request.query as object)) return;
    if (preferredType(request, serves) !== 'none') return;
    if (preferredType(request, PROBLEM_JSON) !== 'none') return;
    throw new Problem('not-acceptable', `This URL is available as ${serves.join(' or ')}.`);
  });
}
