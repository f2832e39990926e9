import { connect, type Database } from './client.ts';
import {
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
  const running = join && !settings.databaseUrl ? runningEmbeddedPostgres(settings.dataDir) : null;
  const embedded = settings.databaseUrl || running ? null : await startEmbedded(settings, reports);
  const target = settings.databaseUrl
    ? { connectionString: settings.databaseUrl }
    : (running ?? embedded?.connection);
  const database = connect({ ...target, max: settings.databasePoolMax }, reports.onConnectionError);
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= database.pool.end().then(() => embedded?.stop()));
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
