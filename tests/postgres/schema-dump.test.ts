import { readFile } from 'node:fs/promises';
import type pg from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { dumpSchema } from '../../src/postgres/schema-dump.ts';
import { createDatabase, openDatabase } from '../support/database.ts';

const FILE = new URL('../../migrations/schema.sql', import.meta.url);

// Without the service's role, whose rights are no part of the schema.
const pool = openDatabase(await createDatabase({ empty: true }), 1);
await migrateToLatest(pool);
afterAll(() => pool.end());

const { rows } = await pool.query<{ version: number }>(
  `select current_setting('server_version_num')::int / 10000 as version`,
);

// Other versions word constraints and triggers differently.
describe.runIf(rows[0]?.version === 18)('migrations/schema.sql', () => {
  test('is what `npm run schema` writes', async () => {
    expect(await dumpSchema(pool)).toBe(await readFile(FILE, 'utf8'));
  });

  test('creates the schema that the migrations create', async () => {
    const loaded = openDatabase(await createDatabase({ empty: true }), 1);
    try {
      await loaded.query(await readFile(FILE, 'utf8'));
      expect(await dumpSchema(loaded)).toBe(await dumpSchema(pool));
      expect(await allObjects(loaded)).toEqual(await allObjects(pool));
    } finally {
      await loaded.end();
    }
  });

  // What the dump leaves out must not go unnoticed once a migration uses it.
  test.each([
    ['a view', 'create view open_outlooks as select id from outlooks'],
    ['a storage parameter', 'alter table outlooks set (fillfactor = 70)'],
    ['a comment', `comment on column outlooks.slug is 'In the URL'`],
    ['a disabled trigger', 'alter table outlooks disable trigger guard_outlook'],
    ['another identity sequence', 'alter table events alter id set increment 10'],
    ['a column that is stored elsewhere', 'alter table frameworks alter summary set storage plain'],
    ['a privilege', 'grant select on outlooks to public'],
    ['a policy', 'create policy everything on outlooks'],
  ])('is compared in %s', async (_, change) => {
    const before = await allObjects(pool);
    await pool.query(`begin; ${change}`);
    try {
      expect(await allObjects(pool)).not.toEqual(before);
    } finally {
      await pool.query('rollback');
    }
  });
});

/** All that depends on the schema `public`, and the properties that {@link dumpSchema} could miss, in one line each. */
async function allObjects(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ line: string }>(`
    with recursive objects as (
      select 'pg_namespace'::regclass::oid as class, 'public'::regnamespace::oid as id, 0 as part
       union
      select d.classid, d.objid, d.objsubid from pg_depend d
        join objects o on d.refclassid = o.class and d.refobjid = o.id
    )
    select pg_describe_object(class, id, part) as line from objects
    union all
    select format('%s: %s', pg_describe_object(class, id, d.objsubid), d.description)
      from objects join pg_description d on d.classoid = class and d.objoid = id
     where class <> 'pg_namespace'::regclass
    union all
    select format('%s: %s', id::regclass, row(relkind, relpersistence, reloptions, relrowsecurity, relreplident, relacl))
      from objects join pg_class c on class = 'pg_class'::regclass and c.oid = id
    union all
    select format('%s: %s %s', id::regclass, format_type(atttypid, atttypmod),
             row(attname, attnotnull, attidentity, attgenerated, attstorage, attcompression, attcollation, attoptions, attacl))
      from objects join pg_attribute on class = 'pg_class'::regclass and attrelid = id and not attisdropped
    union all
    select format('%s on %s: %s', tgname, tgrelid::regclass, tgenabled)
      from objects join pg_trigger t on class = 'pg_trigger'::regclass and t.oid = id
    union all
    select format('%s: %s', id::regprocedure, proacl)
      from objects join pg_proc p on class = 'pg_proc'::regclass and p.oid = id
    union all
    select format('%s: %s', id::regclass, row(seqtypid, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle))
      from objects join pg_sequence on class = 'pg_class'::regclass and seqrelid = id
    order by 1`);
  // Postgres names these after the number of a table or key, which differs between databases.
  return rows.map(({ line }) => line).filter((line) => !/pg_toast|RI_ConstraintTrigger/.test(line));
}
