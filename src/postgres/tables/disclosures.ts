import { sql } from 'drizzle-orm';
import { bigint, check, pgTable, uuid } from 'drizzle-orm/pg-core';
import { analysts } from './api-keys.ts';
import { identity, timestamptz } from './columns.ts';
import { outlooks } from './outlooks.ts';
import { series } from './series.ts';

// An internal outlook or series that became public. A trigger then empties its internal_to.
export const disclosures = pgTable(
  'disclosures',
  {
    id: identity(),
    outlookId: bigint('outlook_id', { mode: 'number' })
      .unique()
      .references(() => outlooks.id),
    seriesId: bigint('series_id', { mode: 'number' })
      .unique()
      .references(() => series.id),
    authorId: uuid('author_id')
      .notNull()
      .references(() => analysts.id),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [check('disclosures_subject', sql`num_nonnulls(${t.outlookId}, ${t.seriesId}) = 1`)],
);
