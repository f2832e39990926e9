import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { acceptableTypes, ONLY_JSON } from './negotiation.ts';
import { Problem } from './problems.ts';
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

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

/**
 * Makes every URL of `app` answer the methods that it does not support: OPTIONS with `Allow`, the
 * others with 405.
 * @returns a function to call once all routes are registered
 */
export function refuseOtherMethods(app: FastifyInstance): () => void {
  const methodsOf = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methodsOf.get(url) ?? new Set();
    for (const name of [method].flat()) known.add(name);
    methodsOf.set(url, known);
  });
  return () => {
    for (const [url, known] of methodsOf) {
      const allow = [...known, 'OPTIONS'].join(', ');
      app.route({
        method: METHODS.filter((name) => !known.has(name)),
        url,
        schema: { hide: true },
        config: { access: 'public' },
        // Before the body is read, because a faulty body must not hide the 405.
        onRequest: async (request, reply) => {
          reply.header('allow', allow);
          if (request.method === 'OPTIONS') return reply.code(204).send();
          throw new Problem(
            'method-not-allowed',
            `${request.method} is not allowed here; use ${allow}.`,
          );
        },
        handler: async () => undefined,
      });
    }
  };
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The media types of the route; only JSON if not given. */
    serves?: readonly string[];
  }
}

/** Refuses a request whose `Accept` header excludes all media types of its route. */
export function refuseOtherMediaTypes(app: FastifyInstance): void {
  app.addHook('onRequest', async (request) => {
    if (request.headers.accept === undefined) return;
    const { serves = ONLY_JSON } = request.routeOptions.config;
    // A format in the URL overrides the header, which a link or a spreadsheet can't set.
    if (serves.length > 1 && 'format' in (request.query as object)) return;
    if (request.accepts().type([...acceptableTypes(serves), 'application/problem+json'])) return;
    throw new Problem('not-acceptable', `This URL is available as ${serves.join(' or ')}.`);
  });
}
