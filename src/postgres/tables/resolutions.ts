import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  date,
  doublePrecision,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import { SCENARIO_NAMES, type ScenarioName } from '../../domain/probabilities.ts';
import { FORECAST_SOURCES, type ForecastSource } from '../../domain/track-record.ts';
import { analysts } from './api-keys.ts';
import { bytea, literals, timestamptz } from './columns.ts';
import { evidence } from './evidence.ts';
import { instruments } from './instruments.ts';
import { outlooks } from './outlooks.ts';

// What came about. A later resolution of an outlook corrects the one before it; both are kept.
export const resolutions = pgTable(
  'resolutions',
  {
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    number: integer('number').notNull(),
    // Null if the outlook is void.
    outcome: text('outcome').$type<ScenarioName>(),
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
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.number] }),
    uniqueIndex('resolutions_standing')
      .on(t.outlookId)
      .where(sql`${t.supersededAt} is null`),
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
    check(
      'resolutions_reason_given',
      sql`${t.reason} is not null or (${t.number} = 1 and ${t.outcome} is not null)`,
    ),
    // An outcome that contradicts the closes or the return needs a reason.
    check(
      'resolutions_contradiction',
      sql`${t.reason} is not null or ${t.bandLow} is null or ((${t.outcome} = case when ${t.endValue} / ${t.startValue} - 1 < ${t.bandLow} then 'bear' when ${t.endValue} / ${t.startValue} - 1 < ${t.bandHigh} then 'base' when ${t.endValue} is not null then 'bull' end) is not false and (${t.outcome} = case when ${t.realisedReturn} < ${t.bandLow} then 'bear' when ${t.realisedReturn} < ${t.bandHigh} then 'base' when ${t.realisedReturn} is not null then 'bull' end) is not false)`,
    ),
    check('resolutions_superseded', sql`${t.supersededAt} >= ${t.recordedAt}`),
    check('resolutions_recorded_at', sql`isfinite(${t.recordedAt})`),
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

// The analysts who forecast in an outlook, by versions or by views; triggers maintain it.
export const forecasters = pgTable(
  'forecasters',
  {
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    source: text('source').$type<ForecastSource>().notNull(),
    analystId: uuid('analyst_id')
      .notNull()
      .references(() => analysts.id),
    since: timestamptz('since').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.source, t.analystId] }),
    index('forecasters_of_analyst').on(t.analystId, t.source, t.outlookId),
    check('forecasters_source', sql`${t.source} in (${literals(FORECAST_SOURCES)})`),
  ],
);

/**
 * The forecasts of each forecaster over the horizon of a closed outlook, summed up for track records, whatever the
 * outcome. A trigger derives the sums from the versions and views when the outlook is closed; they never change. Each
 * forecast p counts with w, the time for which it was current as a share of the whole horizon. Two columns are packed,
 * in network byte order:
 * - `buckets`: 18 bytes for each tenth [0, 0.1), … [0.9, 1] that a probability was in: an int2 (the scenario, bear 0,
 *   base 1 or bull 2, times ten, plus the tenth from 0), then Σ w and Σ w p in it (float8 each)
 * - `leads`: 4 bytes for each tenth of the horizon, from its start to its end: the probabilities of bear and base then, in
 *   basis points (int2 each), −1 if there was no forecast
 */
export const forecastSums = pgTable(
  'forecast_sums',
  {
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    source: text('source').$type<ForecastSource>().notNull(),
    // Null for the outlook as a whole, no matter who wrote its versions.
    analystId: uuid('analyst_id').references(() => analysts.id),
    // Versions whose frameworks have different return bands are summed separately.
    position: integer('position').notNull(),
    instrumentId: bigint('instrument_id', { mode: 'number' })
      .notNull()
      .references(() => instruments.id),
    // The end of the horizon.
    dueOn: date('due_on').notNull(),
    bandLow: doublePrecision('band_low'),
    bandHigh: doublePrecision('band_high'),
    // Σ w; then, for each scenario, Σ w p, Σ w p² and −Σ w ln p.
    share: doublePrecision('share').notNull(),
    bear: doublePrecision('bear').notNull(),
    base: doublePrecision('base').notNull(),
    bull: doublePrecision('bull').notNull(),
    bearSquared: doublePrecision('bear_squared').notNull(),
    baseSquared: doublePrecision('base_squared').notNull(),
    bullSquared: doublePrecision('bull_squared').notNull(),
    bearLog: doublePrecision('bear_log').notNull(),
    baseLog: doublePrecision('base_log').notNull(),
    bullLog: doublePrecision('bull_log').notNull(),
    buckets: bytea('buckets').notNull(),
    leads: bytea('leads').notNull(),
  },
  (t) => [
    // For the pages of a track record. Nulls count as equal, because they all mean the whole outlook.
    unique('forecast_sums_of_analyst')
      .on(t.analystId, t.source, t.outlookId, t.position)
      .nullsNotDistinct(),
    // The same for whole outlooks. Postgres doesn't take `is null` for a fixed first column, so only a partial index gives
    // the order.
    index('forecast_sums_of_outlooks')
      .on(t.outlookId, t.position)
      .where(sql`${t.analystId} is null`),
    index('forecast_sums_of_instrument')
      .on(t.instrumentId, t.outlookId, t.position)
      .where(sql`${t.analystId} is null`),
    check('forecast_sums_source', sql`${t.source} in (${literals(FORECAST_SOURCES)})`),
    check('forecast_sums_share', sql`${t.share} > 0 and ${t.share} < 1.000001`),
    check(
      'forecast_sums_packed',
      sql`octet_length(${t.buckets}) % 18 = 0 and octet_length(${t.leads}) = 44`,
    ),
  ],
);
