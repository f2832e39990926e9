import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  date,
  doublePrecision,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import { SCENARIO_NAMES, type ScenarioName } from '../../domain/probabilities.ts';
import { analysts } from './api-keys.ts';
import { literals, timestamptz } from './columns.ts';
import { evidence } from './evidence.ts';
import { outlooks } from './outlooks.ts';
import { proposals } from './proposals.ts';

// What came about. A later resolution of an outlook corrects the one before it; both are kept.
export const resolutions = pgTable(
  'resolutions',
  {
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    number: integer('number').notNull(),
    // Null if the outlook is void or reopened.
    outcome: text('outcome').$type<ScenarioName>(),
    // Takes the resolution before it back: the outlook has no outcome again.
    reopens: boolean('reopens').notNull().default(false),
    // When the outcome became known; forecasts are scored until then. Null without an outcome.
    knownAt: timestamptz('known_at'),
    realisedReturn: doublePrecision('realised_return'),
    reason: text('reason'),
    // The base scenario's return band in the current framework; both null if it has none.
    bandLow: doublePrecision('band_low'),
    bandHigh: doublePrecision('band_high'),
    // The closes that the return follows from; all null if they were missing or the horizon was not over.
    startDate: date('start_date'),
    startValue: doublePrecision('start_value'),
    endDate: date('end_date'),
    endValue: doublePrecision('end_value'),
    authorId: uuid('author_id')
      .notNull()
      .references(() => analysts.id),
    recordedAt: timestamptz('recorded_at').notNull(),
    // Null for the current resolution; a trigger sets it when the next one is recorded.
    supersededAt: timestamptz('superseded_at'),
    // The proposal that recorded it; null if it needed none.
    proposalId: uuid('proposal_id').references(() => proposals.id),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.number] }),
    uniqueIndex('resolutions_standing')
      .on(t.outlookId)
      .where(sql`${t.supersededAt} is null`),
    // For the feed of all outlooks.
    index('resolutions_newest').on(t.recordedAt, t.outlookId, t.number),
    // For lists of the outlooks with an outcome.
    index('resolutions_by_outcome')
      .on(t.outcome, t.outlookId)
      .where(sql`${t.supersededAt} is null`),
    uniqueIndex('resolutions_of_proposal')
      .on(t.proposalId)
      .where(sql`${t.proposalId} is not null`),
    check('resolutions_from_1', sql`${t.number} >= 1`),
    check('resolutions_outcome', sql`${t.outcome} in (${literals(SCENARIO_NAMES)})`),
    check(
      'resolutions_realised_return',
      sql`${t.realisedReturn} > '-Infinity' and ${t.realisedReturn} < 'Infinity'`,
    ),
    check(
      'resolutions_band',
      sql`num_nulls(${t.bandLow}, ${t.bandHigh}) in (0, 2) and (${t.bandLow} < ${t.bandHigh}) is not false`,
    ),
    check(
      'resolutions_closes',
      sql`num_nulls(${t.startDate}, ${t.startValue}, ${t.endDate}, ${t.endValue}) in (0, 4) and (${t.startDate} < ${t.endDate} and ${t.startValue} > 0 and ${t.startValue} < 'Infinity' and ${t.endValue} > '-Infinity' and ${t.endValue} < 'Infinity') is not false`,
    ),
    check('resolutions_reason', sql`${t.reason} ~ '[^ \\t\\r\\n]'`),
    check('resolutions_reason_given', sql`${t.reason} is not null or ${t.outcome} is not null`),
    check(
      'resolutions_reopens',
      sql`not ${t.reopens} or (${t.number} > 1 and num_nulls(${t.outcome}, ${t.realisedReturn}, ${t.endDate}) = 3)`,
    ),
    check(
      'resolutions_known_at',
      sql`(${t.outcome} is null) = (${t.knownAt} is null) and (isfinite(${t.knownAt}) and ${t.knownAt} <= ${t.recordedAt}) is not false`,
    ),
    check('resolutions_superseded', sql`${t.supersededAt} >= ${t.recordedAt}`),
    check('resolutions_recorded_at', sql`isfinite(${t.recordedAt})`),
  ],
);

// Closes that arrived or changed after a resolution and imply another outcome. The newest row of a resolution counts.
export const resolutionContradictions = pgTable(
  'resolution_contradictions',
  {
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    number: integer('number').notNull(),
    recordedAt: timestamptz('recorded_at').notNull(),
    // The outcome that the closes imply; null if they no longer contradict the resolution.
    outcome: text('outcome').$type<ScenarioName>(),
    // The closes that imply it; null with the outcome.
    startDate: date('start_date'),
    startValue: doublePrecision('start_value'),
    endDate: date('end_date'),
    endValue: doublePrecision('end_value'),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.number, t.recordedAt] }),
    foreignKey({
      name: 'resolution_contradictions_resolution',
      columns: [t.outlookId, t.number],
      foreignColumns: [resolutions.outlookId, resolutions.number],
    }),
    check('resolution_contradictions_outcome', sql`${t.outcome} in (${literals(SCENARIO_NAMES)})`),
    check(
      'resolution_contradictions_closes',
      sql`num_nulls(${t.outcome}, ${t.startDate}, ${t.startValue}, ${t.endDate}, ${t.endValue}) in (0, 5) and (${t.startDate} < ${t.endDate} and ${t.startValue} > 0 and ${t.startValue} < 'Infinity' and ${t.endValue} > '-Infinity' and ${t.endValue} < 'Infinity') is not false`,
    ),
    check('resolution_contradictions_recorded_at', sql`isfinite(${t.recordedAt})`),
  ],
);

/** The evidence that a resolution cites; the foreign keys require that it belongs to the same outlook. */
export const resolutionEvidence = pgTable(
  'resolution_evidence',
  {
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    number: integer('number').notNull(),
    position: integer('position').notNull(),
    evidenceId: uuid('evidence_id').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.number, t.position] }),
    foreignKey({
      name: 'resolution_evidence_resolution',
      columns: [t.outlookId, t.number],
      foreignColumns: [resolutions.outlookId, resolutions.number],
    }),
    foreignKey({
      name: 'resolution_evidence_of_outlook',
      columns: [t.outlookId, t.evidenceId],
      foreignColumns: [evidence.outlookId, evidence.id],
    }),
  ],
);
