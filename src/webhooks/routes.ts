import type { WebhookDispatcher } from './dispatcher.ts';
import { z } from 'zod';
import { deleteDeliveriesOf } from './delivery-log.ts';
import {
  changeWebhook,
  createWebhook,
  deleteWebhook,
  listWebhooks,
  readWebhook,
  rotateSecret,
  type Webhook,
} from './webhooks.ts';
import { maskedUrl, secretText } from '../domain/webhooks.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import type { AuditSubject } from '../access/audit-log.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { readJsonBodies } from '../http/json-body.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { creationPosition, listShape } from '../http/paging.ts';
import { Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { createdWebhook, newWebhook, webhook, webhookPatch } from './schemas.ts';
import { addressFault, type AddressPolicy } from '../outbound/addresses.ts';
import { deliveryRoutes } from './delivery-routes.ts';

export type WebhookDeps = WriteDeps & {
  webhooks: WebhookDispatcher;
};

const TAG = 'Webhooks';
const params = z.strictObject({ id: z.uuid({ error: 'must be the id of a webhook, a UUID' }) });
const security = [{ key: [] }];

export async function webhookRoutes(api: Api, ledger: WebhookDeps): Promise<void> {
  createRoute(api, ledger);
  listRoute(api, ledger);
  oneRoute(api, ledger);
  rotateRoute(api, ledger);
  deleteRoute(api, ledger);
  deliveryRoutes(api, ledger);
  // A scope of its own, because only this route takes merge patches, and takes nothing else.
  await api.register(async (scope) => changeRoute(scope, ledger));
}

const CREATE = `From now on, the service posts the events of \`GET /v1/events\` to \`url\`: those of public outlooks and, with a \`desk\`, those of its internal outlooks and of its proposals. It follows [Standard Webhooks](https://www.standardwebhooks.com).
With the format \`json\` the body is \`{"type": kind, "timestamp": …, "data": …}\` with the same data as event streams. The headers are \`webhook-id\` (the same for every attempt),
\`webhook-timestamp\` and \`webhook-signature\`. Libraries in many languages verify the signature with the secret, which is shown only in this response.

Each event is delivered at least once, and the events of one outlook or proposal in order: later ones wait until the receiver answers 2xx. Failed attempts are
repeated after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, and then every day; or when the receiver asks for it, by a 429 or 503 with \`Retry-After\`. A 410, or five days of failures only, disables the webhook. Missed events are stored until an admin enables it again.

With the format \`slack\` or \`teams\` the body is a message of one line, with a link, for a channel: the URL is that of an incoming webhook of Slack, or of a
workflow of Microsoft Teams. Whoever knows it can post there, so it is secret: responses show only its start and end.`;

function createRoute(api: Api, ledger: WebhookDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/webhooks',
    config: { access: 'admin' },
    schema: {
      operationId: 'createWebhook',
      tags: [TAG],
      summary: 'Add a webhook',
      description: CREATE,
      security,
      body: newWebhook,
      response: { 201: createdWebhook, ...problemResponses(400, 401, 403, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      await requireReachable(request.body.url, ledger.webhooks.addressPolicy);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: (session) => createWebhook(session, request.body, ledger.now()),
        respond: ({ webhook: created, secret }) => ({
          status: 201,
          headers: { location: `/v1/webhooks/${created.id}` },
          body: { ...represent(created), secret: secretText(secret) },
        }),
        subjectOf: ({ webhook: { id } }) => subjectOf(id, 'Added the webhook'),
        isSecret: true,
      });
      return reply;
    },
  });
}

/**
 * Refuses a URL that nothing would be sent to. A name that can't be looked up now is taken: it is looked up anew at each
 * attempt.
 * @throws Problem `invalid-request`
 */
async function requireReachable(url: string, addressPolicy: AddressPolicy): Promise<void> {
  const detail = await addressFault(new URL(url), addressPolicy);
  if (detail === null) return;
  throw new Problem(
    'invalid-request',
    'The service may not send to this URL. Nothing was stored.',
    {
      errors: [{ pointer: '/url', detail }],
    },
  );
}

function listRoute(api: Api, { pool }: WebhookDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/webhooks',
    config: { access: 'admin', serves: LIST_TYPES },
    schema: {
      operationId: 'listWebhooks',
      tags: [TAG],
      summary: 'List webhooks',
      description: 'Newest first, including disabled webhooks.',
      security,
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(webhook), ...problemResponses(401, 403, 422) },
    },
    handler: async (request, reply) => {
      const reads = keysetReads(request.query, {
        cursorScope: 'webhooks',
        position: creationPosition,
        fetch: (after, limit) => listWebhooks(pool, { after, limit }),
        positionOf: ({ createdAt, id }) => ({ createdAt, id }),
        represent,
      });
      forbidStoring(reply);
      return sendList(request, reply, null, reads, webhook);
    },
  });
}

