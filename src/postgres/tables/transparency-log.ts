import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  foreignKey,
  index,
  integer,
  pgSequence,
  pgTable,
  primaryKey,
  smallint,
  text,
  uuid,
} from 'drizzle-orm/pg-core';
import { bytea, identity, timestamptz } from './columns.ts';
import { analysts } from './api-keys.ts';

// The ids of writes.
export const writesId = pgSequence('writes_id_seq');

// One row for each statement that wrote rows of a table. Triggers write it, with the rights of the tables' owner.
export const rowDigests = pgTable(
  'row_digests',
  {
    // A write is a transaction, or a part of one before SET CONSTRAINTS.
    writeId: bigint('write_id', { mode: 'number' }).notNull(),
    number: integer('number').notNull(),
    relation: text('relation').notNull(),
    // `found` digests rows that were there before the log. The newest digest of a key says what its row is now.
    operation: text('operation').$type<'insert' | 'update' | 'delete' | 'found'>().notNull(),
    // The primary key of each row: row_key().
    keys: text('keys').array().notNull(),
    // Null once it is erased.
    salt: bytea('salt'),
    // The leaf hash of each row, 32 bytes: row_hash() of row_salt() and row_text().
    hashes: bytea('hashes').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.writeId, t.number] }),
    // For the receipts of what is older than the log.
    index('row_digests_found')
      .using('gin', t.keys)
      .where(sql`${t.operation} = 'found'`),
    check('row_digests_operation', sql`${t.operation} in ('insert', 'update', 'delete', 'found')`),
    check(
      'row_digests_lengths',
      sql`length(${t.salt}) = 32 and cardinality(${t.keys}) > 0
        and length(${t.hashes}) = 32 * cardinality(${t.keys})`,
    ),
  ],
);

// What a leaf of the log commits to. Triggers write it when the transaction commits.
export const openings = pgTable(
  'openings',
  {
    // An event. No foreign key, because the function that opens events reads them, and events are never deleted.
    eventId: bigint('event_id', { mode: 'number' }).primaryKey(),
    writeId: bigint('write_id', { mode: 'number' }).notNull(),
    // Both are null once they are erased.
    salt: bytea('salt'),
    // Canonical JSON (RFC 8785).
    content: text('content'),
    // HMAC-SHA-256 of the content with the salt as the key.
    commitment: bytea('commitment').notNull(),
  },
  (t) => [
    check(
      'openings_lengths',
      sql`length(${t.salt}) = 32 and length(${t.commitment}) = 32 and num_nulls(${t.salt}, ${t.content}) <> 1`,
    ),
  ],
);

// Leaf i of generation 1 is the event with place i + 1 in the log (log_position). In later generations, leaf 0 is the statement
// of this row, and leaf i the event with place after_position + i.
export const logGenerations = pgTable(
  'log_generations',
  {
    generation: integer('generation').primaryKey(),
    origin: text('origin').notNull().unique('log_generations_origin_unique'),
    startedAt: timestamptz('started_at').notNull(),
    afterPosition: bigint('after_position', { mode: 'number' }).notNull(),
    // The last tree that was signed of the generation before.
    previousSize: bigint('previous_size', { mode: 'number' }),
    previousRoot: bytea('previous_root'),
    salt: bytea('salt'),
    content: text('content'),
    commitment: bytea('commitment'),
    // The tree so far.
    size: bigint('size', { mode: 'number' }).notNull().default(0),
    root: bytea('root')
      .notNull()
      .default(sql`sha256('')`),
  },
  (t) => [
    check(
      'log_generations_statement',
      sql`case when ${t.generation} = 1 then ${t.afterPosition} = 0
          and num_nonnulls(${t.previousSize}, ${t.previousRoot}, ${t.salt}, ${t.content}, ${t.commitment}) = 0
        else ${t.generation} > 1
          and num_nulls(${t.previousSize}, ${t.previousRoot}, ${t.salt}, ${t.content}, ${t.commitment}) = 0
          and ${t.afterPosition} >= 0 and ${t.previousSize} >= 0 and length(${t.previousRoot}) = 32
          and length(${t.salt}) = 32 and length(${t.commitment}) = 32 end`,
    ),
    check('log_generations_tree', sql`${t.size} >= 0 and length(${t.root}) = 32`),
    // A line of a checkpoint, and a name of a key: without spaces and `+`.
    check('log_generations_name', sql`${t.origin} ~ '^[!-*,-~]{1,255}$'`),
  ],
);

