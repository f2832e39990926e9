import { sql } from 'drizzle-orm';
import { bigint, check, index, integer, json, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { EVERY_MINUTES, SOURCE_KINDS, type SourceKind } from '../../domain/pulls.ts';
import { literals, timestamptz } from './columns.ts';
import { series } from './series.ts';

// Where a series is pulled from, and how its pulls went. A source with another place is a new row.
export const seriesSources = pgTable(
  'series_sources',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    seriesId: bigint('series_id', { mode: 'number' })
      .notNull()
      .unique()
      .references(() => series.id),
    kind: text('kind').$type<SourceKind>().notNull(),
    // What the provider calls the series; null for a URL.
    providerId: text('provider_id'),
    url: text('url'),
    // How the file at the URL is laid out, as an import describes it.
    layout: json('layout'),
    // Pulls from one host wait for each other.
    host: text('host').notNull(),
    everyMinutes: integer('every_minutes').notNull(),
    setAt: timestamptz('set_at').notNull(),
    // When the next pull is due or, during a pull, when that pull counts as lost.
    dueAt: timestamptz('due_at').notNull(),
    // How many pulls were started. An instance whose number is not the latest has lost the source to another.
    attempts: integer('attempts').notNull().default(0),
    // Null unless a pull is under way.
    startedAt: timestamptz('started_at'),
    // Since the last success.
    failures: integer('failures').notNull().default(0),
    lastSuccessAt: timestamptz('last_success_at'),
    lastAdded: integer('last_added'),
    lastRevised: integer('last_revised'),
    lastUnchanged: integer('last_unchanged'),
    lastErrorAt: timestamptz('last_error_at'),
    lastError: text('last_error'),
    // What the server said about the file of the last success.
    etag: text('etag'),
    lastModified: text('last_modified'),
  },
  (t) => [
    index('series_sources_due').on(t.host, t.dueAt, t.id), // for the first that is due at each host
    check('series_sources_kind', sql`${t.kind} in (${literals(SOURCE_KINDS)})`),
    check(
      'series_sources_place',
      sql`case when ${t.kind} = 'url' then ${t.providerId} is null and num_nulls(${t.url}, ${t.layout}) = 0
        else ${t.providerId} is not null and num_nulls(${t.url}, ${t.layout}) = 2 end`,
    ),
    check('series_sources_provider_id', sql`length(${t.providerId}) between 1 and 300`),
    check(
      'series_sources_url',
      sql`${t.url} ~ '^https?://' and ${t.url} !~ '^https?://[^/?#]*@' and length(${t.url}) <= 2000`,
    ),
    check(
      'series_sources_layout',
      sql`json_typeof(${t.layout}) = 'object' and length(${t.layout}::text) <= 10000`,
    ),
    check('series_sources_host', sql`length(${t.host}) between 1 and 300`),
    check(
      'series_sources_every_minutes',
      sql.raw(
        `"series_sources"."every_minutes" between ${EVERY_MINUTES.min} and ${EVERY_MINUTES.max}`,
      ),
    ),
    check('series_sources_attempts', sql`${t.attempts} >= 0 and ${t.failures} >= 0`),
    check(
      'series_sources_success',
      sql`num_nulls(${t.lastSuccessAt}, ${t.lastAdded}, ${t.lastRevised}, ${t.lastUnchanged}) in (0, 4)
        and (least(${t.lastAdded}, ${t.lastRevised}, ${t.lastUnchanged}) >= 0) is not false`,
    ),
    check(
      'series_sources_error',
      sql`num_nulls(${t.lastErrorAt}, ${t.lastError}) in (0, 2) and (length(${t.lastError}) between 1 and 300) is not false
        and (${t.failures} = 0 or ${t.lastError} is not null)`,
    ),
    check(
      'series_sources_validators',
      sql`(length(${t.etag}) <= 300) is not false and (length(${t.lastModified}) <= 300) is not false`,
    ),
  ],
);
