import { sql } from 'drizzle-orm';
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  date,
  index,
  integer,
  jsonb,
  pgTable,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import type { ConditionState } from '../../domain/condition-rules.ts';
import { OUTLOOK_STATUSES, type OutlookStatus } from '../../domain/outlook.ts';
import { identity, literals, sha256, timestamptz, transactionId } from './columns.ts';
import { desks } from './desks.ts';
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
    // Why a revision is due; empty when none is.
    reviewReasons: text('review_reasons')
      .array()
      .notNull()
      .default(sql`'{}'`),
    // The states of its conditions, by key, without the untriggered ones. A trigger derives this column and
    // review_reasons from condition_changes and condition_answers.
    conditionStates: jsonb('condition_states')
      .$type<Record<string, ConditionState>>()
      .notNull()
      .default(sql`'{}'`),
    // The current version, as far as the next version, lists and searches need it. A trigger maintains these columns;
    // before version 1 they are 0 and null. They have no foreign keys, which would form a circle.
    latestVersion: integer('latest_version').notNull().default(0),
    publishedAt: timestamptz('published_at').notNull(),
    transactionId: transactionId(),
    hash: sha256('hash'),
    frameworkId: bigint('framework_id', { mode: 'number' }),
    bearBps: integer('bear_bps'),
    baseBps: integer('base_bps'),
    bullBps: integer('bull_bps'),
    // When the ledger noted that the horizon was over; null until then.
    horizonEndedAt: timestamptz('horizon_ended_at'),
    // Whether closes contradict the current resolution; a trigger derives it from resolution_contradictions.
    isContradicted: boolean('is_contradicted').notNull().default(false),
    // The outlook that this one continues over a later horizon; null for none. It never changes.
    continuesId: bigint('continues_id', { mode: 'number' }).references(
      (): AnyPgColumn => outlooks.id,
    ),
    // The slug of the newest outlook that continues this one; a trigger sets it. The slug instead of the id, so that whoever
    // waited for this row's lock needs no other row.
    continuedBy: text('continued_by'),
    // The desk that it belongs to, for good; null, in rows of before there were desks, is the first one.
    deskId: integer('desk_id').references(() => desks.id),
    // Whether it started internal; null in rows of before there was this column, which are public.
    isInternal: boolean('is_internal'),
    // The only desk that sees it, kept by triggers; null if it is public.
    internalTo: integer('internal_to').references(() => desks.id),
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
    // Only an older outlook is continued, so no chain comes back to where it began.
    check('outlooks_continues', sql`${t.continuesId} < ${t.id}`),
    // For what continued an outlook at a given time.
    index('outlooks_continuing')
      .on(t.continuesId, t.id)
      .where(sql`${t.continuesId} is not null`),
    check('outlooks_condition_states', sql`jsonb_typeof(${t.conditionStates}) = 'object'`),
    check('outlooks_status', sql`${t.status} in (${literals(OUTLOOK_STATUSES)})`),
    // For the list by slug. Not in the collation of the column, which is the database's: that may differ between servers, and
    // change with their operating system.
    uniqueIndex('outlooks_by_slug').on(sql`${t.slug} collate "C"`),
    // For the pages of the list of outlooks: all, those of one instrument, of one desk, those with one status.
    index('outlooks_newest').on(t.publishedAt, t.id),
    // The public ones of them, for readers who see no others.
    index('outlooks_newest_public')
      .on(t.publishedAt, t.id)
      .where(sql`${t.internalTo} is null`),
    // For the records of those, which leave the others out.
    index('outlooks_internal')
      .on(t.id)
      .where(sql`${t.isInternal}`),
    index('outlooks_newest_of_instrument').on(t.instrumentId, t.publishedAt, t.id),
    index('outlooks_newest_of_desk').on(sql`coalesce(${t.deskId}, 1)`, t.publishedAt, t.id),
    // For the outlooks that were written since the first page of a list was read.
    index('outlooks_written').on(t.transactionId),
    index('outlooks_of_framework').on(t.frameworkId),
    index('outlooks_newest_of_status').on(t.status, t.publishedAt, t.id),
    // For lists of few outlooks among many: by the probability of a scenario, and those with a review due.
    index('outlooks_by_bear').on(t.bearBps),
    index('outlooks_by_base').on(t.baseBps),
    index('outlooks_by_bull').on(t.bullBps),
    index('outlooks_review_due')
      .on(t.publishedAt, t.id)
      .where(sql`${t.reviewReasons} <> '{}'`),
    // Outlooks that await a resolution, those whose resolution closes contradict, and horizons to note as over.
    index('outlooks_awaiting_resolution')
      .on(t.publishedAt, t.id)
      .where(
        sql`${t.horizonEndedAt} is not null and ${t.reviewReasons} <> '{}' and not ${t.isContradicted}`,
      ),
    index('outlooks_contradicted')
      .on(t.publishedAt, t.id)
      .where(sql`${t.isContradicted}`),
    index('outlooks_horizon_to_end')
      .on(t.horizonTo, t.id)
      .where(sql`${t.status} in ('open', 'withdrawn') and ${t.horizonEndedAt} is null`),
    index('outlooks_by_horizon_end').on(t.horizonTo),
    // For the resolutions that a new close may contradict.
    index('outlooks_resolved_to')
      .on(t.instrumentId, t.horizonTo)
      .where(sql`${t.status} <> 'open'`),
    index('outlooks_resolved_from')
      .on(t.instrumentId, t.horizonFrom)
      .where(sql`${t.status} <> 'open'`),
    check(
      'outlooks_horizon_ended_at',
      sql`(${t.horizonEndedAt} >= ${t.horizonTo}::timestamp at time zone 'UTC') is not false`,
    ),
  ],
);
