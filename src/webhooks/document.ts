import { z } from 'zod';
import type { OpenAPIV3_1 } from 'openapi-types';
import { DELIVERED_KINDS, type DeliveredKind } from '../domain/events.ts';
import { deliveryOf, EVENT_DELIVERIES } from '../api/schemas/events.ts';

const SUMMARIES: Record<DeliveredKind, string> = {
  'outlook.created': 'An outlook was created',
  'outlook.version.published': 'A version was published',
  'outlook.state.changed': 'The status or the review of an outlook changed',
  'outlook.review.due': 'A review is due',
  'outlook.horizon.ended': 'A horizon is over',
  'outlook.resolved': 'An outlook was resolved',
  'outlook.resolution.contradicted': 'Closes contradict a resolution, or no longer do',
  'outlook.reopened': 'A resolution was taken back',
  'outlook.disclosed': 'An internal outlook became public',
  'evidence.added': 'Evidence was added',
  'condition.triggered': 'A condition was triggered',
  'condition.cleared': 'A condition was cleared',
  'condition.expired': 'A condition expired',
  'drawdown.label.changed': 'The drawdown label changed',
  'view.published': 'An analyst recorded a view',
  'view.withdrawn': 'An analyst withdrew a view',
  'proposal.approved': 'An analyst approved a proposal',
  'proposal.commented': 'An analyst commented on a proposal',
  'proposal.discarded': 'A proposal was discarded',
  'proposal.edited': 'A proposal has another draft',
  'proposal.opened': 'A proposal was opened',
  'proposal.published': 'A proposal was published',
  'proposal.returned': 'A proposal was returned',
  'proposal.submitted': 'A proposal was submitted for approval',
};

const TEST = deliveryOf(
  'webhook.test',
  z
    .object({ webhook: z.uuid().meta({ description: 'The id of the webhook.' }) })
    .meta({ id: 'WebhookTestEventData', description: 'The webhook that is tested.' }),
);

const header = (name: string, description: string, example: string) => ({
  name,
  in: 'header' as const,
  required: true,
  description,
  schema: { type: 'string' as const },
  example,
});

const HEADERS = [
  header(
    'webhook-id',
    'The id of the delivery, the same at each attempt. Use it to drop duplicates.',
    '0e7b0b1e-7d0c-4a52-8c3f-2f6f0e4f8f53',
  ),
  header(
    'webhook-timestamp',
    'When this attempt was made, in seconds since 1970. Refuse an old one, because it may be a replay.',
    '1795192260',
  ),
  header(
    'webhook-signature',
    'Signatures, separated by spaces: `v1,` and the base64 of HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` with the secret. There are two while a secret is replaced.',
    'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
  ),
];

const DESCRIPTION =
  'Signed as [Standard Webhooks](https://www.standardwebhooks.com) says; its libraries verify it. Answer 2xx within 15 seconds. The events of an outlook arrive in order, each at least once, and so do those of a proposal. A webhook with the format `slack` or `teams` gets a message for the chat instead.';

/** The `webhooks` section of the OpenAPI document: what the service posts to the address of a webhook. */
export const WEBHOOKS: NonNullable<OpenAPIV3_1.Document['webhooks']> = Object.fromEntries([
  ...DELIVERED_KINDS.map((kind) => [
    kind,
    delivered(kind, SUMMARIES[kind], EVENT_DELIVERIES.get(kind)),
  ]),
  ['webhook.test', delivered('webhook.test', 'An admin sent a test', TEST)],
]);

function delivered(
  kind: string,
  summary: string,
  schema: z.ZodType | undefined,
): OpenAPIV3_1.PathItemObject {
  const $ref = `#/components/schemas/${schema?.meta()?.id}`;
  const operationId = `receive${kind.replace(/(?:^|\.)(.)/g, (_, letter: string) => letter.toUpperCase())}`;
  return {
    post: {
      operationId,
      tags: ['Webhooks'],
      summary,
      description: DESCRIPTION,
      security: [],
      parameters: HEADERS,
      requestBody: { required: true, content: { 'application/json': { schema: { $ref } } } },
      responses: {
        '2XX': { description: 'The event was received. It is not sent again.' },
        '410': { description: 'Disables the webhook.' },
        default: { description: 'The delivery failed, and is attempted again later.' },
      },
    },
  };
}
