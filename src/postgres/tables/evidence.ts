import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
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
import {
  CLAIM_EFFECTS,
  CLAIM_HORIZONS,
  CLAIM_TARGET_KINDS,
  type ClaimEffect,
  type ClaimHorizon,
  type ClaimTargetKind,
  type Ticker,
} from '../../domain/evidence.ts';
import { analysts } from './api-keys.ts';
import { jsonList, literals, timestamptz } from './columns.ts';
import { outlooks } from './outlooks.ts';
import { outlookVersions } from './versions.ts';

export const evidence = pgTable(
  'evidence',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    // Counts the items of an outlook from 1, in the order in which they were recorded.
    number: integer('number').notNull(),
    headline: text('headline').notNull(),
    summary: text('summary').notNull(),
    publisher: text('publisher').notNull(),
    url: text('url'),
    publishedAt: timestamptz('published_at').notNull(),
    // As the provider gave it, with the ends of the provider's scale; all null if it gave none.
    sentimentScore: doublePrecision('sentiment_score'),
    sentimentLabel: text('sentiment_label'),
    sentimentMin: doublePrecision('sentiment_min'),
    sentimentMax: doublePrecision('sentiment_max'),
    sentimentProvider: text('sentiment_provider'),
    tickers: jsonList<Ticker>('tickers'),
    corrects: uuid('corrects'),
    authorId: uuid('author_id')
      .notNull()
      .references(() => analysts.id),
    recordedAt: timestamptz('recorded_at').notNull(),
    // Of publisher and URL, as importKeyOf makes it; null for an item that no import added.
    importKey: text('import_key'),
  },
  (t) => [
    uniqueIndex('evidence_imported_once')
      .on(t.outlookId, t.importKey)
      .where(sql`${t.importKey} is not null`),
    // Finds the first item that is the same, also among many.
    index('evidence_of_source').on(
      t.outlookId,
      sql`hashtextextended(coalesce(${t.url}, ${t.headline}), 0)`,
      t.number,
    ),
    unique('evidence_number').on(t.outlookId, t.number), // for the list, newest first
    unique('evidence_of_outlook').on(t.outlookId, t.id),
    foreignKey({
      name: 'evidence_corrects',
      columns: [t.outlookId, t.corrects],
      foreignColumns: [t.outlookId, t.id],
    }),
    unique('evidence_corrected_once').on(t.corrects),
    check('evidence_number_from_1', sql`${t.number} >= 1`),
    check('evidence_not_from_the_future', sql`${t.publishedAt} <= ${t.recordedAt}`),
    check('evidence_moments', sql`isfinite(${t.publishedAt}) and isfinite(${t.recordedAt})`),
    check(
      'evidence_sentiment_whole',
      sql`num_nulls(${t.sentimentScore}, ${t.sentimentLabel}, ${t.sentimentMin}, ${t.sentimentMax}, ${t.sentimentProvider}) in (0, 5)`,
    ),
    check(
      'evidence_sentiment_on_scale',
      sql`(${t.sentimentMin} > '-Infinity' and ${t.sentimentMax} < 'Infinity' and ${t.sentimentMin} < ${t.sentimentMax} and ${t.sentimentScore} between ${t.sentimentMin} and ${t.sentimentMax}) is not false`,
    ),
    check('evidence_tickers', sql`json_typeof(${t.tickers}) = 'array'`),
  ],
);

export const evidenceClaims = pgTable(
  'evidence_claims',
  {
    evidenceId: uuid('evidence_id')
      .notNull()
      .references(() => evidence.id),
    position: integer('position').notNull(),
    statement: text('statement').notNull(),
    effect: text('effect').$type<ClaimEffect>().notNull(),
    targetKind: text('target_kind').$type<ClaimTargetKind>().notNull(),
    targetKey: text('target_key').notNull(),
    horizon: text('horizon').$type<ClaimHorizon>().notNull(),
    condition: text('condition'),
    rangeMin: doublePrecision('range_min'),
    rangeMax: doublePrecision('range_max'),
    rangeUnit: text('range_unit'),
  },
  (t) => [
    primaryKey({ columns: [t.evidenceId, t.position] }),
    check('evidence_claims_effect', sql`${t.effect} in (${literals(CLAIM_EFFECTS)})`),
    check('evidence_claims_target', sql`${t.targetKind} in (${literals(CLAIM_TARGET_KINDS)})`),
    check('evidence_claims_horizon', sql`${t.horizon} in (${literals(CLAIM_HORIZONS)})`),
    check(
      'evidence_claims_range',
      sql`num_nulls(${t.rangeMin}, ${t.rangeMax}, ${t.rangeUnit}) in (0, 3) and (${t.rangeMin} > '-Infinity' and ${t.rangeMax} < 'Infinity' and ${t.rangeMin} <= ${t.rangeMax}) is not false`,
    ),
  ],
);

/** The evidence that a version cites; the foreign keys require that it belongs to the same outlook. */
export const versionEvidence = pgTable(
  'version_evidence',
  {
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    version: integer('version').notNull(),
    position: integer('position').notNull(),
    evidenceId: uuid('evidence_id').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.version, t.position] }),
    unique('version_evidence_once').on(t.evidenceId, t.version), // for the versions that cite an item
    foreignKey({
      name: 'version_evidence_version',
      columns: [t.outlookId, t.version],
      foreignColumns: [outlookVersions.outlookId, outlookVersions.version],
    }),
    foreignKey({
      name: 'version_evidence_of_outlook',
      columns: [t.outlookId, t.evidenceId],
      foreignColumns: [evidence.outlookId, evidence.id],
    }),
    check('version_evidence_position', sql`${t.position} >= 0`),
  ],
);
