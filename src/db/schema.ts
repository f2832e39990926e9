import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  customType,
  date,
  doublePrecision,
  foreignKey,
  index,
  integer,
  json,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import type { Role } from '../domain/api-keys.ts';
import type { Faq, Metric, Positioning, Reference, Risk } from '../domain/framework.ts';
import type { VersionKind } from '../domain/hash-chain.ts';
import type { InstrumentKind } from '../domain/instrument.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import type { ScenarioName } from '../domain/probabilities.ts';
import type { Direction } from '../domain/scenarios.ts';

// The tables. What drizzle can't say (triggers, deferred keys) stands in migrations/0001_guards.sql.

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });
const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' });
// Milliseconds, because that is all a JavaScript Date and the API's timestamps hold: what is read
// compares equal to what is stored.
const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });
const identity = () => bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity();
// json, not jsonb, which reorders members: what is read back has the bytes, and so the ETag, of the
// answer to the write.
const list = <Entry>(name: string) => json(name).$type<Entry[]>().notNull();

export const instruments = pgTable(
  'instruments',
  {
    id: identity(),
    symbol: text('symbol').notNull().unique(),
    name: text('name').notNull(),
    kind: text('kind').$type<InstrumentKind>().notNull(),
    createdAt: moment('created_at').notNull(),
  },
  (t) => [
    check('instruments_symbol', sql`${t.symbol} ~ '^[A-Z0-9][A-Z0-9._-]{0,31}$'`),
    check(
      'instruments_kind',
      sql`${t.kind} in ('index', 'equity', 'fund', 'commodity', 'currency', 'rate', 'crypto')`,
    ),
  ],
);

export const analysts = pgTable('analysts', {
  id: uuid('id').primaryKey().defaultRandom(),
  name: text('name').notNull().unique(),
  createdAt: moment('created_at').notNull(),
});

export const apiKeys = pgTable(
  'api_keys',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    analystId: uuid('analyst_id')
      .notNull()
      .references(() => analysts.id),
    role: text('role').$type<Role>().notNull(),
    hash: bytea('hash').notNull().unique(),
    hint: text('hint').notNull(),
    createdAt: moment('created_at').notNull(),
    expiresAt: moment('expires_at'),
    revokedAt: moment('revoked_at'),
    lastUsedAt: moment('last_used_at'),
  },
  (t) => [
    check('api_keys_role', sql`${t.role} in ('analyst', 'feed', 'admin')`),
    check('api_keys_hash', sql`octet_length(${t.hash}) = 32`),
    check('api_keys_expiry', sql`${t.expiresAt} > ${t.createdAt}`),
    index('api_keys_newest').on(t.createdAt, t.id), // the list of keys, page by page
  ],
);

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
  },
  (t) => [
    check(
      'outlooks_slug',
      sql`${t.slug} ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(${t.slug}) <= 100`,
    ),
    check('outlooks_horizon', sql`${t.horizonFrom} < ${t.horizonTo}`),
    check('outlooks_status', sql`${t.status} in ('open', 'resolved', 'void', 'withdrawn')`),
    // The list of outlooks, page by page: all, of one instrument, of one status.
    index('outlooks_newest').on(t.publishedAt, t.id),
    index('outlooks_newest_of_instrument').on(t.instrumentId, t.publishedAt, t.id),
    index('outlooks_newest_of_status').on(t.status, t.publishedAt, t.id),
  ],
);

export const frameworks = pgTable(
  'frameworks',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    hash: bytea('hash').notNull(),
    title: text('title').notNull(),
    summary: text('summary').notNull(),
    methodology: text('methodology'),
    disclaimer: text('disclaimer'),
    risks: list<Risk>('risks'),
    positioning: list<Positioning>('positioning'),
    metrics: list<Metric>('metrics'),
    faqs: list<Faq>('faqs'),
    references: list<Reference>('references'),
  },
  (t) => [
    unique('frameworks_of_outlook').on(t.outlookId, t.id),
    check('frameworks_hash', sql`octet_length(${t.hash}) = 32`),
    check(
      'frameworks_lists',
      sql`json_typeof(${t.risks}) = 'array' and json_typeof(${t.positioning}) = 'array' and json_typeof(${t.metrics}) = 'array' and json_typeof(${t.faqs}) = 'array' and json_typeof(${t.references}) = 'array'`,
    ),
  ],
);

const frameworkId = () =>
  bigint('framework_id', { mode: 'number' })
    .notNull()
    .references(() => frameworks.id);

export const scenarios = pgTable(
  'scenarios',
  {
    frameworkId: frameworkId(),
    name: text('name').$type<ScenarioName>().notNull(),
    title: text('title').notNull(),
    outcome: text('outcome').notNull(),
    conditions: text('conditions').notNull(),
    direction: text('direction').$type<Direction>().notNull(),
    directionComment: text('direction_comment'),
    // Both null: the scenario has no return band, as a band is open at one end at the most.
    returnMin: doublePrecision('return_min'),
    returnMax: doublePrecision('return_max'),
  },
  (t) => [
    primaryKey({ columns: [t.frameworkId, t.name] }),
    check('scenarios_name', sql`${t.name} in ('bear', 'base', 'bull')`),
    check('scenarios_direction', sql`${t.direction} in ('lower', 'sideways', 'higher')`),
  ],
);

