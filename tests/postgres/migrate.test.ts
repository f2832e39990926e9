import type pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { JOURNAL as MIGRATIONS, schemaFault } from '../../src/postgres/migrations.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { buildSilentApp } from '../support/ledger.ts';
import { catalogue } from '../support/catalogue.ts';

const opened: pg.Pool[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((pool) => pool.end()));
});

function open(url: string): pg.Pool {
  const pool = openDatabase(url, 2);
  opened.push(pool);
  return pool;
}

const JOURNAL = 'select id, hash, created_at from drizzle.__drizzle_migrations order by id';

async function readiness(pool: pg.Pool): Promise<{ status: number; detail: string }> {
  const app = await buildSilentApp(pool);
  try {
    const response = await app.inject('/readyz');
    return { status: response.statusCode, detail: response.json().detail };
  } finally {
    await app.close();
  }
}

test('five that start at once on an empty database all come up', async () => {
  const url = await createDatabase({ empty: true });
  const starters = Array.from({ length: 5 }, () => open(url));
  await Promise.all(starters.map((pool) => migrateToLatest(pool)));

  const [pool] = starters as [pg.Pool];
  const { rows } = await pool.query(
    'select count(*)::int as applied from drizzle.__drizzle_migrations',
  );
  expect(rows).toEqual([{ applied: MIGRATIONS.length }]);
  expect(await schemaFault(pool)).toBeNull();
  expect(await catalogue(pool)).toEqual(await catalogue(open(await createDatabase())));
});

test('migrating again changes nothing and keeps what was written', async () => {
  const pool = open(await createDatabase());
  await pool.query(`insert into analysts (name, created_at) values ('Desk', now())`);
  const [journal, tables] = [(await pool.query(JOURNAL)).rows, await catalogue(pool)];
  await migrateToLatest(pool);
  await migrateToLatest(pool);
  expect((await pool.query(JOURNAL)).rows).toEqual(journal);
  expect(await catalogue(pool)).toEqual(tables);
  expect((await pool.query('select name from analysts')).rows).toEqual([{ name: 'Desk' }]);
});

test('the migrating session leaves neither its lock nor its settings behind', async () => {
  const pool = open(await createDatabase());
  await migrateToLatest(pool);
  const { rows } = await pool.query(
    `select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock`,
  );
  expect(rows).toEqual([{ statement: '15s', lock: '2s' }]);
  const held = () =>
    pool.query(`select from pg_locks join pg_database d on d.oid = database
      where locktype = 'advisory' and d.datname = current_database()`);
  await expect.poll(async () => (await held()).rowCount).toBe(0);
});

const DIFFERS =
  'The migrations applied to the database are not those of this release: start the release that migrated it, or set DATABASE_URL to another database.';
const AHEAD = 'A newer release has migrated the database: start that release, or a newer one.';
const TABLE = 'drizzle.__drizzle_migrations';

describe.each([
  ['an altered migration', `update ${TABLE} set hash = repeat('0', 64) where id = 2`, DIFFERS],
  ['an altered first one', `update ${TABLE} set hash = repeat('0', 64) where id = 1`, DIFFERS],
  ['one of another time', `update ${TABLE} set created_at = created_at + 1 where id = 2`, DIFFERS],
  [
    'one of another branch, older than the newest',
    `insert into ${TABLE} (hash, created_at)
      select repeat('f', 64), max(created_at) - 1 from ${TABLE}`,
    DIFFERS,
  ],
  ['one missing before the newest', `delete from ${TABLE} where id = 1`, DIFFERS],
  [
    'one of a newer release',
    `insert into ${TABLE} (hash, created_at)
      select repeat('f', 64), max(created_at) + 1000 from ${TABLE}`,
    AHEAD,
  ],
])('a journal with %s', (_, tamper, line) => {
  test('is refused with one clear line, and left unchanged', async () => {
    const pool = open(await createDatabase());
    await pool.query(tamper);
    const journal = (await pool.query(JOURNAL)).rows;
    await expect(migrateToLatest(pool)).rejects.toThrow(new Error(line));
    expect((await pool.query(JOURNAL)).rows).toEqual(journal);
    // A running instance continues while a newer release takes over.
    expect(await readiness(pool)).toEqual(
      line === AHEAD
        ? { status: 200, detail: undefined }
        : { status: 503, detail: `The database is not ready: ${line}` },
    );
  });
});

test.each([
  ['empty', true, 'select 1', /not applied yet/],
  [
    'behind',
    false,
    'delete from drizzle.__drizzle_migrations where id = (select max(id) from drizzle.__drizzle_migrations)',
    /not applied yet/,
  ],
])('readiness says so where the database is %s', async (_, empty, prepare, missing) => {
  const pool = open(await createDatabase({ empty }));
  await pool.query(prepare);
  const { status, detail } = await readiness(pool);
  expect(status).toBe(503);
  expect(detail).toMatch(missing);
});

test('readiness follows the database as it is migrated', async () => {
  const pool = open(await createDatabase({ empty: true }));
  expect((await readiness(pool)).status).toBe(503);
  await migrateToLatest(pool);
  expect((await readiness(pool)).status).toBe(200);
});

test('a migration that fails leaves no trace, and releases the lock', async () => {
  const pool = open(await createDatabase({ empty: true }));
  await pool.query('create function seal_framework() returns int return 1');
  await expect(migrateToLatest(pool)).rejects.toThrow(
    'function "seal_framework" already exists with same argument types',
  );
  expect((await readiness(pool)).detail).toMatch(/not applied yet/);
  expect(await catalogue(pool)).toEqual([]);
  await pool.query('drop function seal_framework()');
  await migrateToLatest(pool);
  expect((await readiness(pool)).status).toBe(200);
});
