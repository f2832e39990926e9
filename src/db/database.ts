import { connect, type Database, reasonOf } from './client.ts';
import {
  type Connection,
  type EmbeddedPostgres,
  runningEmbeddedPostgres,
  startEmbeddedPostgres,
} from './embedded.ts';
import { migrateToLatest } from './migrate.ts';

export type DatabaseSettings = {
  /** Where the database is; null starts the embedded one in `dataDir`. */
  databaseUrl: string | null;
  dataDir: string;
  /** Connections that this process may hold. */
  databasePoolMax: number;
};

export type Reports = {
  /** A connection broke; the pool replaces it. */
  onConnectionError: (error: Error) => void;
  /** A line that the embedded PostgreSQL logged. */
  onEmbeddedLog: (line: string) => void;
  /** The embedded PostgreSQL ended by itself. */
  onEmbeddedExit: (message: string) => void;
};

export type OpenDatabase = Database & {
  /** Ends the connections once they are idle, then the embedded PostgreSQL. */
  close: () => Promise<void>;
};

/**
 * Opens the ledger's database at this release's schema: the one that DATABASE_URL names, or else the
 * embedded one, which is started. With `join`, an embedded one that another process has started is
 * used as it runs.
 * @throws EmbeddedPostgresError or Error in words for whoever starts the service
 */
export async function openDatabase(
  settings: DatabaseSettings,
  reports: Reports,
  { join = false } = {},
): Promise<OpenDatabase> {
  if (settings.databaseUrl !== null) return openExternal(settings.databaseUrl, settings, reports);
  const running = join ? runningEmbeddedPostgres(settings.dataDir) : null;
  if (running) return migrated(running, settings, reports, async () => {});
  const embedded = await startEmbedded(settings, reports);
  return migrated(embedded.connection, settings, reports, embedded.stop);
}

async function openExternal(
  connectionString: string,
  settings: DatabaseSettings,
  reports: Reports,
): Promise<OpenDatabase> {
  try {
    return await migrated({ connectionString }, settings, reports, async () => {});
  } catch (error) {
    const reason = reasonOf(error);
    throw new Error(`the database that DATABASE_URL names can't be used: ${reason}`, {
      cause: error,
    });
  }
}

async function migrated(
  target: { connectionString: string } | Connection,
  { databasePoolMax: max }: DatabaseSettings,
  { onConnectionError }: Reports,
  stop: () => Promise<void>,
): Promise<OpenDatabase> {
  let closed: Promise<void> | undefined;
  // The pool's end doesn't wait for its sockets, so Postgres may be the one to end the last of them.
  const report = (error: Error) => void (closed ?? onConnectionError(error));
  const close = () => (closed ??= database.pool.end().then(stop));
  const database = connect({ ...target, max }, report);
  try {
    await migrateToLatest(database.pool);
  } catch (error) {
    await close();
    throw error;
  }
  return { ...database, close };
}

function startEmbedded(
  { dataDir }: DatabaseSettings,
  { onEmbeddedLog, onEmbeddedExit }: Reports,
): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDir, onLog: onEmbeddedLog, onExit: onEmbeddedExit });
}
