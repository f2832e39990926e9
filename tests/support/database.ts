import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { connect } from '../../src/postgres/pool.ts';

export const TEMPLATE = 'template';

/** The URL of another database of the server that `serverUrl` names. */
export function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** The same database for the service's role, as which the service runs in tests. */
export function serviceUrl(ownerUrl: string, prefix = inject('prefix')): string {
  const url = new URL(ownerUrl);
  url.username = `${prefix}service`;
  url.password = 'only-for-tests';
  return url.href;
}

/** The same database through the pooler of this run, if TEST_POOLER asks for one. */
export function throughPooler(url: string): string {
  const port = inject('poolerPort');
  return port === null ? url : throughPort(url, port);
}

/** The same database by a port of this machine. */
export function throughPort(url: string, port: number): string {
  const address = new URL(url);
  address.search = '';
  address.hostname = '127.0.0.1';
  address.port = String(port);
  return address.href;
}

/** The settings of a service on a database, whose owner migrates it and whose service has a role of its own. */
export function databaseSettings(ownerUrl: string): Record<string, string> {
  const service = serviceUrl(ownerUrl);
  const pooled = throughPooler(service);
  // Round trips to a pooler count as work; tests of what clients see are not about budgets.
  const budgets = { WORK_PER_ADDRESS: '0', WORK_PER_KEY: '0' };
  const isPooled = pooled !== service;
  return {
    DATABASE_URL: pooled,
    DATABASE_MIGRATION_URL: ownerUrl,
    ...(isPooled && budgets),
  };
}

/**
 * Creates a database of its own: a clone of the migrated template, or of the database that `from`
 * names and that nobody is connected to, or an empty one. Returns its URL, for the owner.
 */
export async function createDatabase({
  empty = false,
  from,
}: { empty?: boolean; from?: string } = {}): Promise<string> {
  const serverUrl = inject('serverUrl');
  const prefix = inject('prefix');
  const name = prefix + randomBytes(6).toString('hex');
  const template = from ? new URL(from).pathname.slice(1) : prefix + TEMPLATE;
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    const source = empty ? '' : `template ${template} strategy file_copy`;
    while (!(await isCreated(client, `create database ${name} ${source}`)));
    // As a migration does; the rights on a database are not part of its clones.
    if (!empty) await client.query(`revoke temporary on database ${name} from public`);
  } finally {
    await client.end();
  }
  return databaseUrl(serverUrl, name);
}

/** False if the template still has a session, because a pool ends before its sessions do. */
async function isCreated(client: pg.Client, statement: string): Promise<boolean> {
  try {
    await client.query(statement);
    return true;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '55006') return false;
    throw error;
  }
}

/** Opens a database of {@link createDatabase}; end its pool after the tests. */
export function openDatabase(url: string, max = 10): pg.Pool {
  return connect({ connectionString: url, max }, () => {});
}
