import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { RETRY_POLICY } from '../../src/postgres/migration-locks.ts';
import {
  JOURNAL,
  type Migration,
  requireLatest,
  schemaState,
} from '../../src/postgres/migrations.ts';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';

const opened: { end: () => Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.end()));
});

function open(url: string): pg.Pool {
  const pool = openDatabase(url, 3);
  opened.push(pool);
  return pool;
}

async function session(url: string, application: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: application });
  await client.connect();
  opened.push(client);
  return client;
}

/** One more migration, after those of this release. */
function oneMore(
  statements: string[],
  { isOutsideTransaction = false, runsWith = JOURNAL.length - 1 } = {},
): Migration {
  return {
    number: JOURNAL.length,
    hash: 'f'.repeat(64),
    createdAt: (JOURNAL.at(-1)?.createdAt ?? 0) + 1,
    statements,
    runsWith,
    isOutsideTransaction,
  };
}

const NOTE = oneMore(['alter table outlooks add note text']);
const INDEX = oneMore(
  [
    'drop index concurrently if exists outlooks_of_note',
    'create index concurrently outlooks_of_note on outlooks (hash)',
  ],
  { isOutsideTransaction: true },
);
const SHORT = {
  ...RETRY_POLICY,
  lockTimeout: 100,
  firstPause: 20,
  longestPause: 50,
  givesUpAfter: 300,
};

/** Migrates with one more migration, and collects the lines for the operator. */
function migrating(owner: pg.Pool, more: Migration, retryPolicy = SHORT, service = owner) {
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line);
  const journal = [...JOURNAL, more];
  return { lines, done: migrateToLatest(owner, service, { log, journal, retryPolicy }) };
}

const columns = (pool: pg.Pool) =>
  pool.query(`select from pg_attribute where attrelid = 'outlooks'::regclass and attname = 'note'`);

describe('a migration that needs a lock which a backup holds', () => {
  test('lets others through, names the backup, and goes on when it is done', async () => {
    const url = await createDatabase();
    const owner = open(url);
    const backup = await session(url, 'pg_dump');
    await backup.query('begin isolation level repeatable read; select from outlooks');
    const { lines, done } = migrating(owner, NOTE, { ...SHORT, givesUpAfter: 600_000 });
    await expect.poll(() => lines.length, { timeout: 20_000 }).toBeGreaterThan(2);
    // It does not wait for the migration, and the migration not for it.
    await owner.query('select from outlooks');
    expect((await columns(owner)).rowCount).toBe(0);
    const { rows } = await backup.query<{ pid: number }>('select pg_backend_pid() as pid');
    const line = new RegExp(
      `^waiting for a lock that is held by process ${rows[0]?.pid} \\(pg_dump, role \\w+, idle in transaction, in a transaction for \\d+ s, last statement: .+\\); trying again in 0.0\\d s$`,
    );
    expect(lines.filter((one) => line.test(one))).not.toEqual([]);
    await backup.query('commit');
    await done;
    expect((await columns(owner)).rowCount).toBe(1);
  });

  test('gives up after a while, leaves no trace, and says what to do', async () => {
    const url = await createDatabase();
    const owner = open(url);
    const backup = await session(url, 'pg_dump');
    const { rows } = await backup.query<{ pid: number }>('select pg_backend_pid() as pid');
    await backup.query('begin; lock table outlooks in access share mode');
    await expect(migrating(owner, NOTE).done).rejects.toThrow(
      new RegExp(
        `^gave up after 0.3 s: waiting for a lock that is held by process ${rows[0]?.pid} \\(pg_dump, .*\\). Start again once it is done, or end it: SELECT pg_terminate_backend\\(${rows[0]?.pid}\\);$`,
      ),
    );
    expect(await schemaState(owner)).toBe('latest');
    expect((await columns(owner)).rowCount).toBe(0);
  });

  test('keeps no earlier lock while it waits for a later one', async () => {
    const url = await createDatabase();
    const owner = open(url);
    const backup = await session(url, 'pg_dump');
    await backup.query('begin; lock table instruments in access share mode');
    const both = oneMore([
      'alter table outlooks add note text',
      'alter table instruments add note text',
    ]);
    const { lines, done } = migrating(owner, both, { ...SHORT, givesUpAfter: 600_000 });
    await expect.poll(() => lines.length, { timeout: 20_000 }).toBeGreaterThan(2);
    await owner.query('select from outlooks');
    await backup.query('commit');
    await done;
    expect((await columns(owner)).rowCount).toBe(1);
  });
});

