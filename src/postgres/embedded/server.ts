import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  chooseServerUser,
  closedFolder,
  createWhole,
  errorCode,
  makeDataFolder,
  makeDurable,
  openSocketFolder,
  PORT,
  readLock,
  runsCluster,
  sweepDrafts,
  waitUntilFree,
} from './data-folder.ts';
import {
  copyWithLinks,
  EmbeddedPostgresError,
  installedPrograms,
  missingLibraryLinks,
  runGuarded,
  runToEnd,
  type Program,
  type ServerUser,
} from './programs.ts';

export { EmbeddedPostgresError };

/** How to connect to the database; `host` is the folder of its unix socket. */
export type Connection = { host: string; port: number; user: string; database: string };

export type EmbeddedPostgres = {
  connection: Connection;
  pid: number;
  /** ends the server within 16 s, gracefully if it can; rejects if it is still there then */
  stop: () => Promise<void>;
};

export type EmbeddedPostgresOptions = {
  dataDir: string;
  /** PostgreSQL settings on top of its defaults */
  settings?: Record<string, string>;
  onLog?: (line: string) => void;
  /** the server ended though `stop()` was not called */
  onExit?: (message: string) => void;
};

const MAJOR = '18';
const SUPERUSER = 'postgres';
const DATABASE = 'outlook_ledger';

type Steps = [NodeJS.Signals, limitMs: number][];
// fast, then immediate, which costs a recovery at the next start but nothing acknowledged, and upon
// which PostgreSQL itself kills, after 5 s, those of its processes that are still there
const GRACEFULLY: Steps = [
  ['SIGINT', 6_000],
  ['SIGQUIT', 10_000],
];
const BY_FORCE: Steps = [
  ['SIGQUIT', 10_000],
  ['SIGKILL', 2_000],
];

type Site = { dataDir: string; cluster: string; programs: string; user: ServerUser | undefined };

/**
 * Starts PostgreSQL on `${dataDir}/pg18`, which it creates on first use, and resolves when it accepts connections. The
 * server ends with this process, however that ends.
 * @throws EmbeddedPostgresError
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  try {
    const site = await prepareSite(options.dataDir);
    const socketFolder = openSocketFolder(site.dataDir, site.user);
    const server = await startServer(site, socketFolder, options);
    return handOver(server, connectionAt(socketFolder), options.onExit);
  } catch (error) {
    throw explain(error, options.dataDir);
  }
}

/**
 * The connection to a PostgreSQL that another process of this service runs on the folder, or null.
 * @throws EmbeddedPostgresError if the folder may not be read
 */
export function runningEmbeddedPostgres(dataDir: string): Connection | null {
  try {
    const cluster = clusterIn(fs.realpathSync(dataDir));
    const lock = readLock(path.join(cluster, 'postmaster.pid'));
    const up = lock?.status === 'ready' && runsCluster(lock.pid, cluster);
    return up ? connectionAt(lock.socketFolder) : null;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw explain(error, dataDir);
  }
}

function clusterIn(dataDir: string): string {
  return path.join(dataDir, `pg${MAJOR}`);
}

function connectionAt(host: string): Connection {
  return { host, port: PORT, user: SUPERUSER, database: DATABASE };
}

