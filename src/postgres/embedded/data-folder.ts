import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddedPostgresError, type ServerUser } from './programs.ts';

export const PORT = 5432; // only names the socket; there is no TCP
const SOCKET_NAME = `.s.PGSQL.${PORT}`;
const LONGEST_SOCKET_PATH = 103; // bytes on macOS; Linux takes 107

/** What a server writes to its lock file. */
export type Lock = { pid: number; socketFolder: string; status: string };

/** Creates the data folder if it is missing and returns its real path. */
export function makeDataFolder(dataDir: string): string {
  const isNew = fs.mkdirSync(dataDir, { recursive: true }) !== undefined;
  // root may have a strict umask, but the server's user has to enter
  if (isNew && process.getuid?.() === 0) fs.chmodSync(dataDir, 0o711);
  return fs.realpathSync(dataDir);
}

/** The user that a server started by root runs as: the folder's owner, or nobody if that is root. */
export function chooseServerUser(dataDir: string, cluster: string): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owners = [cluster, dataDir].map((folder) => fs.statSync(folder, { throwIfNoEntry: false }));
  const owner = owners.find((stat) => stat && stat.uid !== 0);
  const user = (owner && account(String(owner.uid))) ?? account('nobody');
  if (user) return user;
  throw new EmbeddedPostgresError(
    'PostgreSQL does not run as root, and the user nobody does not exist; start as another user or set DATABASE_URL',
  );
}

