import { sql } from 'drizzle-orm';
import { bigint, check, date, index, integer, pgTable, text } from 'drizzle-orm/pg-core';
import type { OutlookStatus } from '../../domain/outlook.ts';
import { identity, moment, transactionId } from './columns.ts';
import { instruments } from './instruments.ts';

export const outlooks = pgTable(
  'outlooks',
  {
    id: identity(),
    slug: text('slug').notNull().unique(),
    instrumentId: bigint('instrument_id', { mode: 'number' })
      .notNull()
      .references(() => instruments.id),
    horizonFrom: date('horizon_from').notNull(),
    horizonTo: date('horizon_to').notNull(),
    status: text('status').$type<OutlookStatus>().notNull().default('open'),
    latestVersion: integer('latest_version').notNull().default(0),
    publishedAt: moment('published_at').notNull(),
    transactionId: transactionId(),
  },
  (t) => [
    check(
      'outlooks_slug',
      sql`${t.slug} ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(${t.slug}) <= 100`,
    ),
    check(
      'outlooks_horizon',
      sql`${t.horizonFrom} < ${t.horizonTo} and isfinite(${t.horizonFrom}) and isfinite(${t.horizonTo})`,
    ),
    check('outlooks_status', sql`${t.status} in ('open', 'resolved', 'void', 'withdrawn')`),
    // The list of outlooks, page by page: all, of one instrument, of one status.
    index('outlooks_newest').on(t.publishedAt, t.id),
    index('outlooks_newest_of_instrument').on(t.instrumentId, t.publishedAt, t.id),
    // What was written since a walk through the list began.
    index('outlooks_written').on(t.transactionId),
    index('outlooks_newest_of_status').on(t.status, t.publishedAt, t.id),
  ],
);