function explain(error: unknown, dataDir: string): EmbeddedPostgresError {
  if (error instanceof EmbeddedPostgresError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new EmbeddedPostgresError(
    `PostgreSQL cannot use the data folder ${dataDir}: ${reason}; set DATA_DIR to a folder of yours or set DATABASE_URL`,
    { cause: error },
  );
}

async function prepareSite(asked: string): Promise<Site> {
  const installed = installedPrograms();
  const dataDir = makeDataFolder(asked);
  const cluster = clusterIn(dataDir);
  const user = chooseServerUser(dataDir, cluster);
  requireAccess(user, dataDir, 'set DATA_DIR to a folder it can enter or set DATABASE_URL');
  const programs = await completePrograms(installed, dataDir);
  requireAccess(user, programs, 'install the service where it can or set DATABASE_URL');
  const site = { dataDir, cluster, programs, user };
  const made = hasCluster(site);
  sweepDrafts(dataDir);
  if (!made) await createWhole(cluster, user, (draft) => initialise(site, draft));
  return site;
}

function requireAccess(user: ServerUser | undefined, folder: string, remedy: string): void {
  const closed = user && closedFolder(user, folder);
  if (closed === undefined) return;
  throw new EmbeddedPostgresError(
    `started by root, PostgreSQL runs as the user with uid ${user?.uid}, who may not enter ${closed}; ${remedy}`,
  );
}

// npm may be configured to run no install scripts. The copy goes to the data folder, not to the package. A library path
// in the environment would not do: macOS removes it from whatever /bin/sh starts.
async function completePrograms(installed: string, dataDir: string): Promise<string> {
  const links = missingLibraryLinks(installed);
  if (links.length === 0) return installed;
  const manifest = fs.readFileSync(path.join(installed, '../package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const copy = path.join(dataDir, `postgres-${version}`);
  if (!fs.existsSync(copy)) {
    await createWhole(copy, undefined, (draft) => {
      copyWithLinks(installed, links, draft);
      const entries = fs.readdirSync(draft, { recursive: true, encoding: 'utf8' });
      for (const entry of entries) makeDurable(path.join(draft, entry));
    });
  }
  return copy;
}

/** @throws EmbeddedPostgresError if there is a cluster that this user or this version can't run */
function hasCluster({ cluster, user }: Site): boolean {
  const found = fs.statSync(cluster, { throwIfNoEntry: false });
  if (!found) return false;
  const uid = user?.uid ?? process.getuid?.();
  if (found.uid !== uid) {
    throw new EmbeddedPostgresError(
      `${cluster} belongs to uid ${found.uid}, but PostgreSQL would run as uid ${uid}; start as its owner or as root, set DATA_DIR to another folder or set DATABASE_URL`,
    );
  }
  if (fs.readdirSync(cluster).length === 0) return false;
  const version = path.join(cluster, 'PG_VERSION');
  const major = fs.existsSync(version) ? fs.readFileSync(version, 'utf8').trim() : 'none';
  if (major === MAJOR) return true;
  throw new EmbeddedPostgresError(
    `${cluster} was made by another version of PostgreSQL (${major}) than ${MAJOR}; move it away, set DATA_DIR to another folder or set DATABASE_URL`,
  );
}

// The database is created before the cluster gets its name, so no crash can leave one without the other.
async function initialise({ programs, user }: Site, draft: string): Promise<void> {
  const locale = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  // trust lets in everyone who reaches the socket: safe only because its folder is 0700 and there is no TCP
  const access = [`--username=${SUPERUSER}`, '--auth=trust'];
  const layout = ['--encoding=UTF8', '--data-checksums', '--no-instructions'];
  const initdb = [path.join(programs, 'bin/initdb'), '-D', draft];
  await runToEnd([...initdb, ...access, ...layout, ...locale], 120_000, { user });
  const single = [path.join(programs, 'bin/postgres'), '--single', '-D', draft];
  const input = `CREATE DATABASE ${DATABASE}\n`;
  await runToEnd([...single, '-c', 'exit_on_error=on', 'postgres'], 60_000, { user, input });
}

// PostgreSQL itself decides who owns a cluster (its lock file, and a shared memory key made of the
// folder's inode); nothing here removes its files. It only can't know that the pid in a stale lock file
// has since been given to an unrelated process: as PG_GRANDPARENT_PID it no longer counts as alive.
async function startServer(
  { cluster, programs, user }: Site,
  socketFolder: string,
  { settings = {}, onLog }: EmbeddedPostgresOptions,
): Promise<Program> {
  const fixed = {
    listen_addresses: '',
    port: String(PORT),
    unix_socket_directories: `"${socketFolder.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    timezone: 'UTC',
    log_timezone: 'UTC',
    logging_collector: 'off',
  };
  const flags = Object.entries({ ...settings, ...fixed }).map(
    ([name, value]) => `--${name}=${value}`,
  );
  const command = [path.join(programs, 'bin/postgres'), '-D', cluster, ...flags];
  for (const deadline = Date.now() + 10_000; ; await delay(250)) {
    const stalePid = await waitUntilFree(cluster, socketFolder);
    const env = stalePid === undefined ? {} : { PG_GRANDPARENT_PID: String(stalePid) };
    const server = runGuarded(command, { user, env, ...(onLog && { onLine: onLog }) });
    const failure = await failureToStart(server, cluster);
    if (failure === undefined) return server;
    // another starter, or processes of a killed server that are still ending
    const contested = /lock file|pre-existing shared memory/.test(failure);
    if (!contested || Date.now() > deadline) {
      throw new EmbeddedPostgresError(`PostgreSQL could not start on ${cluster}: ${failure}`);
    }
  }
}

async function failureToStart(server: Program, cluster: string): Promise<string | undefined> {
  const began = Date.now();
  const ended = server.ended.then(({ how }) => `it ended ${how}: ${server.lastWords()}`);
  for (;;) {
    const failure = await Promise.race([ended, delay(20)]);
    if (failure !== undefined) return failure;
    const lock = readLock(path.join(cluster, 'postmaster.pid'));
    const waited = Date.now() - began;
    if (lock?.pid === server.pid && lock.status === 'ready') return undefined;
    // crash recovery may take long, the lock file comes first
    if (waited < (lock?.pid === server.pid ? 60_000 : 5_000)) continue;
    await end(server, BY_FORCE);
    const lost = lock?.pid === server.pid ? 'not ready' : 'without the lock file';
    return `${lost} after ${waited} ms: ${server.lastWords()}`;
  }
}

async function end(server: Program, steps: Steps): Promise<void> {
  server.hold(true);
  for (const [signal, limitMs] of steps) {
    server.signal(signal);
    // unreferenced: the server's handle keeps node here and this must not outlast it
    const gone = await Promise.race([server.ended, delay(limitMs, undefined, { ref: false })]);
    if (gone) return;
  }
  throw new EmbeddedPostgresError(`PostgreSQL (process ${server.pid}) does not end; kill it`);
}

function handOver(
  server: Program,
  connection: Connection,
  onExit: EmbeddedPostgresOptions['onExit'],
): EmbeddedPostgres {
  let stopped: Promise<void> | undefined;
  server.hold(false);
  void server.ended.then(({ how }) => {
    if (stopped) return;
    onExit?.(`PostgreSQL (process ${server.pid}) ended ${how}: ${server.lastWords()}`);
  });
  const stop = () => (stopped ??= end(server, GRACEFULLY));
  return { connection, pid: server.pid, stop };
}
