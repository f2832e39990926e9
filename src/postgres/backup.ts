import { type FileHandle, link, lstat, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import {
  END_OF_ROWS,
  FIRST_LINE,
  INCOMPLETE,
  LAST_LINE,
  linesOf,
  requireFirstLine,
} from './backup-rows.ts';
import { BEGIN, LedgerClient } from './client.ts';
import { errorCode, makeDurable } from './embedded/data-folder.ts';
import { NO_LIMITS } from './migrate.ts';
import { migrationTexts, requireLatest } from './migrations.ts';
import { BEGIN_SNAPSHOT } from './pool.ts';

// npm ships no pg_dump with the binaries of the embedded database. The file is plain SQL all the same: psql reads it as
// well as restore() below.

type Table = { name: string; columns: string[] };

/**
 * Writes everything a ledger holds, as of one moment, as SQL for an empty database on PostgreSQL 15 or newer. Only the
 * file's owner may read it: it holds the hashes of keys and the secrets of webhooks.
 * @returns the number of rows written
 * @param signal cuts the backup off, which leaves no file
 * @throws Error if the file or its `.part` exists, or if the database is not at this release's schema
 */
export async function backUp(
  pool: pg.Pool,
  file: string,
  now: Date,
  signal?: AbortSignal,
): Promise<number> {
  if (await exists(file)) throw isThereAlready(file);
  const part = `${file}.part`; // gets the file's name once it is complete
  const output = await openNew(part);
  try {
    const rows = await writeDump(pool, output, now, signal);
    await output.sync();
    await giveName(part, file);
    return rows;
  } finally {
    await output.close();
    await rm(part, { force: true });
  }
}

async function writeDump(
  pool: pg.Pool,
  output: FileHandle,
  now: Date,
  signal?: AbortSignal,
): Promise<number> {
  const client = new LedgerClient({ ...pool.options, ...NO_LIMITS });
  const cutOff = () => void client.end(); // also ends a statement that runs
  signal?.addEventListener('abort', cutOff);
  try {
    await client.connect();
    await client.query(BEGIN_SNAPSHOT);
    await requireLatest(client);
    let rows = 0;
    for await (const chunk of dump(client, now, (count) => (rows += count))) {
      signal?.throwIfAborted();
      await output.appendFile(chunk);
    }
    signal?.throwIfAborted();
    return rows;
  } finally {
    signal?.removeEventListener('abort', cutOff);
    await client.end();
  }
}

/** Opens a new file. Refuses an existing one, even a link, because somebody else may have it open or have set its mode. */
async function openNew(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'wx', 0o600);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new Error(
      `${file} is there already: another backup is writing it or was cut off. If none is running, remove it.`,
      { cause: error },
    );
  }
}

/** Renames a file, but never replaces another. */
async function giveName(part: string, file: string): Promise<void> {
  try {
    await link(part, file); // unlike rename, refuses a name that is taken
  } catch (error) {
    if (errorCode(error) === 'EEXIST') throw isThereAlready(file);
    // Some file systems have no hard links. There, a file that somebody makes between these two lines is replaced.
    if (await exists(file)) throw isThereAlready(file);
    await rename(part, file);
  }
  makeDurable(path.dirname(file));
}

/** Whether a file has this name, or a link, even one to nothing. */
async function exists(file: string): Promise<boolean> {
  return (await lstat(file).catch(() => null)) !== null;
}

function isThereAlready(file: string): Error {
  return new Error(`${file} is there already`);
}

