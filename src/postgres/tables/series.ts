import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  date,
  doublePrecision,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { type Provenance, PROVENANCES } from '../../domain/framework.ts';
import { type Dating, DATINGS, FREQUENCIES, type Frequency } from '../../domain/series.ts';
import { identity, literals, timestamptz } from './columns.ts';
import { desks } from './desks.ts';

export const series = pgTable(
  'series',
  {
    id: identity(),
    key: text('key').notNull().unique(),
    name: text('name').notNull(),
    unit: text('unit').notNull(),
    frequency: text('frequency').$type<Frequency>().notNull(),
    // Whether an observation is dated by the first or the last day of its period.
    dated: text('dated').$type<Dating>().notNull().default('end'),
    source: text('source').notNull(),
    createdAt: timestamptz('created_at').notNull(),
    // The desk that it belongs to, for good; null, in rows of before there were desks, is the first one.
    deskId: integer('desk_id').references(() => desks.id),
    // Whether it started internal; null in rows of before there was this column, which are public.
    isInternal: boolean('is_internal'),
    // The only desk that sees it, kept by triggers; null if it is public.
    internalTo: integer('internal_to').references(() => desks.id),
  },
  (t) => [
    uniqueIndex('series_by_key').on(sql`${t.key} collate "C"`), // see outlooks_by_slug
    check('series_key', sql`${t.key} ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(${t.key}) <= 100`),
    check('series_frequency', sql`${t.frequency} in (${literals(FREQUENCIES)})`),
    check('series_dated', sql`${t.dated} in (${literals(DATINGS)})`),
  ],
);

// A row is a vintage: the value of a day as it was known from recorded_at until superseded_at.
export const observations = pgTable(
  'observations',
  {
    seriesId: bigint('series_id', { mode: 'number' })
      .notNull()
      .references(() => series.id),
    date: date('date').notNull(),
    recordedAt: timestamptz('recorded_at').notNull(),
    // Null if the observation was retracted.
    value: doublePrecision('value'),
    provenance: text('provenance').$type<Provenance>().notNull(),
    note: text('note'),
    // Null for the newest vintage of a day; a trigger sets it when the next one is recorded.
    supersededAt: timestamptz('superseded_at'),
  },
  (t) => [
    primaryKey({ columns: [t.seriesId, t.date, t.recordedAt] }),
    // For the newest vintage of each day, no matter how many there are.
    uniqueIndex('observations_standing')
      .on(t.seriesId, t.date)
      .where(sql`${t.supersededAt} is null`),
    index('observations_recorded').on(t.seriesId, t.recordedAt), // for the last time that a series was written
    check('observations_value', sql`${t.value} > '-Infinity' and ${t.value} < 'Infinity'`),
    check('observations_date', sql`isfinite(${t.date})`),
    check(
      'observations_recorded_at',
      sql`isfinite(${t.recordedAt}) and (${t.supersededAt} > ${t.recordedAt}) is not false`,
    ),
    check('observations_provenance', sql`${t.provenance} in (${literals(PROVENANCES)})`),
  ],
);
