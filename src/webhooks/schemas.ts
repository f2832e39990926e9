import { z } from 'zod';
import { kindFaults } from './webhooks.ts';
import { DELIVERED_KINDS } from '../domain/events.ts';
import { DISABLED_REASONS, isMasked, WEBHOOK_FORMATS } from '../domain/webhooks.ts';
import { line, optionalLine, slug, timestamp, webAddress, withRule } from '../http/fields.ts';

const url = webAddress
  .refine(
    (text) => {
      if (!URL.canParse(text)) return true; // reported already
      const { username, password } = new URL(text);
      return username === '' && password === '';
    },
    { error: 'must not contain a user or password; deliveries are signed instead' },
  )
  .refine((text) => !text.includes('#'), { error: 'must not have a fragment, which is never sent' })
  .refine((text) => !isMasked(text), {
    error:
      'must be the whole URL, not the short form that responses show of a secret one; leave it out to keep the URL',
  })
  .meta({
    description:
      'The https URL, at a public address, that receives deliveries. It must answer 2xx within 15 s; redirects are not followed.',
  });

const kinds = z
  .array(z.enum(DELIVERED_KINDS, { error: `must be one of ${DELIVERED_KINDS.join(', ')}` }))
  .min(1, { error: 'must contain at least one kind; leave it out or send null for all kinds' })
  .max(DELIVERED_KINDS.length)
  .nullable()
  .meta({
    description:
      'The kinds of events to deliver. Null for all, including kinds that later releases add. Those of proposals need a `desk`.',
  });

const formatText =
  'How deliveries are written: `json`, the data of the event; `slack`, a message for an incoming webhook of Slack; `teams`, a message with an Adaptive Card for a workflow of Microsoft Teams.';
const deskText =
  'The desk whose internal outlooks and proposals the webhook receives, besides all public outlooks. Null for public outlooks only.';

export const newWebhook = withRule(
  z.strictObject({
    url,
    format: z
      .enum(WEBHOOK_FORMATS, { error: `must be one of ${WEBHOOK_FORMATS.join(', ')}` })
      .default('json')
      .meta({ description: `${formatText} It never changes.` }),
    desk: slug
      .nullable()
      .default(null)
      .meta({ description: `${deskText} It never changes.` }),
    kinds: kinds.default(null),
    outlook: slug
      .nullable()
      .default(null)
      .meta({ description: 'Deliver only events of this outlook. Null for all outlooks.' }),
    description: optionalLine,
  }),
  ({ desk, kinds: sent }) =>
    desk === undefined || sent === undefined ? [] : kindFaults({ desk, kinds: sent }),
).meta({ id: 'WebhookInput', description: 'A request for a webhook.' });

export const webhookPatch = z
  .strictObject({
    url: url.optional(),
    kinds: kinds.optional(),
    description: line.nullable().optional(),
    enabled: z.boolean().optional().meta({
      description:
        '`false` pauses deliveries and stores pending events. `true` resumes where deliveries stopped and retries failed ones immediately.',
    }),
  })
  .meta({ id: 'WebhookPatch', description: 'Changes to a webhook.' });

const shape = {
  id: z.uuid(),
  url: z.string().meta({
    description:
      'The URL that receives deliveries. That of a chat is secret, so responses shorten it: `https://hooks.slack.com/…aB3d`.',
  }),
  format: z.enum(WEBHOOK_FORMATS).meta({ description: formatText }),
  desk: slug.nullable().meta({ description: deskText }),
  kinds: z
    .array(z.enum(DELIVERED_KINDS))
    .nullable()
    .meta({ description: 'Null for all, including kinds that later releases add.' }),
  outlook: z.string().nullable().meta({ description: 'Null for all outlooks.' }),
  description: z.string().nullable(),
  createdAt: timestamp.meta({
    description: 'The webhook receives events recorded after this time.',
  }),
  failingSince: timestamp.nullable().meta({
    description: 'The start of the current run of failures. Null if the last delivery succeeded.',
  }),
  disabled: z
    .object({ at: timestamp, reason: z.enum(DISABLED_REASONS) })
    .nullable()
    .meta({
      description:
        'Null while the webhook is enabled. Reasons: `asked`, an admin disabled it; `gone`, the receiver answered 410; `failing`, every attempt failed for five days; `restored`, the ledger was restored from a backup, and the original may still be delivering.',
    }),
  previousSecretUntil: timestamp
    .nullable()
    .meta({ description: 'Until this time, deliveries are also signed with the previous secret.' }),
};

export const webhook = z
  .object(shape)
  .meta({ id: 'Webhook', description: 'A webhook without its signing secret.' });

export const createdWebhook = z
  .object({
    ...shape,
    secret: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]+=*$/)
      .meta({
        description:
          'The signing secret (Standard Webhooks), shown only in this response. It cannot be retrieved later.',
      }),
  })
  .meta({ id: 'CreatedWebhook', description: 'A webhook with its new signing secret.' });

const answered = {
  milliseconds: z.int().min(0),
  status: z
    .int()
    .nullable()
    .meta({ description: 'The HTTP status of the response. Null if there was none.' }),
  fault: z
    .string()
    .nullable()
    .meta({ description: 'Why the attempt failed. Null if it succeeded.' }),
};

export const webhookTest = z
  .object({ delivered: z.boolean(), ...answered })
  .meta({ id: 'WebhookTest', description: "The receiver's response to a test." });

export const delivery = z
  .object({
    id: z.uuid().meta({ description: 'The `webhook-id` header of every attempt.' }),
    event: z.int().min(1).meta({
      format: 'int64',
      description:
        'The id of the event, as in event streams. Of an event of a proposal, its place in the transparency log.',
    }),
    kind: z.enum(DELIVERED_KINDS),
    subject: z.string().meta({
      description: 'The path of the outlook or proposal that the event is about, in this API.',
    }),
    slug: z.string().nullable().meta({
      description: 'The slug of the outlook. Null for the proposal of a new one.',
    }),
    state: z.enum(['delivered', 'due', 'behind']).meta({
      description:
        '`due`: next attempt at `nextAttemptAt`. `behind`: waiting for an older event of the same outlook or proposal.',
    }),
    plannedAt: timestamp,
    deliveredAt: timestamp.nullable(),
    nextAttemptAt: timestamp.nullable().meta({
      description:
        'While an attempt is in progress, the time at which it counts as lost. A disabled webhook makes no attempts.',
    }),
    attempts: z
      .array(
        z.object({
          number: z.int().min(1),
          startedAt: timestamp,
          ...answered,
          milliseconds: answered.milliseconds.nullable().meta({
            description:
              'Null while the attempt is in progress, or if the service stopped during it.',
          }),
        }),
      )
      .meta({ description: 'The newest 20 attempts, newest first.' }),
  })
  .meta({ id: 'WebhookDelivery', description: 'The delivery of an event to a webhook.' });
