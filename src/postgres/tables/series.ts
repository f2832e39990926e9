import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  date,
  doublePrecision,
  index,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { type Provenance, PROVENANCES } from '../../domain/framework.ts';
import { FREQUENCIES, type Frequency } from '../../domain/series.ts';
import { identity, literals, timestamptz } from './columns.ts';

export const series = pgTable(
  'series',
  {
    id: identity(),
    key: text('key').notNull().unique(),
    name: text('name').notNull(),
    unit: text('unit').notNull(),
    frequency: text('frequency').$type<Frequency>().notNull(),
    source: text('source').notNull(),
    createdAt: timestamptz('created_at').notNull(),
  },
  (t) => [
    check('series_key', sql`${t.key} ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(${t.key}) <= 100`),
    check('series_frequency', sql`${t.frequency} in (${literals(FREQUENCIES)})`),
  ],
);

// A row is a vintage: what was known of a day from recorded_at until superseded_at.
export const observations = pgTable(
  'observations',
  {
    seriesId: bigint('series_id', { mode: 'number' })
      .notNull()
      .references(() => series.id),
    date: date('date').notNull(),
    recordedAt: timestamptz('recorded_at').notNull(),
    value: doublePrecision('value').notNull(),
    provenance: text('provenance').$type<Provenance>().notNull(),
    note: text('note'),
    // Null while it is the newest vintage of its day; a trigger sets it when the next one comes.
    supersededAt: timestamptz('superseded_at'),
  },
  (t) => [
    primaryKey({ columns: [t.seriesId, t.date, t.recordedAt] }),
    // What is known now, day by day, whatever vintages there are.
    uniqueIndex('observations_standing')
      .on(t.seriesId, t.date)
      .where(sql`${t.supersededAt} is null`),
    index('observations_recorded').on(t.seriesId, t.recordedAt), // the newest moment of a series
    check('observations_value', sql`${t.value} > '-Infinity' and ${t.value} < 'Infinity'`),
    check('observations_date', sql`isfinite(${t.date})`),
    check(
      'observations_recorded_at',
      sql`isfinite(${t.recordedAt}) and (${t.supersededAt} > ${t.recordedAt}) is not false`,
    ),
    check('observations_provenance', sql`${t.provenance} in (${literals(PROVENANCES)})`),
  ],
);