export const headwinds = pgTable(
  'headwinds',
  {
    frameworkId: frameworkId(),
    key: text('key').notNull(),
    rank: integer('rank').notNull(),
    title: text('title').notNull(),
    description: text('description').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.frameworkId, t.key] }),
    unique('headwinds_rank').on(t.frameworkId, t.rank),
    check('headwinds_rank_from_1', sql`${t.rank} >= 1`),
  ],
);

export const drawdownLabels = pgTable(
  'drawdown_labels',
  {
    frameworkId: frameworkId(),
    key: text('key').notNull(),
    position: integer('position').notNull(),
    label: text('label').notNull(),
    minDepth: doublePrecision('min_depth'),
    typicalCause: text('typical_cause').notNull(),
    implication: text('implication').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.frameworkId, t.key] }),
    unique('drawdown_labels_position').on(t.frameworkId, t.position),
    check('drawdown_labels_min_depth', sql`${t.minDepth} > 0 and ${t.minDepth} <= 1`),
  ],
);

export const invalidationConditions = pgTable(
  'invalidation_conditions',
  {
    frameworkId: frameworkId(),
    key: text('key').notNull(),
    position: integer('position').notNull(),
    invalidates: text('invalidates').$type<ScenarioName>().notNull(),
    statement: text('statement').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.frameworkId, t.key] }),
    unique('invalidation_conditions_position').on(t.frameworkId, t.position),
    check('invalidation_conditions_invalidates', sql`${t.invalidates} in ('bear', 'base', 'bull')`),
  ],
);

export const outlookVersions = pgTable(
  'outlook_versions',
  {
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    version: integer('version').notNull(),
    kind: text('kind').$type<VersionKind>().notNull(),
    frameworkId: bigint('framework_id', { mode: 'number' }).notNull(),
    bearBps: integer('bear_bps').notNull(),
    baseBps: integer('base_bps').notNull(),
    bullBps: integer('bull_bps').notNull(),
    authorId: uuid('author_id')
      .notNull()
      .references(() => analysts.id),
    rationale: text('rationale').notNull(),
    recordedAt: moment('recorded_at').notNull(),
    hash: bytea('hash').notNull(),
    previousHash: bytea('previous_hash'),
    // Which transaction wrote the version: a walk through a list asks whether its first page could
    // see it (db/outlooks.ts).
    transactionId: xid8('transaction_id')
      .notNull()
      .default(sql`pg_current_xact_id()`),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.version] }),
    foreignKey({
      name: 'outlook_versions_framework',
      columns: [t.outlookId, t.frameworkId],
      foreignColumns: [frameworks.outlookId, frameworks.id],
    }),
    check(
      'outlook_versions_probabilities_sum_to_1',
      sql`${t.bearBps} + ${t.baseBps} + ${t.bullBps} = 10000`,
    ),
    check(
      'outlook_versions_probabilities_in_range',
      sql`${t.bearBps} between 0 and 10000 and ${t.baseBps} between 0 and 10000 and ${t.bullBps} between 0 and 10000`,
    ),
    check('outlook_versions_rationale', sql`${t.rationale} ~ '[^ \\t\\r\\n]'`),
    check('outlook_versions_from_1', sql`${t.version} >= 1`),
    check('outlook_versions_kind', sql`${t.kind} in ('created', 'probabilities', 'framework')`),
    check('outlook_versions_created_first', sql`(${t.version} = 1) = (${t.kind} = 'created')`),
    check(
      'outlook_versions_hash',
      sql`octet_length(${t.hash}) = 32 and (octet_length(${t.previousHash}) = 32) is not false`,
    ),
    check('outlook_versions_chained', sql`(${t.version} = 1) = (${t.previousHash} is null)`),
  ],
);

export const events = pgTable(
  'events',
  {
    id: identity(),
    kind: text('kind').$type<'outlook.created' | 'outlook.version.published'>().notNull(),
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    version: integer('version').notNull(),
    data: jsonb('data').notNull(),
    recordedAt: moment('recorded_at').notNull(),
    // Null until the event has its place in the order that readers follow.
    position: bigint('position', { mode: 'number' }).unique(),
  },
  (t) => [
    foreignKey({
      name: 'events_version',
      columns: [t.outlookId, t.version],
      foreignColumns: [outlookVersions.outlookId, outlookVersions.version],
    }),
    check('events_kind', sql`${t.kind} in ('outlook.created', 'outlook.version.published')`),
    uniqueIndex('events_once_a_version')
      .on(t.outlookId, t.version)
      .where(sql`${t.kind} in ('outlook.created', 'outlook.version.published')`),
    index('events_without_position')
      .on(t.id)
      .where(sql`${t.position} is null`),
  ],
);
