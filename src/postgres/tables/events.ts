import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { EVENT_KINDS, type EventKind } from '../../domain/events.ts';
import { identity, literals, timestamptz } from './columns.ts';
import { outlookVersions } from './versions.ts';

export const events = pgTable(
  'events',
  {
    id: identity(),
    kind: text('kind').$type<EventKind>().notNull(),
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    version: integer('version').notNull(),
    data: jsonb('data').notNull(),
    recordedAt: timestamptz('recorded_at').notNull(),
    // The event's place in the order that readers follow; null until it is assigned.
    position: bigint('position', { mode: 'number' }).unique(),
  },
  (t) => [
    foreignKey({
      name: 'events_version',
      columns: [t.outlookId, t.version],
      foreignColumns: [outlookVersions.outlookId, outlookVersions.version],
    }),
    check('events_kind', sql`${t.kind} in (${literals(EVENT_KINDS)})`),
    uniqueIndex('events_once_a_version')
      .on(t.outlookId, t.version)
      .where(sql`${t.kind} in ('outlook.created', 'outlook.version.published')`),
    index('events_of_outlook').on(t.outlookId, t.position), // for the stream of one outlook
    index('events_without_position')
      .on(t.id)
      .where(sql`${t.position} is null`),
  ],
);
