import { sql } from 'drizzle-orm';
import { check, index, integer, json, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { analysts } from './api-keys.ts';
import { bytea, timestamptz } from './columns.ts';

// Responses to writes with an Idempotency-Key, for retries; deleted after IDEMPOTENCY_HOURS.
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    analystId: uuid('analyst_id')
      .notNull()
      .references(() => analysts.id),
    key: text('key').notNull(),
    // SHA-256 of the request's method, URL, If-Match and body.
    requestHash: bytea('request_hash').notNull(),
    status: integer('status').notNull(),
    headers: json('headers').$type<Record<string, string>>().notNull(),
    body: bytea('body').notNull(),
    recordedAt: timestamptz('recorded_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.analystId, t.key] }),
    index('idempotency_keys_oldest').on(t.recordedAt),
    check('idempotency_keys_key', sql`length(${t.key}) between 1 and 255`),
    check('idempotency_keys_request_hash', sql`octet_length(${t.requestHash}) = 32`),
    check('idempotency_keys_status', sql`${t.status} between 200 and 299`),
  ],
);
