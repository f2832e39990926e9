import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddedPostgresError, type ServerUser } from './programs.ts';

export const PORT = 5432; // no network port: it only names the socket
const SOCKET_NAME = `.s.PGSQL.${PORT}`;
const LONGEST_SOCKET_PATH = 103; // bytes on macOS; Linux takes 107

export type Lock = { pid: number; socketFolder: string; status: string };

/** Makes the data folder and returns its real path. */
export function makeDataFolder(dataDir: string): string {
  const made = fs.mkdirSync(dataDir, { recursive: true }) !== undefined;
  // a root with a strict umask still has to let the server's user in
  if (made && process.getuid?.() === 0) fs.chmodSync(dataDir, 0o711);
  return fs.realpathSync(dataDir);
}

/** The user for a server started by root: the folder's owner, or else nobody. */
export function chooseServerUser(dataDir: string, cluster: string): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owners = [cluster, dataDir].map((folder) => fs.statSync(folder, { throwIfNoEntry: false }));
  const owner = owners.find((stat) => stat && stat.uid !== 0);
  const user = (owner && account(String(owner.uid))) ?? account('nobody');
  if (user) return user;
  throw new EmbeddedPostgresError(
    'PostgreSQL does not run as root and there is no user nobody; start as another user or set DATABASE_URL',
  );
}

function account(name: string): ServerUser | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { timeout: 5_000 }));
  if (uid?.status !== 0 || gid?.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** The first folder of the path that the user may not enter, tested as that user. */
export function closedFolder(user: ServerUser, folder: string): string | undefined {
  const steps = folder.split('/').map((_, i, names) => names.slice(0, i + 1).join('/') || '/');
  const script = 'for d; do [ -x "$d" ] || { printf %s "$d"; exit; }; done';
  const options = { ...user, cwd: '/', encoding: 'utf8', timeout: 5_000 } as const;
  return spawnSync('/bin/sh', ['-c', script, 'sh', ...steps], options).stdout || undefined;
}

/** Fills a folder beside `target` and renames it, so that `target` is complete whenever it exists. */
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
    if (['ENOTEMPTY', 'EEXIST'].includes(errorCode(error))) return; // another starter was first
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

/** Removes the drafts of starters that died, as far as permissions allow. */
export function sweepDrafts(dataDir: string): void {
  try {
    for (const name of fs.readdirSync(dataDir)) {
      const folder = path.join(dataDir, name);
      if (!name.startsWith('.swept-') && !isAbandonedDraft(folder)) continue;
      const swept = path.join(dataDir, `.swept-${randomUUID().slice(0, 8)}`);
      // its starter may be alive after all (in another container), and must not publish a half
      fs.renameSync(folder, swept);
      fs.rmSync(swept, { recursive: true, force: true, maxRetries: 3 });
    }
  } catch {
    // another user's, or being swept by another starter
  }
}

function isAbandonedDraft(folder: string): boolean {
  const [, pid] = /^\.draft-(\d+)-/.exec(path.basename(folder)) ?? [];
  if (pid === undefined) return false;
  // filling takes 3 minutes at most, so the pid of an older draft is someone else's by now
  return !isAlive(Number(pid)) || fs.statSync(folder).mtimeMs < Date.now() - 600_000;
}

/** The folder for the socket: 0700, because a user who reaches the socket is the database's superuser. */
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
  const found = fs.lstatSync(folder);
  // in the temp folder, any user may have created it first
  if (!found.isDirectory() || ![owner, me].includes(found.uid)) {
    throw new EmbeddedPostgresError(
      `the socket folder ${folder} belongs to another user (uid ${found.uid}) or is no folder; remove it, or set DATA_DIR to a shorter path`,
    );
  }
  if (found.uid !== owner) fs.lchownSync(folder, owner, user?.gid ?? -1);
  if ((found.mode & 0o777) !== 0o700) fs.chmodSync(folder, 0o700);
  return folder;
}

/** The lock file of a server that runs or was killed; null if there is none. */
export function readLock(file: string): Lock | null {
  try {
    const lines = fs.readFileSync(file, 'utf8').split('\n');
    const pid = Math.abs(Number(lines[0])); // negative for a single-user server
    if (!(pid > 0)) return null; // being written; if it stays so, PostgreSQL reports it better
    return { pid, socketFolder: lines[4] ?? '', status: lines[7]?.trim() ?? '' };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Whether the process is a PostgreSQL on this cluster, not a later process with the same pid. */
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
 * Waits until no server holds the cluster and returns the pid a dead one left behind, if any.
 * A healthy holder gets 1.5 s, in case its service was killed just now; one that shuts down gets 10 s.
 */
export async function waitUntilFree(
  cluster: string,
  socketFolder: string,
): Promise<number | undefined> {
  const files = [path.join(cluster, 'postmaster.pid'), `${socketFolder}/${SOCKET_NAME}.lock`];
  for (const began = Date.now(); ; await delay(50)) {
    const locks = files.map(readLock).filter((lock) => lock !== null);
    const here = locks.find((lock) => runsCluster(lock.pid, cluster));
    // a server in another container that shares the folder has a pid that means nothing here
    const elsewhere = here || !(await answers(locks[0]?.socketFolder)) ? undefined : locks[0];
    const holder = here ?? elsewhere;
    if (!holder) return locks[0]?.pid;
    if (Date.now() - began < (holder.status === 'stopping' ? 10_000 : 1_500)) continue;
    const whose = elsewhere ? `${holder.pid} of another container` : holder.pid;
    throw new EmbeddedPostgresError(
      `${cluster} is already in use by process ${whose}; stop it, set DATA_DIR to another folder or set DATABASE_URL`,
    );
  }
}

function answers(socketFolder: string | undefined): Promise<boolean> {
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
