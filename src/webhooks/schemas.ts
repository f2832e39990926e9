import { z } from 'zod';
import { EVENT_KINDS } from '../domain/events.ts';
import { DISABLED_REASONS } from '../domain/webhooks.ts';
import { line, optionalLine, slug, timestamp, webAddress } from '../http/fields.ts';

const url = webAddress
  .refine(
    (text) => {
      if (!URL.canParse(text)) return true; // told already
      const { username, password } = new URL(text);
      return username === '' && password === '';
    },
    { error: 'must hold no user and no password; deliveries are signed' },
  )
  .refine((text) => !text.includes('#'), { error: 'must have no fragment, which is never sent' })
  .meta({
    description:
      'Where deliveries are posted to: https, at a public address. Answer 2xx within 15 s; redirects are not followed.',
  });

const kinds = z
  .array(z.enum(EVENT_KINDS, { error: `must be one of ${EVENT_KINDS.join(', ')}` }))
  .min(1, { error: 'must name a kind; leave it out, or give null, for all kinds' })
  .max(EVENT_KINDS.length)
  .nullable()
  .meta({
    description: 'The kinds of events; null for all, also those that releases to come add.',
  });

export const newWebhook = z
  .strictObject({
    url,
    kinds: kinds.default(null),
    outlook: slug.nullable().default(null).meta({ description: 'Only events of this outlook.' }),
    description: optionalLine,
  })
  .meta({ id: 'NewWebhook', description: 'A request for a webhook.' });

export const webhookPatch = z
  .strictObject({
    url: url.optional(),
    kinds: kinds.optional(),
    description: line.nullable().optional(),
    enabled: z.boolean().optional().meta({
      description:
        'false keeps what is to be delivered; true goes on with it, where it stopped, and tries at once what waits for another attempt.',
    }),
  })
  .meta({ id: 'WebhookPatch', description: 'What to change of a webhook.' });

const shape = {
  id: z.uuid(),
  url: z.string(),
  kinds: z
    .array(z.enum(EVENT_KINDS))
    .nullable()
    .meta({ description: 'Null for all, also those that releases to come add.' }),
  outlook: z.string().nullable().meta({ description: 'Null for all outlooks.' }),
  description: z.string().nullable(),
  createdAt: timestamp.meta({ description: 'It is told of the events after that.' }),
  failingSince: timestamp.nullable().meta({
    description: 'Since when there were nothing but failures; null where there are none.',
  }),
  disabled: z
    .object({ at: timestamp, reason: z.enum(DISABLED_REASONS) })
    .nullable()
    .meta({
      description:
        'Null while it is told. asked: by an admin; gone: it answered 410; failing: for five days there were nothing but failures; restored: the ledger is a backup of another one, which may still tell it.',
    }),
  previousSecretUntil: timestamp
    .nullable()
    .meta({ description: 'Until when the secret before signs, too.' }),
};

export const webhook = z
  .object(shape)
  .meta({ id: 'Webhook', description: 'Who is told of events, without what signs them.' });

export const createdWebhook = z
  .object({
    ...shape,
    secret: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]+=*$/)
      .meta({
        description:
          'What deliveries are signed with (Standard Webhooks). It is shown this once and can not be had again.',
      }),
  })
  .meta({ id: 'CreatedWebhook', description: 'A webhook at the moment it is given a secret.' });

const answered = {
  milliseconds: z.int().min(0),
  status: z.int().nullable().meta({ description: 'Null where no answer came.' }),
  fault: z.string().nullable().meta({ description: 'What was wrong; null for a success.' }),
};

export const webhookTest = z
  .object({ delivered: z.boolean(), ...answered })
  .meta({ id: 'WebhookTest', description: 'What a receiver said to a test.' });

export const delivery = z
  .object({
    id: z.uuid().meta({ description: 'The `webhook-id` of each attempt.' }),
    event: z.int().min(1).meta({ description: 'The id of the event, as streams have it.' }),
    kind: z.enum(EVENT_KINDS),
    slug: z.string(),
    state: z.enum(['delivered', 'due', 'behind']).meta({
      description:
        'due: to be attempted at `nextAttemptAt`; behind: waits for an older event of its outlook.',
    }),
    plannedAt: timestamp,
    deliveredAt: timestamp.nullable(),
    nextAttemptAt: timestamp.nullable().meta({
      description:
        'While an attempt is under way, when it counts as lost. Nothing is attempted while the webhook is disabled.',
    }),
    attempts: z
      .array(
        z.object({
          number: z.int().min(1),
          startedAt: timestamp,
          ...answered,
          milliseconds: answered.milliseconds.nullable().meta({
            description: 'Null while it is under way, and where the service ended before it did.',
          }),
        }),
      )
      .meta({ description: 'The last one first, at most 20.' }),
  })
  .meta({ id: 'WebhookDelivery', description: 'An event for a webhook, and how it fared.' });
