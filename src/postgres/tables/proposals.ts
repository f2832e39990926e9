import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  foreignKey,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  smallint,
  text,
  uuid,
} from 'drizzle-orm/pg-core';
import {
  type DraftWarning,
  PROPOSAL_KINDS,
  PROPOSAL_STATES,
  type ProposalKind,
  type ProposalState,
  STEP_KINDS,
  type StepKind,
} from '../../domain/proposals.ts';
import { analysts } from './api-keys.ts';
import { jsonList, literals, timestamptz } from './columns.ts';
import { desks } from './desks.ts';
import { outlooks } from './outlooks.ts';

// What a desk publishes only with approval: for each kind of proposal, by how many others than its author. The newest version
// of a desk counts.
export const deskPolicies = pgTable(
  'desk_policies',
  {
    deskId: integer('desk_id')
      .notNull()
      .references(() => desks.id),
    version: integer('version').notNull(),
    outlook: smallint('outlook').notNull(),
    revision: smallint('revision').notNull(),
    framework: smallint('framework').notNull(),
    resolution: smallint('resolution').notNull(),
    withdrawal: smallint('withdrawal').notNull(),
    consensus: smallint('consensus').notNull(),
    authorMayResolve: boolean('author_may_resolve').notNull(),
    authorId: uuid('author_id').references(() => analysts.id),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.deskId, t.version] }),
    check('desk_policies_from_1', sql`${t.version} >= 1`),
    check(
      'desk_policies_approvals',
      sql`${t.outlook} between 0 and 5 and ${t.revision} between 0 and 5 and ${t.framework} between 0 and 5 and ${t.resolution} between 0 and 5
        and ${t.withdrawal} between 0 and 5 and ${t.consensus} between 0 and 5`,
    ),
    check('desk_policies_recorded_at', sql`isfinite(${t.recordedAt})`),
  ],
);

// A request that has not been carried out yet.
export const proposals = pgTable(
  'proposals',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    deskId: integer('desk_id')
      .notNull()
      .references(() => desks.id),
    kind: text('kind').$type<ProposalKind>().notNull(),
    // Null for a new outlook, also once it is published: its first version then refers to the proposal.
    outlookId: bigint('outlook_id', { mode: 'number' }).references(() => outlooks.id),
    authorId: uuid('author_id')
      .notNull()
      .references(() => analysts.id),
    createdAt: timestamptz('created_at').notNull(),
    // Triggers keep what follows from its drafts and steps.
    state: text('state').$type<ProposalState>().notNull().default('draft'),
    // The numbers of the newest draft and of the newest step.
    draft: integer('draft').notNull().default(0),
    step: integer('step').notNull().default(0),
    // The version of the outlook for which it was submitted.
    baseVersion: integer('base_version'),
    publishAt: timestamptz('publish_at'),
    changedAt: timestamptz('changed_at').notNull(),
  },
  (t) => [
    index('proposals_newest').on(t.createdAt, t.id),
    index('proposals_of_outlook')
      .on(t.outlookId, t.createdAt, t.id)
      .where(sql`${t.outlookId} is not null`),
    index('proposals_unsettled')
      .on(t.deskId, t.state)
      .where(sql`${t.state} not in ('published', 'discarded')`),
    index('proposals_unsettled_of_author')
      .on(t.authorId, t.state)
      .where(sql`${t.state} not in ('published', 'discarded')`),
    // For the scheduler.
    index('proposals_due')
      .on(t.publishAt)
      .where(sql`${t.state} = 'approved'`),
    check('proposals_kind', sql`${t.kind} in (${literals(PROPOSAL_KINDS)})`),
    check('proposals_state', sql`${t.state} in (${literals(PROPOSAL_STATES)})`),
    check('proposals_outlook', sql`(${t.kind} = 'outlook') = (${t.outlookId} is null)`),
    check(
      'proposals_times',
      sql`isfinite(${t.createdAt}) and isfinite(${t.changedAt}) and isfinite(${t.publishAt}) is not false`,
    ),
  ],
);

// The texts of a proposal, as its author sent them.
export const proposalDrafts = pgTable(
  'proposal_drafts',
  {
    proposalId: uuid('proposal_id')
      .notNull()
      .references(() => proposals.id),
    number: integer('number').notNull(),
    body: json('body').$type<Record<string, unknown>>().notNull(),
    note: text('note'),
    publishAt: timestamptz('publish_at'),
    // Of a new outlook, from the body: a trigger sets it.
    title: text('title'),
    // Why it could not have been published when it was written.
    warnings: jsonList<DraftWarning>('warnings').default([]),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.proposalId, t.number] }),
    check('proposal_drafts_number', sql`${t.number} between 1 and 100`),
    check(
      'proposal_drafts_body',
      sql`json_typeof(${t.body}) = 'object' and octet_length(${t.body}::text) <= 1200000`,
    ),
    check('proposal_drafts_note', sql`${t.note} ~ '[^ \\t\\r\\n]' and length(${t.note}) <= 20000`),
    check(
      'proposal_drafts_times',
      sql`isfinite(${t.recordedAt}) and isfinite(${t.publishAt}) is not false`,
    ),
  ],
);

// What was done with a proposal, by whom, on which draft.
export const proposalSteps = pgTable(
  'proposal_steps',
  {
    proposalId: uuid('proposal_id')
      .notNull()
      .references(() => proposals.id),
    number: integer('number').notNull(),
    kind: text('kind').$type<StepKind>().notNull(),
    draft: integer('draft').notNull(),
    // Null for the service, which publishes what was approved, and returns what it can't publish.
    analystId: uuid('analyst_id').references(() => analysts.id),
    text: text('text'),
    // Of a submission: the version of the outlook, and what would be published.
    baseVersion: integer('base_version'),
    preview: json('preview').$type<Record<string, unknown>>(),
    // Of a publication: the number of the version, or of the resolution.
    version: integer('version'),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.proposalId, t.number] }),
    foreignKey({
      name: 'proposal_steps_proposal_drafts',
      columns: [t.proposalId, t.draft],
      foreignColumns: [proposalDrafts.proposalId, proposalDrafts.number],
    }),
    check('proposal_steps_number', sql`${t.number} between 1 and 1000`),
    check('proposal_steps_kind', sql`${t.kind} in (${literals(STEP_KINDS)})`),
    check(
      'proposal_steps_analyst',
      sql`case ${t.kind} when 'published' then ${t.analystId} is null when 'returned' then true else ${t.analystId} is not null end`,
    ),
    check('proposal_steps_text', sql`${t.text} ~ '[^ \\t\\r\\n]' and length(${t.text}) <= 20000`),
    check(
      'proposal_steps_words',
      sql`${t.kind} not in ('returned', 'commented') or ${t.text} is not null`,
    ),
    check(
      'proposal_steps_base',
      sql`${t.kind} = 'submitted' or num_nonnulls(${t.baseVersion}, ${t.preview}) = 0`,
    ),
    check('proposal_steps_version', sql`(${t.kind} = 'published') = (${t.version} is not null)`),
    check('proposal_steps_recorded_at', sql`isfinite(${t.recordedAt})`),
  ],
);
