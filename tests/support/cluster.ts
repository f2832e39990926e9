import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { connect } from '../../src/postgres/pool.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/postgres/embedded/server.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { databaseUrl, serviceUrl, TEMPLATE } from './database.ts';
import { findPgbouncer, type Pooler, startPgbouncer } from './pgbouncer.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The server of this run, as the URL of its maintenance database. */
    serverUrl: string;
    /** Starts the name of every database of this run. */
    prefix: string;
    /** The port of the pooler through which services work; null for none. */
    poolerPort: number | null;
  }
}

/**
 * One server a run: the one that TEST_DATABASE_URL names, or one started here on memory. Its template
 * is migrated once; each test file clones it (tests/support/database.ts).
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const external = process.env['TEST_DATABASE_URL'];
  const folder = external ? null : mkdtempSync(path.join(roomyFolder(), 'outlook-ledger-'));
  let server: EmbeddedPostgres | null = null;
  if (folder !== null) {
    chmodSync(folder, 0o755); // for PostgreSQL's own user, where root runs the tests
    const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };
    server = await startEmbeddedPostgres({ dataDir: folder, settings });
  }
  const serverUrl = external ?? urlOf(server);
  const prefix = `outlook_test_${randomBytes(4).toString('hex')}_`;
  await query(serverUrl, `create database ${prefix}${TEMPLATE}`);
  const template = databaseUrl(serverUrl, prefix + TEMPLATE);
  const [owner, service] = [template, serviceUrl(template, prefix)].map((connectionString) =>
    connect({ connectionString, max: 1 }, () => {}),
  ) as [pg.Pool, pg.Pool];
  await migrateToLatest(owner, service);
  await Promise.all([owner.end(), service.end()]);
  project.provide('serverUrl', serverUrl);
  project.provide('prefix', prefix);
  const pooler = await startPooler(serverUrl, serviceUrl(template, prefix));
  project.provide('poolerPort', pooler?.port ?? null);

  return async () => {
    await pooler?.stop();
    if (external) await dropAll(external, prefix);
    await server?.stop();
    if (folder !== null) rmSync(folder, { recursive: true, force: true });
  };
}

/** The pooler that TEST_POOLER asks for, `session` or `transaction`. */
async function startPooler(serverUrl: string, service: string): Promise<Pooler | null> {
  const mode = process.env['TEST_POOLER'];
  if (!mode) return null;
  const program = findPgbouncer();
  if (program === null) throw new Error('TEST_POOLER is set, but there is no pgbouncer');
  const { username, password } = new URL(service);
  return startPgbouncer(program, {
    mode: mode === 'session' ? 'session' : 'transaction',
    serverUrl,
    users: { [username]: password },
  });
}

function roomyFolder(): string {
  if (!existsSync('/dev/shm')) return tmpdir();
  const { bavail, bsize } = statfsSync('/dev/shm');
  return bavail * bsize > 1_500_000_000 ? '/dev/shm' : tmpdir();
}

function urlOf(server: EmbeddedPostgres | null): string {
  if (!server) throw new Error('no server was started');
  const { host, port, user } = server.connection;
  return `postgresql://${user}@localhost:${port}/postgres?host=${encodeURIComponent(host)}`;
}

async function query(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

async function dropAll(url: string, prefix: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const found = await client.query<{ datname: string }>(
    'select datname from pg_database where starts_with(datname, $1)',
    [prefix],
  );
  await client.end();
  await query(url, ...found.rows.map(({ datname }) => `drop database ${datname} with (force)`));
  await query(url, `drop role if exists ${prefix}service`);
}
