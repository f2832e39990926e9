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
  smallint,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';
import { SCENARIO_NAMES, type ScenarioName } from '../../domain/probabilities.ts';
import {
  FORECAST_SOURCES,
  type ForecastSource,
  SUM_SOURCES,
  type SumSource,
} from '../../domain/track-record.ts';
import { analysts } from './api-keys.ts';
import { literals, timestamptz } from './columns.ts';
import { instruments } from './instruments.ts';
import { outlooks } from './outlooks.ts';
import { resolutions } from './resolutions.ts';

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
 * How each forecaster did in an outlook by one of its resolutions: sums over the forecasts that were current within the
 * horizon until the outcome was known. Each forecast p counts with w, the time for which it was current as a share of
 * the whole horizon. A trigger derives the sums when the resolution is recorded; they never change.
 */
export const forecastSums = pgTable(
  'forecast_sums',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    number: integer('number').notNull(),
    source: text('source').$type<SumSource>().notNull(),
    // Null for the outlook as a whole, no matter who wrote its versions.
    analystId: uuid('analyst_id').references(() => analysts.id),
    instrumentId: bigint('instrument_id', { mode: 'number' })
      .notNull()
      .references(() => instruments.id),
    horizonFrom: date('horizon_from').notNull(),
    horizonTo: date('horizon_to').notNull(),
    // Whether the closes imply the outcome of the resolution.
    byCloses: boolean('by_closes').notNull(),
    // The share of the horizon before the outcome was known.
    attainable: doublePrecision('attainable').notNull(),
    // Σ w of the forecasts whose outcome, by their own return bands, is this scenario.
    bearShare: doublePrecision('bear_share').notNull(),
    baseShare: doublePrecision('base_share').notNull(),
    bullShare: doublePrecision('bull_share').notNull(),
    // Σ w (p − o)² of each scenario: the Brier score is their sum.
    bearError: doublePrecision('bear_error').notNull(),
    baseError: doublePrecision('base_error').notNull(),
    bullError: doublePrecision('bull_error').notNull(),
    // Σ w times the score.
    logarithmic: doublePrecision('logarithmic').notNull(),
    rankedProbability: doublePrecision('ranked_probability').notNull(),
    // The same of what history alone says; null if that is unknown for any of the forecasts. The Brier score of combined
    // sums takes the shares before they were smoothed.
    climatologyBrier: doublePrecision('climatology_brier'),
    climatologyLogarithmic: doublePrecision('climatology_logarithmic'),
    climatologyRankedProbability: doublePrecision('climatology_ranked_probability'),
  },
  (t) => [
    // Nulls count as equal, because they all mean the whole outlook.
    unique('forecast_sums_of_resolution')
      .on(t.outlookId, t.number, t.source, t.analystId)
      .nullsNotDistinct(),
    index('forecast_sums_of_analyst').on(t.analystId, t.source),
    index('forecast_sums_of_instrument')
      .on(t.instrumentId)
      .where(sql`${t.analystId} is null`),
    foreignKey({
      name: 'forecast_sums_resolution',
      columns: [t.outlookId, t.number],
      foreignColumns: [resolutions.outlookId, resolutions.number],
    }),
    check('forecast_sums_source', sql`${t.source} in (${literals(SUM_SOURCES)})`),
    check(
      'forecast_sums_share',
      sql`least(${t.bearShare}, ${t.baseShare}, ${t.bullShare}) >= 0 and ${t.bearShare} + ${t.baseShare} + ${t.bullShare} > 0 and ${t.bearShare} + ${t.baseShare} + ${t.bullShare} < ${t.attainable} + 0.000001 and ${t.attainable} <= 1`,
    ),
    check(
      'forecast_sums_climatology',
      sql`num_nulls(${t.climatologyBrier}, ${t.climatologyLogarithmic}, ${t.climatologyRankedProbability}) in (0, 3)`,
    ),
  ],
);

const sumsId = () =>
  bigint('sums_id', { mode: 'number' })
    .notNull()
    .references(() => forecastSums.id);

/** The probabilities behind a row of sums by tenth: [0, 0.1), … [0.9, 1], numbered from 0. */
export const forecastBuckets = pgTable(
  'forecast_buckets',
  {
    sumsId: sumsId(),
    bucket: smallint('bucket').notNull(),
    // Per scenario: Σ w while its probability was in the tenth, Σ w p, and Σ w where the scenario came about.
    bearWeight: doublePrecision('bear_weight').notNull(),
    bearPredicted: doublePrecision('bear_predicted').notNull(),
    bearRealised: doublePrecision('bear_realised').notNull(),
    baseWeight: doublePrecision('base_weight').notNull(),
    basePredicted: doublePrecision('base_predicted').notNull(),
    baseRealised: doublePrecision('base_realised').notNull(),
    bullWeight: doublePrecision('bull_weight').notNull(),
    bullPredicted: doublePrecision('bull_predicted').notNull(),
    bullRealised: doublePrecision('bull_realised').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.sumsId, t.bucket] }),
    check('forecast_buckets_tenth', sql`${t.bucket} between 0 and 9`),
  ],
);

/** The forecasts behind a row of sums that were current at tenths of the horizon, 0 at its start and 10 at its end. */
export const forecastLeads = pgTable(
  'forecast_leads',
  {
    sumsId: sumsId(),
    // A forecast that was current at several tenths is one row.
    firstTenth: smallint('first_tenth').notNull(),
    lastTenth: smallint('last_tenth').notNull(),
    bearBps: integer('bear_bps').notNull(),
    baseBps: integer('base_bps').notNull(),
    bullBps: integer('bull_bps').notNull(),
    // By the forecast's own return bands.
    outcome: text('outcome').$type<ScenarioName>().notNull(),
    brier: doublePrecision('brier').notNull(),
    // The same of what history alone says; null if that is unknown.
    climatologyBrier: doublePrecision('climatology_brier'),
  },
  (t) => [
    primaryKey({ columns: [t.sumsId, t.firstTenth] }),
    check(
      'forecast_leads_tenths',
      sql`${t.firstTenth} between 0 and ${t.lastTenth} and ${t.lastTenth} <= 10`,
    ),
    check('forecast_leads_outcome', sql`${t.outcome} in (${literals(SCENARIO_NAMES)})`),
  ],
);
