import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { LedgerClient } from './client.ts';
import { tlsRemedy } from './connection-url.ts';
import { connect, reasonOf } from './pool.ts';
import {
  type Connection,
  type EmbeddedPostgres,
  runningEmbeddedPostgres,
  startEmbeddedPostgres,
} from './embedded/server.ts';
import { migrateToLatest } from './migrate.ts';
import { requireSupported } from './migrations.ts';
import { identityOf, ownRoleWarning } from './service-role.ts';
import { settingFaults } from './session-settings.ts';

export type DatabaseSettings = {
  /** The URL of the database; null starts the embedded one in `dataDir`. */
  databaseUrl: string | null;
  /** The URL of the same database past a pooler, for the service's role; null if there is no pooler, or no way past it. */
  directDatabaseUrl: string | null;
  /** The URL of the same database for the owner of the tables; null if the role in `databaseUrl` owns them or has its rights. */
  databaseMigrationUrl: string | null;
  dataDir: string;
  /** The most connections that this process may open. */
  databasePoolMax: number;
};

export type DatabaseEvents = {
  /** The service's role could switch the ledger's guards off. */
  onPrivilegedRole: (warning: string) => void;
  /** One line on something that the operator may want to change. */
  onNotice: (line: string) => void;
  /** One line on a migration: what it waits for, or that a newer release has migrated the database. */
  onMigration: (line: string) => void;
  /** A connection broke; the pool replaces it. */
  onConnectionError: (error: Error) => void;
  /** A line that the embedded PostgreSQL logged. */
  onEmbeddedLog: (line: string) => void;
  /** The embedded PostgreSQL ended by itself, or a restart failed. */
  onEmbeddedExit: (message: string) => void;
};

/** The wait before an embedded PostgreSQL that ended by itself is restarted, in milliseconds. */
const RESTART_AFTER = { least: 100, most: 5_000 };

/** The service's role on an embedded database; its owner is the superuser. */
const EMBEDDED_ROLE = 'ledger_service';

export type OpenDatabase = {
  /** Connections as the service's role. */
  pool: pg.Pool;
  /** As `pool`, but past a pooler if there is a way, for what needs a session of its own. */
  direct: pg.Pool;
  /** A connection as the owner of the tables, for what the service's role may not do. */
  owner: pg.Pool;
  /** Ends the connections once they are idle, then stops the embedded PostgreSQL. */
  close: () => Promise<void>;
};

export type OpenOptions = {
  /** Whether to use an embedded PostgreSQL that another process runs. */
  join?: boolean;
  /** Whether to bring the database to this release's schema first. */
  migrates?: boolean;
  /** Whether a standby will do, because nothing is written. */
  readsOnly?: boolean;
};

/**
 * Opens the ledger's database at this release's schema: the one that DATABASE_URL names, or else the embedded one, which
 * it starts.
 * @throws EmbeddedPostgresError or Error, with a message for the operator
 */
export async function openDatabase(
  settings: DatabaseSettings,
  reports: DatabaseEvents,
  { join = false, migrates = true, readsOnly = false }: OpenOptions = {},
): Promise<OpenDatabase> {
  if (settings.databaseUrl !== null) {
    return openExternal(settings, reports, { migrates, readsOnly });
  }
  const running = join ? runningEmbeddedPostgres(settings.dataDir) : null;
  const { connection, stop } = running
    ? { connection: running, stop: async () => {} }
    : await keepEmbedded(settings, reports);
  const service = { ...connection, user: EMBEDDED_ROLE };
  const targets = { service, direct: null, owner: connection };
  return openAt(targets, settings, reports, { migrates, readsOnly, stop });
}

const LIST = new Intl.ListFormat('en');

async function openExternal(
  settings: DatabaseSettings,
  reports: DatabaseEvents,
  opening: { migrates: boolean; readsOnly: boolean },
): Promise<OpenDatabase> {
  const urls = {
    DATABASE_URL: settings.databaseUrl,
    DIRECT_DATABASE_URL: settings.directDatabaseUrl,
    DATABASE_MIGRATION_URL: settings.databaseMigrationUrl,
  };
  const targetOf = (url: string | null) => (url === null ? null : { connectionString: url });
  const targets = {
    service: { connectionString: settings.databaseUrl ?? '' },
    direct: targetOf(settings.directDatabaseUrl),
    owner: targetOf(settings.databaseMigrationUrl),
  };
  try {
    return await openAt(targets, settings, reports, { ...opening, stop: async () => {} });
  } catch (error) {
    const set = Object.entries(urls).flatMap(([name, url]) => (url === null ? [] : name));
    const remedy = tlsRemedy(error);
    throw new Error(
      `the database that ${LIST.format(set)} ${set.length === 1 ? 'names' : 'name'} can't be used: ${reasonOf(error)}${remedy === null ? '' : `: ${remedy}`}`,
      { cause: error },
    );
  }
}

