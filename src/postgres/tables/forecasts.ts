import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  date,
  doublePrecision,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';
import { FORECAST_SOURCES, type ForecastSource } from '../../domain/track-record.ts';
import { analysts } from './api-keys.ts';
import { bytea, literals, timestamptz } from './columns.ts';
import { instruments } from './instruments.ts';
import { outlooks } from './outlooks.ts';

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