// The tiles of a tree: hashes of 32 bytes, 256 of them once a tile is full.
export const logTiles = pgTable(
  'log_tiles',
  {
    generation: integer('generation').notNull(),
    level: smallint('level').notNull(),
    number: bigint('number', { mode: 'number' }).notNull(),
    hashes: bytea('hashes').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.generation, t.level, t.number] }),
    foreignKey({
      name: 'log_tiles_generation',
      columns: [t.generation],
      foreignColumns: [logGenerations.generation],
    }),
    check('log_tiles_place', sql`${t.level} between 0 and 63 and ${t.number} >= 0`),
    check(
      'log_tiles_width',
      sql`length(${t.hashes}) between 32 and 8192 and length(${t.hashes}) % 32 = 0`,
    ),
  ],
);

// The newest signed checkpoint, and those that witnesses cosigned last.
export const logCheckpoints = pgTable(
  'log_checkpoints',
  {
    generation: integer('generation').notNull(),
    size: bigint('size', { mode: 'number' }).notNull(),
    root: bytea('root').notNull(),
    // With the signatures of the log.
    note: text('note').notNull(),
    // The verifier keys of those, the current one first.
    vkeys: text('vkeys').array().notNull(),
    signedAt: timestamptz('signed_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.generation, t.size] }),
    foreignKey({
      name: 'log_checkpoints_generation',
      columns: [t.generation],
      foreignColumns: [logGenerations.generation],
    }),
    check('log_checkpoints_tree', sql`${t.size} >= 0 and length(${t.root}) = 32`),
  ],
);

// What witnesses signed of the checkpoints above: of each witness, the newest.
export const logCosignatures = pgTable(
  'log_cosignatures',
  {
    generation: integer('generation').notNull(),
    size: bigint('size', { mode: 'number' }).notNull(),
    // The name of its key.
    witness: text('witness').notNull(),
    // The line of the note, without its end.
    signature: text('signature').notNull(),
    cosignedAt: timestamptz('cosigned_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.generation, t.size, t.witness] }),
    foreignKey({
      name: 'log_cosignatures_checkpoint',
      columns: [t.generation, t.size],
      foreignColumns: [logCheckpoints.generation, logCheckpoints.size],
    }),
  ],
);

// The tables with rows older than the log. digest_existing_rows() works through them.
export const digestProgress = pgTable('digest_progress', {
  relation: text('relation').primaryKey(),
  afterKey: text('after_key'),
  isDone: boolean('is_done').notNull().default(false),
});

// Whose name was erased. A new row erases the name in the same transaction; only the owner of the tables adds one.
export const erasures = pgTable('erasures', {
  id: identity(),
  analystId: uuid('analyst_id')
    .notNull()
    .unique('erasures_analyst_id_unique')
    .references(() => analysts.id),
  recordedAt: timestamptz('recorded_at').notNull(),
  // False only inside that transaction.
  isDone: boolean('is_done').notNull().default(false),
});

// The openings that held an erased name.
export const erasedOpenings = pgTable('erased_openings', {
  eventId: bigint('event_id', { mode: 'number' })
    .primaryKey()
    .references(() => openings.eventId),
  erasureId: bigint('erasure_id', { mode: 'number' })
    .notNull()
    .references(() => erasures.id),
  // The opening's content without the name.
  content: text('content').notNull(),
});
