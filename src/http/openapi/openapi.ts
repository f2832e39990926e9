import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import {
  createJsonSchemaTransform,
  createJsonSchemaTransformObject,
} from 'fastify-type-provider-zod';
import type { OpenAPIV3_1 } from 'openapi-types';
import { z } from 'zod';
import { setFreshness } from '../conditional-requests.ts';
import { completeFiles } from '../representations.ts';
import type { Api } from '../routing.ts';
import { MARK, tidy } from './tidy.ts';
import { API_DESCRIPTION, TAGS } from './texts.ts';

/** The server that a page of the service itself asks, whatever its name is. */
const SAME_ORIGIN = { url: '/', description: 'The service that serves this document' };

/** What the document says beside the routes. */
type Described = {
  version: string;
  publicUrl: string;
  /** What the service posts to others. Its references name schemas with an id. */
  webhooks: NonNullable<OpenAPIV3_1.Document['webhooks']>;
};

/** Collects the routes that are registered after it into the OpenAPI document. */
export async function describeRoutes(
  app: FastifyInstance,
  { version, publicUrl, webhooks }: Described,
): Promise<void> {
  const schemaRegistry = markedNames();
  const transformObject = createJsonSchemaTransformObject({ schemaRegistry });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Outlook Ledger',
        version,
        description: API_DESCRIPTION,
        contact: { name: 'The operator of this service', url: publicUrl },
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: publicUrl, description: 'Where the service is reached' }, SAME_ORIGIN],
      tags: TAGS,
      webhooks,
      components: {
        securitySchemes: {
          key: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'olk_…',
            description:
              'An API key: the analyst or admin key that the service printed on its first start, or one that an admin issued. If the service trusts an identity provider, a token (JWT) from it works as well.',
          },
        },
      },
    },
    transform: createJsonSchemaTransform({ schemaRegistry }),
    transformObject: (document) =>
      tidy(transformObject(document) as OpenAPIV3_1.Document) as never,
  });
}

/**
 * The named schemas, each with {@link MARK} after its name. fastify-type-provider-zod adds `Input` to the names of
 * requests, and refuses a schema `X` beside a schema `XInput`.
 */
function markedNames() {
  const marked: typeof z.globalRegistry = z.registry();
  marked._map = z.globalRegistry._map;
  for (const [name, schema] of z.globalRegistry._idmap) marked._idmap.set(name + MARK, schema);
  return marked;
}

/** Removes the keys that Swagger UI of an earlier release stored in the browser. */
const FORGET_KEYS = {
  filename: 'forget-keys.js',
  content: "localStorage.removeItem('authorized');\n",
};

/** Serves Swagger UI on the document. */
export async function serveSwaggerUi(app: FastifyInstance): Promise<void> {
  // Its files change with a release only, at most an hour late. The page itself names no version of them.
  app.addHook('onSend', async ({ url }, reply, payload) => {
    const isFile = url.startsWith('/docs/static/') && reply.statusCode < 400;
    if (isFile) reply.header('cache-control', 'public, max-age=3600');
    return payload;
  });
  completeFiles(app);
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // The policy of the page allows no other origin, and the page may have been reached under another name.
    transformSpecification: (document) => ({ ...document, servers: [SAME_ORIGIN] }),
    transformSpecificationClone: false,
    uiConfig: {
      // Without the bar on top, which shows Swagger's logo.
      layout: 'BaseLayout',
      deepLinking: true,
      displayRequestDuration: true,
      docExpansion: 'list',
      // Every page of this origin can read local storage, and it keeps a key for good.
      persistAuthorization: false,
      tryItOutEnabled: true,
      validatorUrl: null,
    },
    theme: { title: 'Outlook Ledger', js: [FORGET_KEYS] },
  });
}

/** Serves the document itself. */
export function documentRoute(api: Api): void {
  let document: string | undefined;
  api.route({
    method: 'GET',
    url: '/openapi.json',
    config: { access: 'public' },
    schema: { hide: true },
    handler: async (_request, reply) => {
      document ??= JSON.stringify(api.swagger());
      setFreshness(reply, 'revalidate');
      return reply.type('application/json; charset=utf-8').send(document);
    },
  });
}
