import { sql } from 'drizzle-orm';
import { check, index, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { type Role, ROLES } from '../../domain/api-keys.ts';
import { analysts } from './api-keys.ts';
import { identity, literals, timestamptz } from './columns.ts';

// Writes, each in the transaction of the write itself, and refusals with 401 or 403.
export const auditEntries = pgTable(
  'audit_entries',
  {
    id: identity(),
    recordedAt: timestamptz('recorded_at').notNull(),
    kind: text('kind').$type<'write' | 'refusal'>().notNull(),
    analystId: uuid('analyst_id').references(() => analysts.id),
    role: text('role').$type<Role>(),
    // The id of a key, or the issuer and subject of a token; null when neither was recognised. A refusal without it is
    // deleted some days later.
    credential: text('credential'),
    method: text('method').notNull(),
    path: text('path').notNull(),
    status: integer('status').notNull(),
    // For writes: what was created, changed or revoked, as a path of the API, and what happened to it. Null for refusals,
    // and for the writes of an earlier release.
    subject: text('subject'),
    summary: text('summary'),
    // For refusals: the problem's type and its detail.
    problem: text('problem'),
    detail: text('detail'),
    // Null, like the analyst, when a command on the ledger's machine wrote.
    address: text('address'),
    requestId: text('request_id'),
    // Refusals that differ only in their time share an entry.
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
    check(
      'audit_entries_subject',
      sql`(${t.subject} is null) = (${t.summary} is null) and (${t.kind} = 'write' or ${t.subject} is null)
        and length(${t.subject}) <= 1000 and length(${t.summary}) <= 1000`,
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
    index('audit_entries_of_subject')
      .on(t.subject, t.id)
      .where(sql`${t.subject} is not null`),
    // For the deletion of those that expired.
    index('audit_entries_of_unknown_callers')
      .on(t.recordedAt)
      .where(sql`${t.kind} = 'refusal' and ${t.credential} is null and ${t.analystId} is null`),
  ],
);
