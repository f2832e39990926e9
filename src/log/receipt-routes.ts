import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { authorOf } from '../access/authentication.ts';
import { forbidStoring, setFreshness } from '../http/conditional-requests.ts';
import { queryVersion, slug } from '../http/fields.ts';
import { CONTENT_TYPES, JSON_TYPE } from '../http/negotiation.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { type ReceiptDeps, readReceipt } from './receipts.ts';
import type { ReceiptSubject } from './receipt-subjects.ts';
import { receipt } from './receipt-schemas.ts';

const TAG = 'Transparency log';
const RESPONSES = { 200: receipt, ...problemResponses(404, 409, 410, 422, 503) };

const NEWEST_VIEW = z.strictObject({
  version: queryVersion.optional().meta({
    description: 'The version of the view; the newest unless given.',
  }),
});

/** Serves receipts, each to whoever may read its subject. */
export function receiptRoutes(api: Api, log: ReceiptDeps): void {
  versionRoute(api, log);
  resolutionRoute(api, log);
  evidenceRoute(api, log);
  viewRoute(api, log);
  ownViewRoute(api, log);
}

function versionRoute(api: Api, log: ReceiptDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/versions/:version/receipt',
    config: { access: 'read' },
    schema: {
      operationId: 'getVersionReceipt',
      tags: [TAG],
      summary: 'Get the receipt of a version',
      description:
        'Proves a version without this service, also years later: what was published, by whom, when, and that a signed checkpoint of the transparency log covers it. With cosignatures of witnesses it proves since when it has been on record. The receipt of a version that published a framework has its rows as well; that of a consensus, with a key, the views that it pooled. A receipt that you saved stays valid; a later one may have more cosignatures.',
      params: z.strictObject({ slug, version: queryVersion }),
      response: RESPONSES,
    },
    handler: async ({ params }, reply) => {
      const subject = { kind: 'version', ...params } as const;
      return sendReceipt(reply, log, subject, () => `v${params.version}`);
    },
  });
}

function resolutionRoute(api: Api, log: ReceiptDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/resolution/receipt',
    config: { access: 'read' },
    schema: {
      operationId: 'getResolutionReceipt',
      tags: [TAG],
      summary: 'Get the receipt of a resolution',
      description:
        'Proves a resolution, or a reopening, with the evidence that it cites. See the receipt of a version.',
      params: z.strictObject({ slug }),
      querystring: z.strictObject({
        number: queryVersion.optional().meta({
          description: 'The number of the resolution; the newest unless given.',
          examples: [1],
        }),
      }),
      response: RESPONSES,
    },
    handler: async ({ params, query }, reply) => {
      const { number = null } = query;
      const subject = { kind: 'resolution', ...params, number } as const;
      return sendReceipt(reply, log, subject, (found) => `resolution-${found}`);
    },
  });
}

function evidenceRoute(api: Api, log: ReceiptDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/evidence/:id/receipt',
    config: { access: 'read' },
    schema: {
      operationId: 'getEvidenceReceipt',
      tags: [TAG],
      summary: 'Get the receipt of an item of evidence',
      description: 'Proves an item of evidence with its claims. See the receipt of a version.',
      params: z.strictObject({ slug, id: z.uuid().toLowerCase() }),
      response: RESPONSES,
    },
    handler: async ({ params }, reply) => {
      const subject = { kind: 'evidence', ...params } as const;
      return sendReceipt(reply, log, subject, () => `evidence-${params.id}`);
    },
  });
}

function viewRoute(api: Api, log: ReceiptDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/views/:analyst/receipt',
    config: { access: 'key' },
    schema: {
      operationId: 'getViewReceipt',
      tags: [TAG],
      summary: "Get the receipt of an analyst's view",
      description:
        "Proves a version of an analyst's view, or its withdrawal. See the receipt of a version.",
      security: [{ key: [] }],
      params: z.strictObject({ slug, analyst: z.uuid().toLowerCase() }),
      querystring: NEWEST_VIEW,
      response: { ...RESPONSES, ...problemResponses(401) },
    },
    handler: async ({ params, query }, reply) => {
      const { version = null } = query;
      return sendReceipt(reply, log, { kind: 'view', ...params, version }, (found) =>
        viewName(params.analyst, found),
      );
    },
  });
}

function ownViewRoute(api: Api, log: ReceiptDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/views/me/receipt',
    config: { access: 'analyst' },
    schema: {
      operationId: 'getOwnViewReceipt',
      tags: [TAG],
      summary: 'Get the receipt of your own view',
      description:
        'Proves a version of the view of the analyst whom the key belongs to. See the receipt of a version.',
      security: [{ key: [] }],
      params: z.strictObject({ slug }),
      querystring: NEWEST_VIEW,
      response: { ...RESPONSES, ...problemResponses(401, 403) },
    },
    handler: async (request, reply) => {
      const { version = null } = request.query;
      const { id: analyst } = authorOf(request);
      const subject = { kind: 'view', ...request.params, analyst, version } as const;
      forbidStoring(reply); // whose it is, is in the key
      return sendReceipt(reply, log, subject, (found) => viewName(analyst, found));
    },
  });
}

const viewName = (analyst: string, version: number): string => `view-${analyst}-v${version}`;

/** Sends a receipt as a file. A later one may have a newer checkpoint, so caches ask again. */
async function sendReceipt(
  reply: FastifyReply,
  log: ReceiptDeps,
  subject: ReceiptSubject,
  nameOf: (number: number) => string,
): Promise<FastifyReply> {
  const found = await readReceipt(log, subject, reply.request.audience);
  if (!reply.hasHeader('cache-control')) setFreshness(reply, 'revalidate');
  const name = `${subject.slug}-${nameOf(found.number)}.receipt.json`;
  return reply
    .header('content-disposition', `attachment; filename="${name}"`)
    .type(CONTENT_TYPES[JSON_TYPE])
    .send(JSON.stringify(found.receipt));
}