function oneRoute(api: Api, { pool }: WebhookDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/webhooks/:id',
    config: { access: 'admin' },
    schema: {
      operationId: 'getWebhook',
      tags: [TAG],
      summary: 'Read a webhook',
      description: 'Its URL, its filters and whether it is enabled. The secret is not shown.',
      security,
      params,
      response: { 200: webhook, ...problemResponses(401, 403, 404, 422) },
    },
    handler: async (request, reply) => {
      const found = await readWebhook(pool, request.params.id);
      forbidStoring(reply);
      return reply.send(represent(found));
    },
  });
}

function changeRoute(api: Api, ledger: WebhookDeps): void {
  readJsonBodies(api, 'application/merge-patch+json');
  api.route({
    method: 'PATCH',
    url: '/v1/webhooks/:id',
    config: { access: 'admin' },
    schema: {
      operationId: 'changeWebhook',
      tags: [TAG],
      summary: 'Change, disable or enable a webhook',
      description:
        'A merge patch (RFC 7396). The desk and the format never change. A change of `kinds` applies to events that have no delivery yet. A change of `url` applies to every delivery that has not succeeded yet.',
      security,
      params,
      consumes: ['application/merge-patch+json'],
      body: webhookPatch,
      response: { 200: webhook, ...problemResponses(400, 401, 403, 404, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      if (request.body.url !== undefined)
        await requireReachable(request.body.url, ledger.webhooks.addressPolicy);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: (session) => changeWebhook(session, id, request.body, ledger.now()),
        respond: (changed) => ({ status: 200, body: represent(changed) }),
        subjectOf: () => subjectOf(id, `Changed ${Object.keys(request.body).join(', ')}`),
        afterCommit: () => ledger.webhooks.wake(),
      });
      return reply;
    },
  });
}

function rotateRoute(api: Api, ledger: WebhookDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/webhooks/:id/secret',
    config: { access: 'admin' },
    schema: {
      operationId: 'rotateWebhookSecret',
      tags: [TAG],
      summary: 'Rotate the secret of a webhook',
      description:
        'The new secret is shown only in this response. For 24 hours, deliveries are also signed with the previous secret, so that the receiver can switch over.',
      security,
      params,
      response: { 200: createdWebhook, ...problemResponses(400, 401, 403, 404, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const secret = await rotateSecret(session, id, ledger.now());
          return { webhook: await readWebhook(session, id), secret };
        },
        respond: ({ webhook: rotated, secret }) => ({
          status: 200,
          body: { ...represent(rotated), secret: secretText(secret) },
        }),
        subjectOf: () => subjectOf(id, 'Rotated the secret'),
        isSecret: true,
      });
      return reply;
    },
  });
}

function deleteRoute(api: Api, ledger: WebhookDeps): void {
  api.route({
    method: 'DELETE',
    url: '/v1/webhooks/:id',
    config: { access: 'admin' },
    schema: {
      operationId: 'deleteWebhook',
      tags: [TAG],
      summary: 'Delete a webhook',
      description:
        'No further attempts start, and the deliveries are deleted with the webhook. To pause deliveries, disable the webhook instead.',
      security,
      params,
      response: { 204: z.null(), ...problemResponses(400, 401, 403, 404, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      await deleteDeliveriesOf(ledger.pool, id);
      await runWrite(request, reply, ledger, {
        work: (session) => deleteWebhook(session, id),
        respond: () => ({ status: 204, body: null }),
        subjectOf: () => subjectOf(id, 'Deleted the webhook'),
        ignoresKey: true,
      });
      return reply;
    },
  });
}

function subjectOf(id: string, summary: string): AuditSubject {
  return { subject: `/v1/webhooks/${id}`, summary };
}

function represent(known: Webhook): z.output<typeof webhook> {
  const { url, createdAt, failingSince, disabledAt, disabledReason, previousSecretUntil, ...rest } =
    known;
  const isDisabled = disabledAt !== null && disabledReason !== null;
  return {
    ...rest,
    url: rest.format === 'json' ? url : maskedUrl(url),
    createdAt: createdAt.toISOString(),
    failingSince: failingSince?.toISOString() ?? null,
    disabled: isDisabled ? { at: disabledAt.toISOString(), reason: disabledReason } : null,
    previousSecretUntil: previousSecretUntil?.toISOString() ?? null,
  };
}
