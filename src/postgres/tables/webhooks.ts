import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import { DELIVERED_KINDS, type DeliveredKind, PROPOSAL_EVENT_KINDS } from '../../domain/events.ts';
import {
  DISABLED_REASONS,
  type DisabledReason,
  type WebhookFormat,
} from '../../domain/webhooks.ts';
import { bytea, literals, timestamptz } from './columns.ts';
import { desks } from './desks.ts';
import { events } from './events.ts';
import { outlooks } from './outlooks.ts';

// Where events are delivered to, and how far delivery has come.
export const webhooks = pgTable(
  'webhooks',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    url: text('url').notNull(),
    // Null for all kinds, also those that later releases add.
    kinds: text('kinds').array().$type<DeliveredKind[]>(),
    outlookId: bigint('outlook_id', { mode: 'number' }).references(() => outlooks.id),
    // Whose internal outlooks and proposals it receives, too; null for public outlooks only.
    deskId: integer('desk_id').references(() => desks.id),
    // Null for JSON.
    format: text('format').$type<Exclude<WebhookFormat, 'json'>>(),
    description: text('description'),
    // In plain text, because it signs deliveries.
    secret: bytea('secret').notNull(),
    previousSecret: bytea('previous_secret'),
    previousSecretUntil: timestamptz('previous_secret_until'),
    // Deliveries exist for the events up to this position that the webhook subscribes to.
    position: bigint('position', { mode: 'number' }).notNull(),
    // The same for the events of proposals, by their places in the log; null without a desk.
    logPosition: bigint('log_position', { mode: 'number' }),
    createdAt: timestamptz('created_at').notNull(),
    // The time of the first failure since the last success; null if there is none.
    failingSince: timestamptz('failing_since'),
    disabledAt: timestamptz('disabled_at'),
    disabledReason: text('disabled_reason').$type<DisabledReason>(),
  },
  (t) => [
    index('webhooks_newest').on(t.createdAt, t.id), // for the pages of the list of webhooks
    check('webhooks_url', sql`${t.url} ~ '^https?://' and length(${t.url}) <= 2000`),
    check(
      'webhooks_kinds',
      sql`cardinality(${t.kinds}) > 0 and ${t.kinds} <@ array[${literals(DELIVERED_KINDS)}]
        and (${t.deskId} is not null or not ${t.kinds} && array[${literals(PROPOSAL_EVENT_KINDS)}])`,
    ),
    check('webhooks_description', sql`length(${t.description}) between 1 and 300`),
    check('webhooks_secret', sql`octet_length(${t.secret}) between 24 and 64`),
    check(
      'webhooks_previous_secret',
      sql`num_nulls(${t.previousSecret}, ${t.previousSecretUntil}) in (0, 2) and (octet_length(${t.previousSecret}) between 24 and 64) is not false`,
    ),
    check('webhooks_from_0', sql`${t.position} >= 0`),
    check('webhooks_format', sql`${t.format} in ('slack', 'teams')`),
    check(
      'webhooks_log_position',
      sql`${t.logPosition} >= 0 and (${t.deskId} is null) = (${t.logPosition} is null)`,
    ),
    check(
      'webhooks_disabled',
      sql`num_nulls(${t.disabledAt}, ${t.disabledReason}) in (0, 2) and (${t.disabledReason} in (${literals(DISABLED_REASONS)})) is not false`,
    ),
  ],
);

// An event for a webhook. The events of an outlook are delivered in the order of their positions, those of a proposal in the
// order of their ids: only the first undelivered one is due.
export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    webhookId: uuid('webhook_id')
      .notNull()
      .references(() => webhooks.id, { onDelete: 'cascade' }),
    position: bigint('position', { mode: 'number' }).references(() => events.position),
    // The event's outlook. No foreign key: it would lock the outlook's row, which writers wait for.
    outlookId: bigint('outlook_id', { mode: 'number' }),
    // Of an event without a position, in place of these two: its id, and the proposal that it is about.
    eventId: bigint('event_id', { mode: 'number' }).references(() => events.id),
    subject: text('subject'),
    plannedAt: timestamptz('planned_at').notNull(),
    // How many attempts were started. An instance whose number is not the latest has lost the delivery to another.
    attempts: integer('attempts').notNull().default(0),
    // When the next attempt is due or, during an attempt, when that attempt counts as lost.
    dueAt: timestamptz('due_at'),
    deliveredAt: timestamptz('delivered_at'),
  },
  (t) => [
    unique('webhook_deliveries_once').on(t.webhookId, t.position),
    uniqueIndex('webhook_deliveries_one_due')
      .on(t.webhookId, t.outlookId)
      .where(sql`${t.dueAt} is not null`),
    index('webhook_deliveries_due') // for the attempts that are due
      .on(t.webhookId, t.dueAt)
      .where(sql`${t.dueAt} is not null`),
    index('webhook_deliveries_undelivered') // for the next event of an outlook
      .on(t.webhookId, t.outlookId, t.position)
      .where(sql`${t.deliveredAt} is null`),
    index('webhook_deliveries_oldest') // for the deliveries to delete
      .on(t.deliveredAt)
      .where(sql`${t.deliveredAt} is not null`),
    uniqueIndex('webhook_deliveries_once_an_event')
      .on(t.webhookId, t.eventId)
      .where(sql`${t.eventId} is not null`),
    uniqueIndex('webhook_deliveries_one_due_of_subject')
      .on(t.webhookId, t.subject)
      .where(sql`${t.dueAt} is not null and ${t.subject} is not null`),
    index('webhook_deliveries_undelivered_of_subject') // for the next event of a proposal
      .on(t.webhookId, t.subject, t.eventId)
      .where(sql`${t.deliveredAt} is null and ${t.subject} is not null`),
    check(
      'webhook_deliveries_event',
      sql`case when ${t.eventId} is null then ${t.subject} is null and num_nulls(${t.position}, ${t.outlookId}) = 0
        else ${t.subject} is not null and num_nulls(${t.position}, ${t.outlookId}) = 2 end`,
    ),
    check('webhook_deliveries_attempts', sql`${t.attempts} >= 0`),
    check(
      'webhook_deliveries_delivered_once',
      sql`${t.deliveredAt} is null or (${t.dueAt} is null and ${t.attempts} > 0)`,
    ),
  ],
);

// The outcome of each attempt; all null while it runs, and for ever if its instance ended first.
export const webhookAttempts = pgTable(
  'webhook_attempts',
  {
    deliveryId: uuid('delivery_id')
      .notNull()
      .references(() => webhookDeliveries.id, { onDelete: 'cascade' }),
    number: integer('number').notNull(),
    startedAt: timestamptz('started_at').notNull(),
    milliseconds: integer('milliseconds'),
    status: integer('status'),
    // Null if the attempt succeeded.
    fault: text('fault'),
  },
  (t) => [
    primaryKey({ columns: [t.deliveryId, t.number] }),
    check('webhook_attempts_number', sql`${t.number} >= 1`),
    check(
      'webhook_attempts_outcome',
      sql`case when ${t.milliseconds} is null then num_nulls(${t.status}, ${t.fault}) = 2
        when ${t.fault} is null then coalesce(${t.status} between 200 and 299, false)
        else ${t.status} between 100 and 999 is not false end`,
    ),
    check('webhook_attempts_milliseconds', sql`${t.milliseconds} >= 0`),
    check('webhook_attempts_fault', sql`length(${t.fault}) between 1 and 300`),
  ],
);
