import { sql } from 'drizzle-orm';
import { bigint, check, date, index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import type { ConditionState } from '../../domain/invalidation.ts';
import { OUTLOOK_STATUSES, type OutlookStatus } from '../../domain/outlook.ts';
import { identity, literals, sha256, timestamptz, transactionId } from './columns.ts';
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
    // Why the desk owes a revision; empty where it owes none.
    reviewReasons: text('review_reasons')
      .array()
      .notNull()
      .default(sql`'{}'`),
    // The states of its conditions, by key, but for those that are untriggered. A trigger keeps both
    // in step with condition_changes and condition_answers (0003_evidence.sql).
    conditionStates: jsonb('condition_states')
      .$type<Record<string, ConditionState>>()
      .notNull()
      .default(sql`'{}'`),
    // The version that stands, as far as the next one, lists and searches depend on it. Null and 0
    // before the first; a trigger keeps them (0002_reads.sql). No foreign key: it would run in a circle.
    latestVersion: integer('latest_version').notNull().default(0),
    publishedAt: timestamptz('published_at').notNull(),
    transactionId: transactionId(),
    hash: sha256('hash'),
    frameworkId: bigint('framework_id', { mode: 'number' }),
    bearBps: integer('bear_bps'),
    baseBps: integer('base_bps'),
    bullBps: integer('bull_bps'),
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
    check(
      'outlooks_standing',
      sql`num_nulls(${t.hash}, ${t.frameworkId}, ${t.bearBps}, ${t.baseBps}, ${t.bullBps}) = case when ${t.latestVersion} = 0 then 5 else 0 end`,
    ),
    check(
      'outlooks_review_reasons',
      sql`array_position(${t.reviewReasons}, null) is null and array_position(${t.reviewReasons}, '') is null`,
    ),
    check('outlooks_condition_states', sql`jsonb_typeof(${t.conditionStates}) = 'object'`),
    check('outlooks_status', sql`${t.status} in (${literals(OUTLOOK_STATUSES)})`),
    // The list of outlooks, page by page: all, of one instrument, of one status.
    index('outlooks_newest').on(t.publishedAt, t.id),
    index('outlooks_newest_of_instrument').on(t.instrumentId, t.publishedAt, t.id),
    // What was written since a walk through the list began.
    index('outlooks_written').on(t.transactionId),
    index('outlooks_newest_of_status').on(t.status, t.publishedAt, t.id),
    // Lists of few among many: by how likely a scenario is, and those that wait for a review.
    index('outlooks_by_bear').on(t.bearBps),
    index('outlooks_by_base').on(t.baseBps),
    index('outlooks_by_bull').on(t.bullBps),
    index('outlooks_review_due')
      .on(t.publishedAt, t.id)
      .where(sql`${t.reviewReasons} <> '{}'`),
  ],
);