type Target = { connectionString: string } | Connection;
type Targets = { service: Target; direct: Target | null; owner: Target | null };

async function openAt(
  { service, direct: past, owner }: Targets,
  { databasePoolMax: max }: DatabaseSettings,
  { onConnectionError, onMigration, onPrivilegedRole, onNotice }: DatabaseEvents,
  {
    migrates,
    readsOnly,
    stop,
  }: { migrates: boolean; readsOnly: boolean; stop: () => Promise<void> },
): Promise<OpenDatabase> {
  let closed: Promise<void> | undefined;
  // pool.end() does not wait for its sockets, so Postgres may end the last ones: no error to report.
  const report = (error: Error) => void (closed ?? onConnectionError(error));
  const pool = connect({ ...service, max }, report);
  const direct = past ? connect({ ...past, max: 1 }, report) : pool;
  const ownerPool = owner ? connect({ ...owner, max: 1 }, report) : direct;
  const pools = new Set([pool, direct, ownerPool]);
  const endPools = () => Promise.all([...pools].map((each) => each.end()));
  const close = () => (closed ??= endPools().then(stop));
  try {
    if (migrates) {
      if (await leadsToStandby(ownerPool, readsOnly)) await requireSupported(direct);
      else await migrateToLatest(ownerPool, owner ? direct : ownerPool, { log: onMigration });
      const warning = owner ? null : await ownRoleWarning(direct);
      if (warning !== null) onPrivilegedRole(warning);
      for (const line of await noticesOf(pool, direct)) onNotice(line);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { pool, direct, owner: ownerPool, close };
}

/**
 * Whether a database is a standby.
 * @throws Error with what to set if it is one, unless that is allowed
 */
async function leadsToStandby(owner: pg.Pool, isAllowed: boolean): Promise<boolean> {
  // Not a connection of the pool, which would keep the owner's open for a while.
  const client = new LedgerClient(owner.options);
  await client.connect();
  try {
    const { rows } = await client.query<{ isStandby: boolean }>(
      'select pg_is_in_recovery() as "isStandby"',
    );
    const isStandby = rows[0]?.isStandby === true;
    if (!isStandby || isAllowed) return isStandby;
    throw new Error(
      'it is a standby, which takes no writes: set the URL to the primary, or promote this server (SELECT pg_promote();)',
    );
  } finally {
    await client.end();
  }
}

/**
 * What an operator may want to change: settings of the role, and a way past the pooler.
 * @throws Error if the two pools lead to different databases
 */
async function noticesOf(pool: pg.Pool, direct: pg.Pool): Promise<string[]> {
  const [there, past] = [await inspect(pool), await inspect(direct)];
  if (there.database !== past.database) {
    throw new Error('DATABASE_URL and DIRECT_DATABASE_URL name different databases');
  }
  const settings = await settingFaults(direct);
  const faults = settings.map(({ fault, remedy }) => `the setting ${fault}: ${remedy}`);
  if (!past.isPooled) return faults;
  const remedy =
    direct === pool
      ? 'set DIRECT_DATABASE_URL to the URL of PostgreSQL itself'
      : 'DIRECT_DATABASE_URL leads to it, too: set it to the URL of PostgreSQL itself';
  return [
    `a pooler is in front of the database, so this instance polls for events ten times a second instead of listening for them: ${remedy}`,
    ...faults,
  ];
}

async function inspect(pool: pg.Pool): Promise<{ database: string; isPooled: boolean }> {
  const session = await pool.connect();
  try {
    const { database } = await identityOf(session);
    return { database, isPooled: (session as unknown as LedgerClient).isPooled };
  } finally {
    session.release();
  }
}

/**
 * Starts the embedded PostgreSQL and keeps it up. If it ends by itself, it is restarted until that works, which may take
 * a while, as on a full disk.
 */
async function keepEmbedded(
  { dataDir }: DatabaseSettings,
  { onEmbeddedLog, onEmbeddedExit }: DatabaseEvents,
): Promise<{ connection: Connection; stop: () => Promise<void> }> {
  const stopping = new AbortController();
  let running: Promise<EmbeddedPostgres | null> | undefined;
  const start = () =>
    startEmbeddedPostgres({
      dataDir,
      onLog: onEmbeddedLog,
      onExit: (message) => {
        onEmbeddedExit(message);
        running = startAgain();
      },
    });
  const startAgain = async () => {
    for (let wait = RESTART_AFTER.least; ; wait = Math.min(2 * wait, RESTART_AFTER.most)) {
      await delay(wait, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return null;
      try {
        return await start();
      } catch (error) {
        onEmbeddedExit(reasonOf(error));
      }
    }
  };
  const first = await start();
  running ??= Promise.resolve(first);
  const stop = async () => {
    stopping.abort();
    await (await running)?.stop();
  };
  return { connection: first.connection, stop };
}
