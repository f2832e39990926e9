import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import {
  POOL_METHODS,
  POOL_WEIGHTS,
  type PoolMethod,
  type PoolWeights,
} from '../../domain/consensus.ts';
import { VERSION_KINDS, type VersionKind } from '../../domain/hash-chain.ts';
import { literals, sha256, timestamptz, transactionId } from './columns.ts';
import { analysts } from './api-keys.ts';
import { frameworks } from './frameworks.ts';
import { outlooks } from './outlooks.ts';
import { proposals } from './proposals.ts';

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
    recordedAt: timestamptz('recorded_at').notNull(),
    hash: sha256('hash').notNull(),
    previousHash: sha256('previous_hash'),
    // How the views in version_views were pooled, if the probabilities are a consensus.
    consensusMethod: text('consensus_method').$type<PoolMethod>(),
    consensusWeights: text('consensus_weights').$type<PoolWeights>(),
    // In days: older views were left out; null if none was.
    consensusMaxAge: integer('consensus_max_age'),
    transactionId: transactionId(),
    // The proposal that published it; null if it needed none.
    proposalId: uuid('proposal_id').references(() => proposals.id),
  },
  (t) => [
    primaryKey({ columns: [t.outlookId, t.version] }),
    // For the version at a time and the probabilities between two times, as index-only scans.
    index('outlook_versions_as_of').on(
      t.outlookId,
      t.recordedAt,
      t.version,
      t.bearBps,
      t.baseBps,
      t.bullBps,
    ),
    // For the lists of an author's outlooks, beside the index of the forecasters: a withdrawal is no forecast.
    index('outlook_versions_withdrawn_by')
      .on(t.authorId, t.outlookId)
      .where(sql`${t.kind} = 'withdrawn'`),
    uniqueIndex('outlook_versions_of_proposal')
      .on(t.proposalId)
      .where(sql`${t.proposalId} is not null`),
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
    check('outlook_versions_recorded_at', sql`isfinite(${t.recordedAt})`),
    check('outlook_versions_from_1', sql`${t.version} >= 1`),
    check('outlook_versions_kind', sql`${t.kind} in (${literals(VERSION_KINDS)})`),
    check('outlook_versions_created_first', sql`(${t.version} = 1) = (${t.kind} = 'created')`),
    check(
      'outlook_versions_consensus',
      sql`num_nulls(${t.consensusMethod}, ${t.consensusWeights}) in (0, 2) and (${t.consensusMethod} in (${literals(POOL_METHODS)}) and ${t.consensusWeights} in (${literals(POOL_WEIGHTS)})) is not false`,
    ),
    check(
      'outlook_versions_consensus_max_age',
      sql`${t.consensusMaxAge} is null or (${t.consensusMaxAge} >= 1 and ${t.consensusMethod} is not null)`,
    ),
    check(
      'outlook_versions_hash',
      sql`octet_length(${t.hash}) = 32 and (octet_length(${t.previousHash}) = 32) is not false`,
    ),
    check('outlook_versions_chained', sql`(${t.version} = 1) = (${t.previousHash} is null)`),
  ],
);
