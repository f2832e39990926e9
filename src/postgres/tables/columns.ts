import { sql } from 'drizzle-orm';
import { bigint, customType, json, timestamp } from 'drizzle-orm/pg-core';

// What columns of several tables are made of. What drizzle can't say of the tables (triggers, deferred
// keys) stands in migrations/0001_guards.sql.

export const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

/** A hash such as `sha256:9f86…`, kept as its 32 bytes. */
export const sha256 = customType<{ data: string; driverData: Buffer }>({
  dataType: () => 'bytea',
  toDriver: (hash) => Buffer.from(hash.slice('sha256:'.length), 'hex'),
  fromDriver: (bytes) => `sha256:${bytes.toString('hex')}`,
});

export const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' });
const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' });
// Milliseconds, because that is all a JavaScript Date and the API's timestamps hold: what is read
// compares equal to what is stored.
export const moment = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });
export const identity = () =>
  bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity();
// json, not jsonb, which reorders members: what is read back has the bytes, and so the ETag, of the
// answer to the write.
export const list = <Entry>(name: string) => json(name).$type<Entry[]>().notNull();

// The transaction that wrote a version, on the version and on its outlook: a walk through a list asks
// whether its first page could see it (db/outlook-places.ts).
export const transactionId = () =>
  xid8('transaction_id')
    .notNull()
    .default(sql`pg_current_xact_id()`);
