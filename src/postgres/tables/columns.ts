import { type SQL, sql } from 'drizzle-orm';
import { bigint, customType, json, timestamp } from 'drizzle-orm/pg-core';

// Column types that several tables share. Drizzle can't describe triggers, functions and deferred keys: read those in
// migrations/schema.sql.

export const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

/** A hash such as `sha256:9f86…`, stored as 32 bytes. */
export const sha256 = customType<{ data: string; driverData: Buffer }>({
  dataType: () => 'bytea',
  toDriver: (hash) => Buffer.from(hash.slice('sha256:'.length), 'hex'),
  fromDriver: (bytes) => `sha256:${bytes.toString('hex')}`,
});

export const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' });
export const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' });
// Milliseconds, because a JavaScript Date and the API's timestamps hold no more: a value that was read equals the
// stored one.
export const timestamptz = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });
export const identity = () =>
  bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity();
// json, because jsonb reorders members: a read must give the same bytes, and so the same ETag, as the response to the
// write.
export const jsonList = <Entry>(name: string) => json(name).$type<Entry[]>().notNull();

// The transaction that wrote a version, on the version and on its outlook. Later pages of a list leave out what the
// first page could not see (src/ledger/outlook-list-page.ts).
export const transactionId = () =>
  xid8('transaction_id')
    .notNull()
    .default(sql`pg_current_xact_id()`);

/** Values of a closed list as SQL literals, separated by commas, for a CHECK constraint. */
export function literals(values: readonly string[]): SQL {
  return sql.raw(values.map((value) => `'${value}'`).join(', '));
}
