import { sql } from 'drizzle-orm';
import {
  check,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core';
import { type Role, ROLES } from '../../domain/api-keys.ts';
import { type AnalystChange, ANALYST_CHANGES } from '../../domain/names.ts';
import { bytea, identity, literals, timestamptz } from './columns.ts';

export const analysts = pgTable(
  'analysts',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    name: text('name').notNull().unique(),
    createdAt: timestamptz('created_at').notNull(),
    // Null for an analyst who is active.
    deactivatedAt: timestamptz('deactivated_at'),
  },
  (t) => [
    // For the list of analysts. Not in the collation of the column, as that of outlooks by slug.
    uniqueIndex('analysts_by_name').on(sql`${t.name} collate "C"`),
    // Versions show the name as their author: no two names may look the same.
    check(
      'analysts_name',
      sql`${t.name} = btrim(${t.name}) and ${t.name} !~ '[[:cntrl:]]' and length(${t.name}) between 1 and 300`,
    ),
  ],
);

// Other names of analysts, and the times when they were deactivated and reactivated. A trigger makes each change.
export const analystChanges = pgTable(
  'analyst_changes',
  {
    id: identity(),
    analystId: uuid('analyst_id')
      .notNull()
      .references(() => analysts.id),
    kind: text('kind').notNull().$type<AnalystChange>(),
    oldName: text('old_name'),
    newName: text('new_name'),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [
    index('analyst_changes_of_analyst').on(t.analystId, t.id),
    check('analyst_changes_kind', sql`${t.kind} in (${literals(ANALYST_CHANGES)})`),
    check(
      'analyst_changes_names',
      sql`num_nonnulls(${t.oldName}, ${t.newName}) = case ${t.kind} when 'renamed' then 2 else 0 end`,
    ),
  ],
);

// How the names of analysts look: the SHA-256 of each skeleton of a name (src/domain/names.ts), which SQL can't compute.
// Two analysts never share one, so no new name looks like another. The service stores them before it adds an analyst, also
// for the analysts of an earlier release; such an analyst has none if their name looks like that of an older one.
export const analystSkeletons = pgTable(
  'analyst_skeletons',
  {
    hash: bytea('hash').primaryKey(),
    analystId: uuid('analyst_id')
      .notNull()
      .references(() => analysts.id),
  },
  (t) => [
    check('analyst_skeletons_hash', sql`octet_length(${t.hash}) = 32`),
    index('analyst_skeletons_of_analyst').on(t.analystId),
  ],
);

// The analysts that an identity provider's tokens belong to.
export const analystIdentities = pgTable(
  'analyst_identities',
  {
    issuer: text('issuer').notNull(),
    subject: text('subject').notNull(),
    analystId: uuid('analyst_id')
      .notNull()
      .references(() => analysts.id),
  },
  (t) => [
    primaryKey({ columns: [t.issuer, t.subject] }),
    index('analyst_identities_of_analyst').on(t.analystId),
    check(
      'analyst_identities_lengths',
      sql`length(${t.issuer}) between 1 and 500 and length(${t.subject}) between 1 and 255`,
    ),
  ],
);

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
    createdAt: timestamptz('created_at').notNull(),
    expiresAt: timestamptz('expires_at'),
    revokedAt: timestamptz('revoked_at'),
    lastUsedAt: timestamptz('last_used_at'),
    // Who issued the key, and with what: the id of a key, the issuer and subject of a token, or LOCAL for a command on the
    // ledger's machine, which has no analyst. Both are null if an earlier release issued it.
    issuedBy: uuid('issued_by').references(() => analysts.id),
    issuedWith: text('issued_with'),
    // The ids of the desks that it acts for; null for all desks.
    deskIds: integer('desk_ids').array(),
  },
  (t) => [
    check('api_keys_role', sql`${t.role} in (${literals(ROLES)})`),
    check('api_keys_hash', sql`octet_length(${t.hash}) = 32`),
    check('api_keys_expiry', sql`${t.expiresAt} > ${t.createdAt}`),
    check(
      'api_keys_issuer',
      sql`length(${t.issuedWith}) between 1 and 1000
        and (${t.issuedBy} is null) = (${t.issuedWith} is null or ${t.issuedWith} = 'LOCAL')`,
    ),
    check(
      'api_keys_desks',
      sql`${t.deskIds} is null or ${t.role} <> 'admin' and cardinality(${t.deskIds}) > 0 and array_position(${t.deskIds}, null) is null`,
    ),
    index('api_keys_newest').on(t.createdAt, t.id), // for the pages of the list of keys
  ],
);
