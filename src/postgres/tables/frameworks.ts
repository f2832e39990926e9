import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  doublePrecision,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  unique,
} from 'drizzle-orm/pg-core';
import type { Faq, Metric, Positioning, Reference, Risk } from '../../domain/framework.ts';
import { SCENARIO_NAMES, type ScenarioName } from '../../domain/probabilities.ts';
import { type Direction, DIRECTIONS } from '../../domain/scenarios.ts';
import { jsonList, literals, sha256, tsvector } from './columns.ts';
import { outlooks } from './outlooks.ts';

export const frameworks = pgTable(
  'frameworks',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    hash: sha256('hash').notNull(),
    title: text('title').notNull(),
    summary: text('summary').notNull(),
    methodology: text('methodology'),
    disclaimer: text('disclaimer'),
    risks: jsonList<Risk>('risks'),
    positioning: jsonList<Positioning>('positioning'),
    metrics: jsonList<Metric>('metrics'),
    faqs: jsonList<Faq>('faqs'),
    references: jsonList<Reference>('references'),
    // The words that a search finds it by; triggers collect them from the framework's parts, its outlook and its authors.
    search: tsvector('search')
      .notNull()
      .default(sql`''`),
  },
  (t) => [
    unique('frameworks_of_outlook').on(t.outlookId, t.id),
    index('frameworks_search').using('gin', t.search),
    check('frameworks_hash', sql`octet_length(${t.hash}) = 32`),
    check(
      'frameworks_lists',
      sql`json_typeof(${t.risks}) = 'array' and json_typeof(${t.positioning}) = 'array' and json_typeof(${t.metrics}) = 'array' and json_typeof(${t.faqs}) = 'array' and json_typeof(${t.references}) = 'array'`,
    ),
  ],
);

// The newest framework whose words an earlier release collected; none once refresh_search() has collected all anew.
export const searchBacklog = pgTable(
  'search_backlog',
  {
    isOnly: boolean('is_only').primaryKey().default(true),
    frameworkId: bigint('framework_id', { mode: 'number' }).notNull(),
  },
  (t) => [check('search_backlog_is_only', sql`${t.isOnly}`)],
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
    // Both null if the scenario has no return band; a band has one open end at most.
    returnMin: doublePrecision('return_min'),
    returnMax: doublePrecision('return_max'),
    // The return over the horizon that the desk expects in this scenario, a fraction.
    centralReturn: doublePrecision('central_return'),
  },
  (t) => [
    primaryKey({ columns: [t.frameworkId, t.name] }),
    check('scenarios_name', sql`${t.name} in (${literals(SCENARIO_NAMES)})`),
    check('scenarios_direction', sql`${t.direction} in (${literals(DIRECTIONS)})`),
    check(
      'scenarios_central_return',
      sql`(${t.centralReturn} > '-Infinity' and ${t.centralReturn} < 'Infinity' and (${t.centralReturn} >= ${t.returnMin}) is not false and (${t.centralReturn} < ${t.returnMax}) is not false) is not false`,
    ),
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
    speedDepth: doublePrecision('speed_depth'),
    speedDays: integer('speed_days'),
    typicalCause: text('typical_cause').notNull(),
    implication: text('implication').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.frameworkId, t.key] }),
    unique('drawdown_labels_position').on(t.frameworkId, t.position),
    check('drawdown_labels_min_depth', sql`${t.minDepth} > 0 and ${t.minDepth} <= 1`),
    check(
      'drawdown_labels_speed',
      sql`num_nulls(${t.speedDepth}, ${t.speedDays}) in (0, 2) and num_nonnulls(${t.minDepth}, ${t.speedDepth}) <= 1 and (${t.speedDepth} > 0 and ${t.speedDepth} <= 1 and ${t.speedDays} between 1 and 3660) is not false`,
    ),
  ],
);

const COMBINATIONS = ['all', 'any'] as const;

export const invalidationConditions = pgTable(
  'invalidation_conditions',
  {
    frameworkId: frameworkId(),
    key: text('key').notNull(),
    position: integer('position').notNull(),
    invalidates: text('invalidates').$type<ScenarioName>().notNull(),
    statement: text('statement').notNull(),
    // How the comparisons of its rule are combined; null unless there are several.
    combination: text('combination').$type<(typeof COMBINATIONS)[number]>(),
  },
  (t) => [
    primaryKey({ columns: [t.frameworkId, t.key] }),
    check(
      'invalidation_conditions_combination',
      sql`${t.combination} in (${literals(COMBINATIONS)})`,
    ),
    unique('invalidation_conditions_position').on(t.frameworkId, t.position),
    check(
      'invalidation_conditions_invalidates',
      sql`${t.invalidates} in (${literals(SCENARIO_NAMES)})`,
    ),
  ],
);
