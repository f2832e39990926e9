import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { ADMINISTRATIVE_EVENT_KINDS, EVENT_KINDS } from '../../domain/events.ts';
import { identity, literals, timestamptz, xid8 } from './columns.ts';
import { outlookVersions } from './versions.ts';

export const events = pgTable(
  'events',
  {
    id: identity(),
    kind: text('kind').notNull(),
    // Both are null in administrative events, which readers of events never see.
    outlookId: bigint('outlook_id', { mode: 'number' }),
    version: integer('version'),
    data: jsonb('data').notNull(),
    recordedAt: timestamptz('recorded_at').notNull(),
    // The event's place in the order that readers follow; null until it is assigned, and in administrative events.
    position: bigint('position', { mode: 'number' }).unique(),
    // The place of any event in the transparency log; null until it is assigned, and in events of earlier releases, whose
    // place is the position.
    logPosition: bigint('log_position', { mode: 'number' }),
    // The transaction that added it; null in events that had a position before there was this column.
    transactionId: xid8('transaction_id').default(sql`pg_current_xact_id()`),
  },
  (t) => [
    foreignKey({
      name: 'events_version',
      columns: [t.outlookId, t.version],
      foreignColumns: [outlookVersions.outlookId, outlookVersions.version],
    }),
    check(
      'events_kind',
      sql`case when ${t.kind} in (${literals(ADMINISTRATIVE_EVENT_KINDS)})
          then ${t.outlookId} is null and ${t.version} is null
        else ${t.outlookId} is not null and ${t.version} is not null
          and ${t.kind} in (${literals(EVENT_KINDS)}) end`,
    ),
    uniqueIndex('events_once_a_version')
      .on(t.outlookId, t.version)
      .where(sql`${t.kind} in ('outlook.created', 'outlook.version.published')`),
    // For the stream of one outlook.
    index('events_placed_of_outlook')
      .on(t.outlookId, t.position)
      .where(sql`${t.position} is not null`),
    // For receipts: the event of an item of evidence, a view or a resolution among an outlook's many revisions.
    index('events_of_records')
      .on(t.outlookId, t.kind)
      .where(
        sql`${t.kind} in ('evidence.added', 'view.published', 'view.withdrawn', 'outlook.resolved', 'outlook.reopened')`,
      ),
    uniqueIndex('events_in_log')
      .on(sql`coalesce(${t.logPosition}, ${t.position})`)
      .where(sql`coalesce(${t.logPosition}, ${t.position}) is not null`),
    // For sequence_events(), which starts at the watermark below.
    index('events_unplaced')
      .on(t.transactionId, t.id)
      .where(sql`${t.position} is null and ${t.logPosition} is null`),
  ],
);

/** One row at most: every event of a transaction before this one has its position. No row says nothing. */
export const eventWatermark = pgTable(
  'event_watermark',
  {
    isOnly: boolean('is_only').primaryKey().default(true),
    transactionId: xid8('transaction_id').notNull().default('0'),
  },
  (t) => [check('event_watermark_is_only', sql`${t.isOnly}`)],
);