function account(name: string): ServerUser | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { timeout: 5_000 }));
  if (uid?.status !== 0 || gid?.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** The first folder in a path that the user may not enter, or undefined. A process of that user checks. */
export function closedFolder(user: ServerUser, folder: string): string | undefined {
  const steps = folder.split('/').map((_, i, names) => names.slice(0, i + 1).join('/') || '/');
  const script = 'for d; do [ -x "$d" ] || { printf %s "$d"; exit; }; done';
  const options = { ...user, cwd: '/', encoding: 'utf8', timeout: 5_000 } as const;
  return spawnSync('/bin/sh', ['-c', script, 'sh', ...steps], options).stdout || undefined;
}

/** Fills a folder beside `target` and renames it to `target`, which is therefore complete as soon as it exists. */
export async function createWhole(
  target: string,
  user: ServerUser | undefined,
  fill: (draft: string) => Promise<void> | void,
): Promise<void> {
  const parent = path.dirname(target);
  const draft = path.join(parent, `.draft-${process.pid}-${randomUUID().slice(0, 8)}`);
  fs.mkdirSync(draft);
  if (user) fs.lchownSync(draft, user.uid, user.gid);
  try {
    await fill(draft);
    fs.renameSync(draft, target);
  } catch (error) {
    fs.rmSync(draft, { recursive: true, force: true, maxRetries: 3 });
    if (['ENOTEMPTY', 'EEXIST'].includes(errorCode(error))) return; // another process was faster
    throw error;
  }
  makeDurable(parent);
}

/** Flushes a file, or the names in a folder, to the disk. */
export function makeDurable(file: string): void {
  const handle = fs.openSync(file, 'r');
  try {
    fs.fsyncSync(handle);
  } catch (error) {
    if (errorCode(error) !== 'EINVAL') throw error; // some network filesystems can't do it
  } finally {
    fs.closeSync(handle);
  }
}

/** Removes the drafts of processes that died, except those it has no permission for. */
export function sweepDrafts(dataDir: string): void {
  try {
    for (const name of fs.readdirSync(dataDir)) {
      const folder = path.join(dataDir, name);
      if (!name.startsWith('.swept-') && !isAbandonedDraft(folder)) continue;
      const swept = path.join(dataDir, `.swept-${randomUUID().slice(0, 8)}`);
      // renamed first: if its process is alive after all, in another container, it must not publish half a folder
      fs.renameSync(folder, swept);
      fs.rmSync(swept, { recursive: true, force: true, maxRetries: 3 });
    }
  } catch {
    // it belongs to another user, or another process is removing it
  }
}

function isAbandonedDraft(folder: string): boolean {
  const [, pid] = /^\.draft-(\d+)-/.exec(path.basename(folder)) ?? [];
  if (pid === undefined) return false;
  // filling takes 3 minutes at most, so the pid of an older draft belongs to another process by now
  return !isAlive(Number(pid)) || fs.statSync(folder).mtimeMs < Date.now() - 600_000;
}

/** Opens the folder for the socket, with mode 0700: anyone who reaches the socket is the database's superuser. */
export function openSocketFolder(dataDir: string, user: ServerUser | undefined): string {
  const me = process.getuid?.() ?? -1;
  const owner = user?.uid ?? me;
  const hash = createHash('sha256').update(`${owner}:${dataDir}`).digest('hex').slice(0, 16);
  const near = path.join(dataDir, 'sock');
  const candidates = [near, path.resolve(os.tmpdir(), `olk-${hash}`), `/tmp/olk-${hash}`];
  const fits = (folder: string) =>
    Buffer.byteLength(`${folder}/${SOCKET_NAME}`) <= LONGEST_SOCKET_PATH;
  const folder = candidates.find(fits) ?? near;
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = fs.lstatSync(folder);
  // in the temp folder, another user may have created it
  if (!stat.isDirectory() || ![owner, me].includes(stat.uid)) {
    throw new EmbeddedPostgresError(
      `the socket folder ${folder} belongs to another user (uid ${stat.uid}) or is not a folder; remove it, or set DATA_DIR to a shorter path`,
    );
  }
  if (stat.uid !== owner) fs.lchownSync(folder, owner, user?.gid ?? -1);
  if ((stat.mode & 0o777) !== 0o700) fs.chmodSync(folder, 0o700);
  return folder;
}

/** Reads the lock file of a server that is running or was killed; null if there is no such file. */
export function readLock(file: string): Lock | null {
  try {
    const lines = fs.readFileSync(file, 'utf8').split('\n');
    const pid = Math.abs(Number(lines[0])); // negative for a single-user server
    if (!(pid > 0)) return null; // being written; if it stays like this, PostgreSQL will report it
    return { pid, socketFolder: lines[4] ?? '', status: lines[7]?.trim() ?? '' };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Whether the process is a PostgreSQL on this cluster, and not another process that reuses the pid. */
export function runsCluster(pid: number, cluster: string): boolean {
  if (!isAlive(pid)) return false;
  try {
    const command =
      process.platform === 'linux'
        ? fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        : execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return /(^|\/)postgres /.test(command) && `${command.trim()} `.includes(` ${cluster} `);
  } catch {
    return isAlive(pid);
  }
}

/**
 * Waits until no server holds the cluster: 10 s if the holder is shutting down, else 1.5 s, in case its service was
 * killed just now.
 * @returns the pid in the lock file of a dead server, or undefined
 * @throws EmbeddedPostgresError if a server still holds the cluster
 */
export async function waitUntilFree(
  cluster: string,
  socketFolder: string,
): Promise<number | undefined> {
  const files = [path.join(cluster, 'postmaster.pid'), `${socketFolder}/${SOCKET_NAME}.lock`];
  for (const began = Date.now(); ; await delay(50)) {
    const locks = files.map(readLock).filter((lock) => lock !== null);
    const here = locks.find((lock) => runsCluster(lock.pid, cluster));
    // in another container that shares the folder, the pid means nothing here, so the socket is tried
    const elsewhere =
      here || !(await acceptsConnections(locks[0]?.socketFolder)) ? undefined : locks[0];
    const holder = here ?? elsewhere;
    if (!holder) return locks[0]?.pid;
    if (Date.now() - began < (holder.status === 'stopping' ? 10_000 : 1_500)) continue;
    const owner = elsewhere ? `${holder.pid} of another container` : holder.pid;
    throw new EmbeddedPostgresError(
      `${cluster} is already in use by process ${owner}; stop it, set DATA_DIR to another folder or set DATABASE_URL`,
    );
  }
}

function acceptsConnections(socketFolder: string | undefined): Promise<boolean> {
  if (!socketFolder) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = net.connect(`${socketFolder}/${SOCKET_NAME}`);
    socket.setTimeout(1_000);
    for (const event of ['connect', 'timeout', 'error']) {
      socket.once(event, (error?: Error) => {
        socket.destroy();
        resolve(!['ECONNREFUSED', 'ENOENT', 'EACCES'].includes(errorCode(error)));
      });
    }
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