async function* dump(
  client: pg.Client,
  now: Date,
  counted: (rows: number) => void,
): AsyncGenerator<string | Buffer> {
  yield `${FIRST_LINE}, made at ${now.toISOString()}.
-- On an empty database: npm run restore, or psql -v ON_ERROR_STOP=1 -f with this file.
BEGIN;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL standard_conforming_strings = on;
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
SET LOCAL search_path = public;
-- CREATE SCHEMA IF NOT EXISTS needs a right on the database even if the schema exists.
DO $$ BEGIN IF to_regnamespace('drizzle') IS NULL THEN CREATE SCHEMA drizzle; END IF; END $$;
CREATE TABLE drizzle.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint);
`;
  for (const text of migrationTexts()) yield `\n${text}\n`;
  const tables = [
    ...(await tablesInOrder(client)),
    { name: 'drizzle.__drizzle_migrations', columns: ['hash', 'created_at'] },
    { name: 'drizzle.release_support', columns: ['migration', 'runs_with'] },
  ];
  const ours = tables.filter(({ name }) => name.startsWith('public.'));
  // What migrations added to the empty database gives way to the ledger's own rows.
  yield '\nSET CONSTRAINTS ALL IMMEDIATE;\nSET CONSTRAINTS ALL DEFERRED;\n';
  // The triggers checked the rows when they were written. CHECKs, keys and foreign keys hold here, too.
  for (const { name } of ours) yield `ALTER TABLE ${name} DISABLE TRIGGER USER;\n`;
  yield `TRUNCATE ${ours.map(({ name }) => name).join(', ')};\n`;
  for (const { name, columns } of tables) {
    const rows = `${name} (${columns.join(', ')})`;
    yield `\nCOPY ${rows} FROM stdin;\n`;
    const copy = client.query(copyTo(`copy ${rows} to stdout`));
    for await (const chunk of copy) yield chunk as Buffer;
    counted(copy.rowCount);
    yield `${END_OF_ROWS}\n`;
  }
  yield '\nSET CONSTRAINTS ALL IMMEDIATE;\n';
  for (const { name } of ours) yield `ALTER TABLE ${name} ENABLE TRIGGER USER;\n`;
  for (const { name, last } of await sequences(client)) {
    yield `SELECT setval('${name}', ${last});\n`;
  }
  // The original ledger may still send to these webhooks. An admin decides which of the two does.
  yield `UPDATE webhooks SET disabled_at = date_trunc('milliseconds', now()), disabled_reason = 'restored'
 WHERE disabled_at IS NULL;
`;
  yield `${LAST_LINE}\n`;
}

/**
 * The ledger's tables, referenced tables first. It leaves out the columns that hold transaction ids: they mean nothing
 * on another server.
 */
async function tablesInOrder(client: pg.Client): Promise<Table[]> {
  const { rows: tables } = await client.query<Table & { needs: string[] }>(`
    select 'public.' || quote_ident(c.relname) as name,
      (select array_agg(quote_ident(a.attname) order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          and a.attgenerated = '' and a.atttypid <> 'xid8'::regtype) as columns,
      array(select distinct 'public.' || quote_ident(t.relname) from pg_constraint k
        join pg_class t on t.oid = k.confrelid
        where k.conrelid = c.oid and k.contype = 'f' and k.confrelid <> c.oid) as needs
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
     order by c.relname`);
  const ordered: Table[] = [];
  while (ordered.length < tables.length) {
    const done = new Set(ordered.map(({ name }) => name));
    const next = tables.filter(
      ({ name, needs }) => !done.has(name) && needs.every((needed) => done.has(needed)),
    );
    if (next.length === 0) throw new Error('tables point to each other in a circle');
    ordered.push(...next);
  }
  return ordered;
}

async function sequences(client: pg.Client): Promise<{ name: string; last: number }[]> {
  const { rows } = await client.query<{ name: string; last: number }>(`
    select format('%I.%I', schemaname, sequencename) as name, last_value as last
      from pg_sequences where schemaname = 'public' and last_value is not null order by 1`);
  return rows;
}

/**
 * Reads a file of {@link backUp} into an empty database, in one transaction. It runs the file's statements unchecked:
 * give it only files that you made.
 * @throws Error if the database is not empty, or the file is not a complete backup
 */
export async function restore(pool: pg.Pool, file: string): Promise<void> {
  const client = new LedgerClient({ ...pool.options, ...NO_LIMITS });
  await client.connect();
  try {
    await requireEmpty(client);
    // The file has a BEGIN of its own, which changes nothing then.
    await client.query(BEGIN);
    await takeLines(client, linesOf(file));
  } finally {
    await client.end(); // rolls back what is not committed
  }
}

async function requireEmpty(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ tables: number }>(
    `select count(*) as tables from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  );
  if (rows[0]?.tables === 0) return;
  throw new Error(
    'the database is not empty: set DATA_DIR to a new folder, or DATABASE_URL to a database without tables',
  );
}

async function takeLines(client: pg.Client, lines: AsyncIterator<string>): Promise<void> {
  let statements = '';
  let last = '';
  for (let isFirst = true; ; isFirst = false) {
    const { value: line, done } = await lines.next();
    if (isFirst) requireFirstLine(done ? undefined : line);
    if (done) break;
    if (!/^COPY .* FROM stdin;$/.test(line)) {
      statements += `${line}\n`;
      last = line;
      continue;
    }
    // The transaction must not end before the last row is read.
    await client.query(statements);
    statements = '';
    await pipeline(Readable.from(rowsOf(lines)), client.query(copyFrom(line)));
  }
  if (last !== LAST_LINE) throw new Error(INCOMPLETE);
  await client.query(statements);
}

async function* rowsOf(lines: AsyncIterator<string>): AsyncGenerator<string> {
  for (;;) {
    const { value: line, done } = await lines.next();
    if (done) throw new Error(INCOMPLETE);
    if (line === END_OF_ROWS) return;
    yield `${line}\n`;
  }
}
