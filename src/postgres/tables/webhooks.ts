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
import { EVENT_KINDS, type EventKind } from '../../domain/events.ts';
import { DISABLED_REASONS, type DisabledReason } from '../../domain/webhooks.ts';
import { bytea, literals, timestamptz } from './columns.ts';
import { events } from './events.ts';
import { outlooks } from './outlooks.ts';

// Who is told of events, and how far that is.
export const webhooks = pgTable(
  'webhooks',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    url: text('url').notNull(),
    // Null for all, also those that releases to come add.
    kinds: text('kinds').array().$type<EventKind[]>(),
    outlookId: bigint('outlook_id', { mode: 'number' }).references(() => outlooks.id),
    description: text('description'),
    // As it is, because it signs.
    secret: bytea('secret').notNull(),
    previousSecret: bytea('previous_secret'),
    previousSecretUntil: timestamptz('previous_secret_until'),
    // Events up to this one have their deliveries, where they are meant for it.
    position: bigint('position', { mode: 'number' }).notNull(),
    createdAt: timestamptz('created_at').notNull(),
    // Null unless nothing but failures came since.
    failingSince: timestamptz('failing_since'),
    disabledAt: timestamptz('disabled_at'),
    disabledReason: text('disabled_reason').$type<DisabledReason>(),
  },
  (t) => [
    index('webhooks_newest').on(t.createdAt, t.id), // the list of webhooks, page by page
    check('webhooks_url', sql`${t.url} ~ '^https?://' and length(${t.url}) <= 2000`),
    check(
      'webhooks_kinds',
      sql`cardinality(${t.kinds}) > 0 and ${t.kinds} <@ array[${literals(EVENT_KINDS)}]`,
    ),
    check('webhooks_description', sql`length(${t.description}) between 1 and 300`),
    check('webhooks_secret', sql`octet_length(${t.secret}) between 24 and 64`),
    check(
      'webhooks_previous_secret',
      sql`num_nulls(${t.previousSecret}, ${t.previousSecretUntil}) in (0, 2) and (octet_length(${t.previousSecret}) between 24 and 64) is not false`,
    ),
    check('webhooks_from_0', sql`${t.position} >= 0`),
    check(
      'webhooks_disabled',
      sql`num_nulls(${t.disabledAt}, ${t.disabledReason}) in (0, 2) and (${t.disabledReason} in (${literals(DISABLED_REASONS)})) is not false`,
    ),
  ],
);

// An event for a webhook. Of an outlook they are delivered in the order of their positions: only the first of
// them that is undelivered is due.
export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    webhookId: uuid('webhook_id')
      .notNull()
      .references(() => webhooks.id, { onDelete: 'cascade' }),
    position: bigint('position', { mode: 'number' })
      .notNull()
      .references(() => events.position),
    // Of the event. No foreign key, which would lock the outlook that its writers queue at.
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    plannedAt: timestamptz('planned_at').notNull(),
    // How many were begun; tells whoever carries one out from whoever went on after him.
    attempts: integer('attempts').notNull().default(0),
    // When the next attempt is to begin; while one is under way, when it counts as lost.
    dueAt: timestamptz('due_at'),
    deliveredAt: timestamptz('delivered_at'),
  },
  (t) => [
    unique('webhook_deliveries_once').on(t.webhookId, t.position),
    uniqueIndex('webhook_deliveries_one_due')
      .on(t.webhookId, t.outlookId)
      .where(sql`${t.dueAt} is not null`),
    index('webhook_deliveries_due') // what to attempt
      .on(t.webhookId, t.dueAt)
      .where(sql`${t.dueAt} is not null`),
    index('webhook_deliveries_undelivered') // what comes next of an outlook
      .on(t.webhookId, t.outlookId, t.position)
      .where(sql`${t.deliveredAt} is null`),
    index('webhook_deliveries_oldest') // what is forgotten
      .on(t.deliveredAt)
      .where(sql`${t.deliveredAt} is not null`),
    check('webhook_deliveries_attempts', sql`${t.attempts} >= 0`),
    check(
      'webhook_deliveries_delivered_once',
      sql`${t.deliveredAt} is null or (${t.dueAt} is null and ${t.attempts} > 0)`,
    ),
  ],
);

// What came of each attempt; nothing yet, or for ever where its instance ended before.
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
    // Null for a success.
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