// A release before 0015 holds such a lock for a session, which a pooler may keep after its client is gone.
test('a lock of another instance is named, not waited for in silence', async () => {
  const url = await createDatabase();
  const owner = open(url);
  const other = await session(url, 'outlook-ledger');
  await other.query('select pg_advisory_lock(5019202611)');
  await expect(migrating(owner, NOTE).done).rejects.toThrow(
    /^gave up after 0.3 s: waiting for the migration of another instance: process \d+ \(outlook-ledger, role \w+, idle, last statement: select pg_advisory_lock\(5019202611\)\). Start again/,
  );
  // An instance that has nothing to apply does not need it.
  await migrateToLatest(owner, owner, { retryPolicy: SHORT });
  await other.query('select pg_advisory_unlock_all()');
  await migrating(owner, NOTE).done;
});

describe('an index that is built outside a transaction', () => {
  const isValid = async (pool: pg.Pool) =>
    (
      await pool.query<{ isValid: boolean }>(
        `select indisvalid as "isValid" from pg_index where indexrelid = 'outlooks_of_note'::regclass`,
      )
    ).rows;

  test('is built again after a start that was killed before it was recorded', async () => {
    const url = await createDatabase();
    const owner = open(url);
    // What a kill in the middle leaves.
    await owner.query('create index outlooks_of_note on outlooks (slug)');
    await owner.query(
      `update pg_index set indisvalid = false where indexrelid = 'outlooks_of_note'::regclass`,
    );
    await migrating(owner, INDEX).done;
    expect(await isValid(owner)).toEqual([{ isValid: true }]);
    expect(await schemaState(owner, [...JOURNAL, INDEX])).toBe('latest');
  });

  test('is built once by instances that start together', async () => {
    const url = await createDatabase();
    const retryPolicy = { ...SHORT, givesUpAfter: 600_000 };
    const all = [1, 2, 3].map(() => migrating(open(url), INDEX, retryPolicy));
    await Promise.all(all.map(({ done }) => done));
    const owner = open(url);
    expect(await isValid(owner)).toEqual([{ isValid: true }]);
    expect(await schemaState(owner, [...JOURNAL, INDEX])).toBe('latest');
  });

  test('waits for old snapshots without locking anybody out, says so, and gives up', async () => {
    const url = await createDatabase();
    const owner = open(url);
    const backup = await session(url, 'pg_dump');
    await backup.query('begin isolation level repeatable read; select from instruments');
    const { lines, done } = migrating(owner, INDEX);
    await expect(done).rejects.toThrow(
      /^gave up after 0.3 s: building an index waits for process \d+ \(pg_dump, .*pg_terminate_backend/,
    );
    expect(lines).toContainEqual(
      expect.stringMatching(/^building an index waits for process \d+ \(pg_dump,/),
    );
    const busy = () =>
      owner.query(`select from pg_stat_progress_create_index where datname = current_database()`);
    await expect.poll(async () => (await busy()).rowCount).toBe(0);
    await backup.query('commit');
    await migrating(owner, INDEX).done;
    expect(await isValid(owner)).toEqual([{ isValid: true }]);
  });
});

describe('a release that was taken back', () => {
  test('starts on the schema of the next one, says so, and takes no rights from it', async () => {
    const url = await createDatabase();
    const [owner, service] = [open(url), open(serviceUrl(url))];
    await migrating(owner, NOTE).done;
    // As a right that only the next release knows.
    const role = new URL(serviceUrl(url)).username;
    await owner.query(
      `grant update (slug) on outlooks to ${role}; revoke insert on events from ${role}`,
    );
    const lines: string[] = [];
    await migrateToLatest(owner, service, { log: (line) => lines.push(line) });
    expect(lines).toEqual([
      'a newer release has migrated the database; this one works with its schema',
    ]);
    const { rows } = await owner.query(
      `select has_column_privilege($1, 'outlooks', 'slug', 'update') as theirs, has_table_privilege($1, 'events', 'insert') as ours`,
      [role],
    );
    expect(rows).toEqual([{ theirs: true, ours: true }]);
    await expect(requireLatest(service)).rejects.toThrow('use that release');
  });

  test('does not start where the next one says that it can’t', async () => {
    const owner = open(await createDatabase());
    await migrating(owner, { ...NOTE, runsWith: JOURNAL.length }).done;
    await expect(migrateToLatest(owner)).rejects.toThrow(
      'A newer release has migrated the database: start that release, or a newer one.',
    );
  });

  test('does not start either where one of two next ones says so', async () => {
    const owner = open(await createDatabase());
    const [one, two] = [
      { ...NOTE, runsWith: JOURNAL.length },
      { ...INDEX, number: JOURNAL.length + 1, createdAt: NOTE.createdAt + 1 },
    ];
    await migrateToLatest(owner, owner, { journal: [...JOURNAL, one, two] });
    expect(await schemaState(owner)).toBe('ahead');
    expect(await schemaState(owner, [...JOURNAL, one])).toBe('supported');
  });
});
