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
  /** stops the server, gracefully if possible; rejects if it still runs after 16 s */
  stop: () => Promise<void>;
};

export type EmbeddedPostgresOptions = {
  dataDir: string;
  /** PostgreSQL settings on top of its defaults */
  settings?: Record<string, string>;
  onLog?: (line: string) => void;
  /** called if the server ends without a call of `stop()` */
  onExit?: (message: string) => void;
};

const MAJOR = '18';
const SUPERUSER = 'postgres';
const DATABASE = 'outlook_ledger';

type Steps = [NodeJS.Signals, limitMs: number][];
// a fast shutdown, then an immediate one: that costs a recovery at the next start but loses no commit, and after 5 s
// PostgreSQL kills those of its processes that still run
const GRACEFULLY: Steps = [
  ['SIGINT', 6_000],
  ['SIGQUIT', 10_000],
];
const BY_FORCE: Steps = [
  ['SIGQUIT', 10_000],
  ['SIGKILL', 2_000],
];

/** Where the server's data and programs are, and the user it runs as if we are root. */
type Installation = {
  dataDir: string;
  cluster: string;
  programs: string;
  user: ServerUser | undefined;
};

/**
 * Starts PostgreSQL on `${dataDir}/pg18`, which the first start creates, and resolves when it accepts connections. The
 * server ends when this process does, even if this process is killed.
 * @throws EmbeddedPostgresError
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  try {
    const installation = await prepare(options.dataDir);
    const socketFolder = openSocketFolder(installation.dataDir, installation.user);
    const server = await startServer(installation, socketFolder, options);
    return handleOf(server, connectionAt(socketFolder), options.onExit);
  } catch (error) {
    throw explain(error, options.dataDir);
  }
}

/**
 * The connection to the PostgreSQL that another process of ours runs on this folder, or null.
 * @throws EmbeddedPostgresError if the folder can't be read
 */
export function runningEmbeddedPostgres(dataDir: string): Connection | null {
  try {
    const cluster = clusterIn(fs.realpathSync(dataDir));
    const lock = readLock(path.join(cluster, 'postmaster.pid'));
    const isRunning = lock?.status === 'ready' && runsCluster(lock.pid, cluster);
    return isRunning ? connectionAt(lock.socketFolder) : null;
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
    `PostgreSQL cannot use the data folder ${dataDir}: ${reason}; set DATA_DIR to a folder of your own or set DATABASE_URL`,
    { cause: error },
  );
}

async function prepare(dataDirSetting: string): Promise<Installation> {
  const installed = installedPrograms();
  const dataDir = makeDataFolder(dataDirSetting);
  const cluster = clusterIn(dataDir);
  const user = chooseServerUser(dataDir, cluster);
  requireAccess(user, dataDir, 'set DATA_DIR to a folder it can enter or set DATABASE_URL');
  const programs = await completePrograms(installed, dataDir);
  requireAccess(user, programs, 'install the service where it can or set DATABASE_URL');
  const installation = { dataDir, cluster, programs, user };
  const exists = hasCluster(installation);
  sweepDrafts(dataDir);
  if (!exists) await createWhole(cluster, user, (draft) => initialise(installation, draft));
  return installation;
}

function requireAccess(user: ServerUser | undefined, folder: string, remedy: string): void {
  const closed = user && closedFolder(user, folder);
  if (closed === undefined) return;
  throw new EmbeddedPostgresError(
    `started by root, PostgreSQL runs as the user with uid ${user?.uid}, who may not enter ${closed}; ${remedy}`,
  );
}

// npm may be configured not to run install scripts. The copy goes to our folder, because the package may be read-only. A
// library path in the environment does not help: macOS removes it from programs that /bin/sh starts.
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

/**
 * Whether the cluster exists.
 * @throws EmbeddedPostgresError if this user or this version can't run it
 */
function hasCluster({ cluster, user }: Installation): boolean {
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

// The database is created before the cluster gets its name, so that a crash can't leave a cluster without one.
async function initialise({ programs, user }: Installation, draft: string): Promise<void> {
  const locale = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  // trust admits anyone who reaches the socket: safe, because the socket's folder is 0700 and there is no TCP
  const access = [`--username=${SUPERUSER}`, '--auth=trust'];
  const layout = ['--encoding=UTF8', '--data-checksums', '--no-instructions'];
  const initdb = [path.join(programs, 'bin/initdb'), '-D', draft];
  await runToEnd([...initdb, ...access, ...layout, ...locale], 120_000, { user });
  const single = [path.join(programs, 'bin/postgres'), '--single', '-D', draft];
  const input = `CREATE DATABASE ${DATABASE}\n`;
  await runToEnd([...single, '-c', 'exit_on_error=on', 'postgres'], 60_000, { user, input });
}

// PostgreSQL itself decides who owns a cluster, by its lock file and a shared memory key made of the folder's inode;
// nothing here removes its files. It can't know that an unrelated process now has the pid in a stale lock file:
// PG_GRANDPARENT_PID makes it ignore that pid.
async function startServer(
  { cluster, programs, user }: Installation,
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
    // another process is starting it, or processes of a killed server are still ending
    const isContested = /lock file|pre-existing shared memory/.test(failure);
    if (!isContested || Date.now() > deadline) {
      throw new EmbeddedPostgresError(`PostgreSQL could not start on ${cluster}: ${failure}`);
    }
  }
}

async function failureToStart(server: Program, cluster: string): Promise<string | undefined> {
  const began = Date.now();
  const ended = server.ended.then(({ how }) => `it ended ${how}: ${server.lastLines()}`);
  for (;;) {
    const failure = await Promise.race([ended, delay(20)]);
    if (failure !== undefined) return failure;
    const lock = readLock(path.join(cluster, 'postmaster.pid'));
    const waited = Date.now() - began;
    if (lock?.pid === server.pid && lock.status === 'ready') return undefined;
    // the lock file comes first, then crash recovery, which may take long
    if (waited < (lock?.pid === server.pid ? 60_000 : 5_000)) continue;
    await end(server, BY_FORCE);
    const state = lock?.pid === server.pid ? 'not ready' : 'without the lock file';
    return `${state} after ${waited} ms: ${server.lastLines()}`;
  }
}

async function end(server: Program, steps: Steps): Promise<void> {
  server.keepAlive(true);
  for (const [signal, limitMs] of steps) {
    server.signal(signal);
    // unreferenced, because the server's handle keeps this process alive and the timer must not outlast it
    const gone = await Promise.race([server.ended, delay(limitMs, undefined, { ref: false })]);
    if (gone) return;
  }
  throw new EmbeddedPostgresError(`PostgreSQL (process ${server.pid}) does not end; kill it`);
}

function handleOf(
  server: Program,
  connection: Connection,
  onExit: EmbeddedPostgresOptions['onExit'],
): EmbeddedPostgres {
  let stopped: Promise<void> | undefined;
  server.keepAlive(false);
  void server.ended.then(({ how }) => {
    if (stopped) return;
    onExit?.(`PostgreSQL (process ${server.pid}) ended ${how}: ${server.lastLines()}`);
  });
  const stop = () => (stopped ??= end(server, GRACEFULLY));
  return { connection, pid: server.pid, stop };
}
