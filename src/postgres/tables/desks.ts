import { sql } from 'drizzle-orm';
import { check, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { timestamptz } from './columns.ts';

// The first desk, with the id 1, owns what earlier releases published.
export const desks = pgTable(
  'desks',
  {
    id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
    slug: text('slug').notNull().unique(),
    name: text('name').notNull(),
    createdAt: timestamptz('created_at').notNull(),
    // How often its name changed; a trigger counts.
    changes: integer('changes').notNull().default(0),
  },
  (t) => [
    check('desks_slug', sql`${t.slug} ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(${t.slug}) <= 100`),
    check(
      'desks_name',
      sql`${t.name} = btrim(${t.name}) and ${t.name} !~ '[[:cntrl:]]' and length(${t.name}) between 1 and 300`,
    ),
  ],
);
