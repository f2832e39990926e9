import { sql } from 'drizzle-orm';
import { bigint, check, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core';
import { INSTRUMENT_KINDS, type InstrumentKind } from '../../domain/instrument.ts';
import { identity, literals, timestamptz } from './columns.ts';
import { series } from './series.ts';

export const instruments = pgTable(
  'instruments',
  {
    id: identity(),
    symbol: text('symbol').notNull().unique(),
    name: text('name').notNull(),
    kind: text('kind').$type<InstrumentKind>().notNull(),
    // The series of its closes; it can be set once.
    closesId: bigint('closes_id', { mode: 'number' }).references(() => series.id),
    createdAt: timestamptz('created_at').notNull(),
  },
  (t) => [
    uniqueIndex('instruments_by_symbol').on(sql`${t.symbol} collate "C"`), // see outlooks_by_slug
    check('instruments_symbol', sql`${t.symbol} ~ '^[A-Z0-9][A-Z0-9._-]{0,31}$'`),
    check('instruments_kind', sql`${t.kind} in (${literals(INSTRUMENT_KINDS)})`),
  ],
);
