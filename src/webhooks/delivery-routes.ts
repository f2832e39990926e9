import type { WebhookDispatcher } from './dispatcher.ts';
import { z } from 'zod';
import { type Delivery, listDeliveries } from './delivery-log.ts';
import { testMessageOf } from './messages.ts';
import { readReceiver, readWebhook, type Receiver } from './webhooks.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { idPosition, listShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { delivery, webhookTest } from './schemas.ts';

export type DeliveryDeps = WriteDeps & {
  webhooks: WebhookDispatcher;
};

const TAG = 'Webhooks';
const params = z.strictObject({ id: z.uuid({ error: 'must be the id of a webhook, a UUID' }) });
const security = [{ key: [] }];

export function deliveryRoutes(api: Api, ledger: DeliveryDeps): void {
  listRoute(api, ledger);
  testRoute(api, ledger);
}

function listRoute(api: Api, { pool }: DeliveryDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/webhooks/:id/deliveries',
    config: { access: 'admin', serves: LIST_TYPES },
    schema: {
      operationId: 'listWebhookDeliveries',
      tags: [TAG],
      summary: 'List the deliveries of a webhook',
      description:
        'Newest event first, with every attempt. Successful deliveries are stored for 30 days, others until they succeed.',
      security,
      params,
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(delivery), ...problemResponses(401, 403, 404, 422) },
    },
    handler: async (request, reply) => {
      const { id } = await readWebhook(pool, request.params.id);
      const reads = keysetReads(request.query, {
        cursorScope: ['deliveries', id, 'by place in the log'],
        position: idPosition,
        fetch: (before, limit) => listDeliveries(pool, id, { before, limit }),
        positionOf: ({ place }) => place,
        represent,
      });
      forbidStoring(reply);
      return sendList(request, reply, null, reads, delivery);
    },
  });
}

function represent(known: Delivery): z.output<typeof delivery> {
  const { place: _, plannedAt, deliveredAt, dueAt, attempts, ...rest } = known;
  return {
    ...rest,
    state: deliveredAt ? 'delivered' : dueAt ? 'due' : 'behind',
    plannedAt: plannedAt.toISOString(),
    deliveredAt: deliveredAt?.toISOString() ?? null,
    nextAttemptAt: dueAt?.toISOString() ?? null,
    attempts: attempts.map((attempt) => ({
      ...attempt,
      startedAt: new Date(attempt.startedAt).toISOString(),
    })),
  };
}

function testRoute(api: Api, ledger: DeliveryDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/webhooks/:id/test',
    config: { access: 'admin' },
    schema: {
      operationId: 'testWebhook',
      tags: [TAG],
      summary: 'Send a test delivery',
      description:
        'Posts `{"type": "webhook.test", "timestamp": …, "data": {"webhook": id}}`, or a message in the format of the webhook, signed like a delivery, and returns the response of the receiver. It makes one attempt, works for a disabled webhook too, and does not appear among the deliveries.',
      security,
      params,
      response: { 200: webhookTest, ...problemResponses(400, 401, 403, 404, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      const at = ledger.now();
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: (session) => readReceiver(session, id, at),
        respond: () => ({ status: 200, body: null }),
        subjectOf: () => ({ subject: `/v1/webhooks/${id}`, summary: 'Sent a test delivery' }),
        afterCommit: async (receiver) => ({
          status: 200,
          body: await sendTest(ledger.webhooks, id, receiver, at),
        }),
        ignoresKey: true,
      });
      return reply;
    },
  });
}

async function sendTest(
  webhooks: WebhookDispatcher,
  id: string,
  receiver: Receiver,
  now: Date,
): Promise<z.output<typeof webhookTest>> {
  const { format } = receiver;
  const message = testMessageOf({ id, format }, { now, publicUrl: webhooks.publicUrl });
  const {
    isGone: _,
    retryAfter: __,
    ...outcome
  } = await webhooks.send(receiver, message, now, webhooks.stopped);
  return { delivered: outcome.fault === null, ...outcome };
}
