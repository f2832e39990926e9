import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  doublePrecision,
  foreignKey,
  integer,
  pgTable,
  primaryKey,
  text,
  uuid,
} from 'drizzle-orm/pg-core';
import { VIEW_KINDS, type ViewKind } from '../../domain/consensus.ts';
import { analysts } from './api-keys.ts';
import { literals, timestamptz } from './columns.ts';
import { outlooks } from './outlooks.ts';
import { outlookVersions } from './versions.ts';

// An analyst's own probabilities for an outlook, beside those that the desk publishes. Views have versions.
export const views = pgTable(
  'views',
  {
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    analystId: uuid('analyst_id')
      .notNull()
      .references(() => analysts.id),
    version: integer('version').notNull(),
    bearBps: integer('bear_bps').notNull(),
    baseBps: integer('base_bps').notNull(),
    bullBps: integer('bull_bps').notNull(),
    // Null only for a withdrawal.
    rationale: text('rationale'),
    kind: text('kind').$type<ViewKind>().notNull().default('held'),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.analystId, t.version] }),
    check('views_from_1', sql`${t.version} >= 1`),
    check('views_probabilities_sum_to_1', sql`${t.bearBps} + ${t.baseBps} + ${t.bullBps} = 10000`),
    check(
      'views_probabilities_in_range',
      sql`${t.bearBps} between 0 and 10000 and ${t.baseBps} between 0 and 10000 and ${t.bullBps} between 0 and 10000`,
    ),
    check('views_rationale', sql`${t.rationale} ~ '[^ \\t\\r\\n]'`),
    check('views_kind', sql`${t.kind} in (${literals(VIEW_KINDS)})`),
    check('views_rationale_given', sql`${t.kind} = 'withdrawn' or ${t.rationale} is not null`),
    check('views_held_first', sql`${t.version} > 1 or ${t.kind} = 'held'`),
    check('views_recorded_at', sql`isfinite(${t.recordedAt})`),
  ],
);

/** The views that a version pooled, and the weight of each. */
export const versionViews = pgTable(
  'version_views',
  {
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    version: integer('version').notNull(),
    analystId: uuid('analyst_id').notNull(),
    viewVersion: integer('view_version').notNull(),
    weight: doublePrecision('weight').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.version, t.analystId] }),
    foreignKey({
      name: 'version_views_version',
      columns: [t.outlookId, t.version],
      foreignColumns: [outlookVersions.outlookId, outlookVersions.version],
    }),
    foreignKey({
      name: 'version_views_view',
      columns: [t.outlookId, t.analystId, t.viewVersion],
      foreignColumns: [views.outlookId, views.analystId, views.version],
    }),
    check('version_views_weight', sql`${t.weight} >= 0 and ${t.weight} <= 1`),
  ],
);
