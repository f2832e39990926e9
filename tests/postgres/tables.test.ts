import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { createDatabase, openDatabase } from '../support/database.ts';
import { catalogue } from '../support/catalogue.ts';

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
const SCHEMA = ['--dialect', 'postgresql', '--schema', './src/postgres/tables/*.ts'];

async function drizzleKit(...args: string[]): Promise<string> {
  const program = path.join(CHECKOUT, 'node_modules/.bin/drizzle-kit');
  const env = { ...process.env, NODE_OPTIONS: '--conditions=import' }; // see drizzle.config.ts
  const run = promisify(execFile)(program, args, { cwd: CHECKOUT, env, timeout: 150_000 });
  run.child.stdin?.end(); // it asks where it is in doubt
  return (await run).stdout;
}

test('drizzle-kit finds nothing that the migrations lack', async () => {
  // A copy, because drizzle-kit writes its findings into the folder.
  const home = await mkdtemp(path.join(tmpdir(), 'outlook-ledger-migrations-'));
  try {
    await cp(path.join(CHECKOUT, 'migrations'), home, { recursive: true });
    const before = await readdir(home, { recursive: true });
    const said = await drizzleKit('generate', ...SCHEMA, '--out', path.relative(CHECKOUT, home));
    expect(said).toContain('No schema changes');
    expect(await readdir(home, { recursive: true })).toEqual(before);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});

test('the migrations make the tables that the schema describes', async () => {
  const described = openDatabase(await createDatabase({ empty: true }), 1);
  const migrated = openDatabase(await createDatabase(), 1);
  try {
    await described.query(await drizzleKit('export', ...SCHEMA, '--sql'));
    const made = await catalogue(migrated);
    // The only thing that was trimmed by hand.
    const undeferred = made.map((line) => line.replace(/ DEFERRABLE INITIALLY DEFERRED$/, ''));
    expect(undeferred).toEqual(await catalogue(described));
    expect(made.filter((line) => line.endsWith('DEFERRED'))).toHaveLength(6);
  } finally {
    await Promise.all([described.end(), migrated.end()]);
  }
});
