import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { connect, reasonOf } from './pool.ts';
import {
  type Connection,
  type EmbeddedPostgres,
  runningEmbeddedPostgres,
  startEmbeddedPostgres,
} from './embedded/server.ts';
import { migrateToLatest } from './migrate.ts';
import { ownRoleWarning } from './service-role.ts';

export type DatabaseSettings = {
  /** The URL of the database; null starts the embedded one in `dataDir`. */
  databaseUrl: string | null;
  /** The URL of the same database for the owner of the tables; null if the role in `databaseUrl` owns them or has its rights. */
  databaseMigrationUrl: string | null;
  dataDir: string;
  /** The most connections that this process may open. */
  databasePoolMax: number;
};

export type DatabaseEvents = {
  /** The service's role could switch the ledger's guards off. */
  onPrivilegedRole: (warning: string) => void;
  /** A migration waits, with for what; or a newer release has migrated the database. */
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
  /** A connection as the owner of the tables, for what the service's role may not do. */
  owner: pg.Pool;
  /** Ends the connections once they are idle, then stops the embedded PostgreSQL. */
  close: () => Promise<void>;
};

export type Opening = {
  /** Whether to use an embedded PostgreSQL that another process runs. */
  join?: boolean;
  /** Whether to bring the database to this release's schema first. */
  migrates?: boolean;
};

/**
 * Opens the ledger's database at this release's schema: the one that DATABASE_URL names, or else the embedded one, which
 * it starts.
 * @throws EmbeddedPostgresError or Error, with a message for the operator
 */
export async function openDatabase(
  settings: DatabaseSettings,
  reports: DatabaseEvents,
  { join = false, migrates = true }: Opening = {},
): Promise<OpenDatabase> {
  if (settings.databaseUrl !== null) {
    return openExternal(settings.databaseUrl, settings, reports, migrates);
  }
  const running = join ? runningEmbeddedPostgres(settings.dataDir) : null;
  const { connection, stop } = running
    ? { connection: running, stop: async () => {} }
    : await keepEmbedded(settings, reports);
  const service = { ...connection, user: EMBEDDED_ROLE };
  return openAt({ service, owner: connection }, settings, reports, { migrates, stop });
}

async function openExternal(
  connectionString: string,
  settings: DatabaseSettings,
  reports: DatabaseEvents,
  migrates: boolean,
): Promise<OpenDatabase> {
  const { databaseMigrationUrl } = settings;
  const owner = databaseMigrationUrl === null ? null : { connectionString: databaseMigrationUrl };
  try {
    const stop = async () => {};
    return await openAt({ service: { connectionString }, owner }, settings, reports, {
      migrates,
      stop,
    });
  } catch (error) {
    const names = owner ? 'DATABASE_MIGRATION_URL and DATABASE_URL name' : 'DATABASE_URL names';
    throw new Error(`the database that ${names} can't be used: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

type Target = { connectionString: string } | Connection;

async function openAt(
  { service, owner }: { service: Target; owner: Target | null },
  { databasePoolMax: max }: DatabaseSettings,
  { onConnectionError, onMigration, onPrivilegedRole }: DatabaseEvents,
  { migrates, stop }: { migrates: boolean; stop: () => Promise<void> },
): Promise<OpenDatabase> {
  let closed: Promise<void> | undefined;
  // pool.end() does not wait for its sockets, so Postgres may end the last ones: no error to report.
  const report = (error: Error) => void (closed ?? onConnectionError(error));
  const pool = connect({ ...service, max }, report);
  const ownerPool = owner ? connect({ ...owner, max: 1 }, report) : pool;
  const endPools = () => Promise.all([...new Set([pool, ownerPool])].map((each) => each.end()));
  const close = () => (closed ??= endPools().then(stop));
  try {
    if (migrates) {
      await migrateToLatest(ownerPool, pool, { log: onMigration });
      const warning = owner ? null : await ownRoleWarning(pool);
      if (warning !== null) onPrivilegedRole(warning);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { pool, owner: ownerPool, close };
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
