import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  date,
  doublePrecision,
  foreignKey,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';
import {
  CONDITION_STATES,
  type ConditionState,
  JUDGED_ON,
  type JudgedOn,
  type Operator,
  OPERATORS,
} from '../../domain/condition-rules.ts';
import {
  ANSWER_WAYS,
  type AnswerWay,
  CHANGE_CAUSES,
  type ChangeCause,
  type SeriesValue,
} from '../../domain/review.ts';
import { SCENARIO_NAMES, type ScenarioName } from '../../domain/probabilities.ts';
import { analysts } from './api-keys.ts';
import { identity, literals, timestamptz } from './columns.ts';
import { evidence } from './evidence.ts';
import { frameworks, invalidationConditions } from './frameworks.ts';
import { outlooks } from './outlooks.ts';
import { series } from './series.ts';
import { outlookVersions } from './versions.ts';

// The rule of a condition: one comparison, or several that the condition combines.
export const conditionComparisons = pgTable(
  'condition_comparisons',
  {
    frameworkId: bigint('framework_id', { mode: 'number' })
      .notNull()
      .references(() => frameworks.id),
    conditionKey: text('condition_key').notNull(),
    position: integer('position').notNull(),
    seriesId: bigint('series_id', { mode: 'number' })
      .notNull()
      .references(() => series.id),
    operator: text('operator').$type<Operator>().notNull(),
    threshold: doublePrecision('threshold').notNull(),
    forObservations: integer('for_observations').notNull(),
    // Null: on the day that the period of an observation ended.
    judgedOn: text('judged_on').$type<JudgedOn>(),
  },
  (t) => [
    primaryKey({ columns: [t.frameworkId, t.conditionKey, t.position] }),
    foreignKey({
      name: 'condition_comparisons_condition',
      columns: [t.frameworkId, t.conditionKey],
      foreignColumns: [invalidationConditions.frameworkId, invalidationConditions.key],
    }),
    index('condition_comparisons_of_series').on(t.seriesId, t.frameworkId), // for the rules that watch a series
    check('condition_comparisons_operator', sql`${t.operator} in (${literals(OPERATORS)})`),
    check(
      'condition_comparisons_threshold',
      sql`${t.threshold} > '-Infinity' and ${t.threshold} < 'Infinity'`,
    ),
    check('condition_comparisons_judged_on', sql`${t.judgedOn} in (${literals(JUDGED_ON)})`),
    check('condition_comparisons_for_observations', sql`${t.forObservations} between 1 and 1000`),
  ],
);

/** The changes of each condition's state; a condition without any is untriggered. */
export const conditionChanges = pgTable(
  'condition_changes',
  {
    id: identity(),
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    key: text('key').notNull(),
    state: text('state').$type<ConditionState>().notNull(),
    cause: text('cause').$type<ChangeCause>().notNull(),
    invalidates: text('invalidates').$type<ScenarioName>().notNull(),
    // The newest version at the time of the change; a trigger sets it.
    version: integer('version').notNull(),
    /** A sentence for the people who have to answer the condition. */
    reason: text('reason').notNull(),
    day: date('day'),
    observations: json('observations').$type<SeriesValue[]>().notNull(),
    authorId: uuid('author_id').references(() => analysts.id),
    rationale: text('rationale'),
    overrideReason: text('override_reason'),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [
    foreignKey({
      name: 'condition_changes_version',
      columns: [t.outlookId, t.version],
      foreignColumns: [outlookVersions.outlookId, outlookVersions.version],
    }),
    unique('condition_changes_outlook').on(t.outlookId, t.id),
    // For the states now, at a version and at a time.
    index('condition_changes_of_outlook').on(t.outlookId, t.key, t.id),
    check('condition_changes_state', sql`${t.state} in (${literals(CONDITION_STATES)})`),
    check('condition_changes_cause', sql`${t.cause} in (${literals(CHANGE_CAUSES)})`),
    check('condition_changes_invalidates', sql`${t.invalidates} in (${literals(SCENARIO_NAMES)})`),
    check(
      'condition_changes_assessed',
      sql`num_nulls(${t.authorId}, ${t.rationale}) = case when ${t.cause} = 'assessment' then 0 else 2 end and (${t.overrideReason} is null or ${t.cause} = 'assessment')`,
    ),
    check('condition_changes_reason', sql`${t.reason} <> ''`),
    check('condition_changes_observations', sql`json_typeof(${t.observations}) = 'array'`),
  ],
);

/** The evidence that an assessment cites; the foreign keys require that it belongs to the same outlook. */
export const conditionEvidence = pgTable(
  'condition_evidence',
  {
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    changeId: bigint('change_id', { mode: 'number' }).notNull(),
    position: integer('position').notNull(),
    evidenceId: uuid('evidence_id').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.changeId, t.position] }),
    foreignKey({
      name: 'condition_evidence_change',
      columns: [t.outlookId, t.changeId],
      foreignColumns: [conditionChanges.outlookId, conditionChanges.id],
    }),
    foreignKey({
      name: 'condition_evidence_of_outlook',
      columns: [t.outlookId, t.evidenceId],
      foreignColumns: [evidence.outlookId, evidence.id],
    }),
  ],
);

/** How a version answered a triggered condition. */
export const conditionAnswers = pgTable(
  'condition_answers',
  {
    changeId: bigint('change_id', { mode: 'number' }).primaryKey(),
    outlookId: bigint('outlook_id', { mode: 'number' }).notNull(),
    // Its foreign key is deferred, because answers are written before their version.
    version: integer('version').notNull(),
    way: text('way').$type<AnswerWay>().notNull(),
    reason: text('reason'),
  },
  (t) => [
    foreignKey({
      name: 'condition_answers_version',
      columns: [t.outlookId, t.version],
      foreignColumns: [outlookVersions.outlookId, outlookVersions.version],
    }),
    foreignKey({
      name: 'condition_answers_change',
      columns: [t.outlookId, t.changeId],
      foreignColumns: [conditionChanges.outlookId, conditionChanges.id],
    }),
    index('condition_answers_of_version').on(t.outlookId, t.version),
    check('condition_answers_way', sql`${t.way} in (${literals(ANSWER_WAYS)})`),
    check('condition_answers_reason', sql`(${t.way} = 'acknowledged') = (${t.reason} is not null)`),
  ],
);

/** The changes of the drawdown label that applies to an outlook's instrument. */
export const drawdownChanges = pgTable(
  'drawdown_changes',
  {
    id: identity(),
    outlookId: bigint('outlook_id', { mode: 'number' })
      .notNull()
      .references(() => outlooks.id),
    version: integer('version').notNull(),
    // Null when no label applies any more.
    label: text('label'),
    depth: doublePrecision('depth').notNull(),
    day: date('day').notNull(),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [
    foreignKey({
      name: 'drawdown_changes_version',
      columns: [t.outlookId, t.version],
      foreignColumns: [outlookVersions.outlookId, outlookVersions.version],
    }),
    index('drawdown_changes_of_outlook').on(t.outlookId, t.id), // for the newest
    check('drawdown_changes_depth', sql`${t.depth} >= 0 and ${t.depth} < 'Infinity'`),
  ],
);
