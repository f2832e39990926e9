import { sql } from 'drizzle-orm';
import { check, index, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { type Role, ROLES } from '../../domain/api-keys.ts';
import { analysts } from './api-keys.ts';
import { identity, literals, timestamptz } from './columns.ts';

// Who wrote what, and who was refused for what they are; in the transaction of the write.
export const auditEntries = pgTable(
  'audit_entries',
  {
    id: identity(),
    recordedAt: timestamptz('recorded_at').notNull(),
    kind: text('kind').$type<'write' | 'refusal'>().notNull(),
    analystId: uuid('analyst_id').references(() => analysts.id),
    role: text('role').$type<Role>(),
    // The id of a key, or the issuer and the subject of a token; null where none was recognised.
    credential: text('credential'),
    method: text('method').notNull(),
    path: text('path').notNull(),
    status: integer('status').notNull(),
    // Of refusals: the kind of problem, and what was told.
    problem: text('problem'),
    detail: text('detail'),
    // Null, as is the analyst, where the ledger was written to on its own machine.
    address: text('address'),
    requestId: text('request_id'),
    // Refusals that differ in nothing but their moment are one entry.
    times: integer('times').notNull().default(1),
  },
  (t) => [
    check(
      'audit_entries_kind',
      sql`case ${t.kind}
        when 'write' then ${t.status} between 200 and 299 and num_nulls(${t.analystId}, ${t.address}) <> 1
          and ${t.problem} is null and ${t.detail} is null and ${t.times} = 1
        when 'refusal' then ${t.status} in (401, 403) and ${t.problem} is not null
          and ${t.detail} is not null and ${t.times} >= 1
        else false end`,
    ),
    check('audit_entries_role', sql`${t.role} in (${literals(ROLES)})`),
    check(
      'audit_entries_lengths',
      sql`length(${t.method}) <= 20 and length(${t.path}) <= 1000 and length(${t.detail}) <= 1000
        and length(${t.credential}) <= 1000 and length(${t.address}) <= 100 and length(${t.requestId}) <= 100`,
    ),
    index('audit_entries_of_analyst').on(t.analystId, t.id),
    index('audit_entries_refusals')
      .on(t.id)
      .where(sql`${t.kind} = 'refusal'`),
  ],
);
