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

export type DatabaseSettings = {
  /** The URL of the database; null starts the embedded one in `dataDir`. */
  databaseUrl: string | null;
  dataDir: string;
  /** The most connections that this process may open. */
  databasePoolMax: number;
};

export type DatabaseEvents = {
  /** A connection broke; the pool replaces it. */
  onConnectionError: (error: Error) => void;
  /** A line that the embedded PostgreSQL logged. */
  onEmbeddedLog: (line: string) => void;
  /** The embedded PostgreSQL ended by itself, or a restart failed. */
  onEmbeddedExit: (message: string) => void;
};

/** The wait before an embedded PostgreSQL that ended by itself is restarted, in milliseconds. */
const RESTART_AFTER = { least: 100, most: 5_000 };

export type OpenDatabase = {
  pool: pg.Pool;
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
  if (running) return openAt(running, settings, reports, { migrates, stop: async () => {} });
  const embedded = await keepEmbedded(settings, reports);
  return openAt(embedded.connection, settings, reports, { migrates, stop: embedded.stop });
}

async function openExternal(
  connectionString: string,
  settings: DatabaseSettings,
  reports: DatabaseEvents,
  migrates: boolean,
): Promise<OpenDatabase> {
  try {
    const stop = async () => {};
    return await openAt({ connectionString }, settings, reports, { migrates, stop });
  } catch (error) {
    const reason = reasonOf(error);
    throw new Error(`the database that DATABASE_URL names can't be used: ${reason}`, {
      cause: error,
    });
  }
}

async function openAt(
  target: { connectionString: string } | Connection,
  { databasePoolMax: max }: DatabaseSettings,
  { onConnectionError }: DatabaseEvents,
  { migrates, stop }: { migrates: boolean; stop: () => Promise<void> },
): Promise<OpenDatabase> {
  let closed: Promise<void> | undefined;
  // pool.end() does not wait for its sockets, so Postgres may end the last ones: no error to report.
  const report = (error: Error) => void (closed ?? onConnectionError(error));
  const close = () => (closed ??= pool.end().then(stop));
  const pool = connect({ ...target, max }, report);
  try {
    if (migrates) await migrateToLatest(pool);
  } catch (error) {
    await close();
    throw error;
  }
  return { pool, close };
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
