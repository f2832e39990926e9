import { mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { BackupSchedule } from './backup-schedule.ts';
import { backUp } from './postgres/backup.ts';

/** A file of a scheduled backup. */
export type BackupFile = { file: string; takenAt: Date };

/** How often to check whether a backup is due, in milliseconds. One long timer would stand still while a laptop sleeps. */
const INTERVAL = 60_000;
/** The wait after a backup that failed, in milliseconds, unless backups are due more often. */
const RETRY = 600_000;
/** The age of a file that no backup writes any more, in milliseconds. */
const ABANDONED = 600_000;

const NAME = /^outlook-ledger-(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d)Z\.sql(\.part)?$/;

export type BackupDeps = {
  pool: pg.Pool;
  schedule: BackupSchedule;
  now: () => Date;
  log: Logger;
};

export type Backups = {
  every: number;
  /** When the newest backup was taken; null if there is none. */
  takenAt: () => Date | null;
  /** Stops the schedule and cuts off a backup that runs. */
  stop: () => Promise<void>;
};

/**
 * Backs up now if that is due, and then on schedule, one backup at a time. A restart keeps the schedule: the names of the
 * files say when the last backup was. A failed backup is logged and tried again after ten minutes. Old backups, and no
 * other files, are deleted once a new one is complete.
 */
export async function startBackups({ pool, schedule, now, log }: BackupDeps): Promise<Backups> {
  const { every, keep, folder } = schedule;
  const stopping = new AbortController();
  const newest = async () => (await backupsIn(folder, now()))[0]?.takenAt ?? null;
  let takenAt = await newest().catch(() => null);
  let failedAt: Date | null = null;
  const run = async () => {
    if (stopping.signal.aborted || !isDue(now(), { takenAt, failedAt, every })) return;
    const began = now();
    try {
      const file = path.join(folder, nameAt(began));
      await makeFolder(folder);
      await deleteAbandoned(folder, began);
      await requireRoom(pool, folder);
      const rows = await backUp(pool, file, began, stopping.signal);
      [takenAt, failedAt] = [began, null];
      log.info({ file, rows }, 'backed up');
      await deleteOld(folder, keep, began);
    } catch (error) {
      if (stopping.signal.aborted) return;
      failedAt = began;
      log.warn({ err: error, folder }, 'the backup failed; it is tried again later');
    }
  };
  let lastRun = run();
  const timer = setInterval(() => void (lastRun = lastRun.then(run)), INTERVAL).unref();
  const stop = async () => {
    clearInterval(timer);
    stopping.abort();
    await lastRun;
  };
  return { every, takenAt: () => takenAt, stop };
}

type History = { takenAt: Date | null; failedAt: Date | null; every: number };

/** Whether the next backup is due. The clock may be set back: what lies in the future does not count. */
export function isDue(now: Date, { takenAt, failedAt, every }: History): boolean {
  const hasPassed = (since: Date | null, wait: number) =>
    since === null || since > now || now.getTime() - since.getTime() >= wait;
  return hasPassed(takenAt, every) && hasPassed(failedAt, Math.min(every, RETRY));
}

/** The complete backups in a folder, newest first, without those that seem to be from the future. */
export async function backupsIn(folder: string, now: Date): Promise<BackupFile[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    },
  );
  return entries
    .flatMap((entry) => {
      const { name } = entry;
      const [, hour, minute, second, part] = NAME.exec(name) ?? [];
      if (hour === undefined || part !== undefined || !entry.isFile()) return [];
      return [{ file: path.join(folder, name), takenAt: new Date(`${hour}:${minute}:${second}Z`) }];
    })
    .filter(({ takenAt }) => takenAt <= now)
    .toSorted((a, b) => b.takenAt.getTime() - a.takenAt.getTime());
}

/** The name of a backup, such as `outlook-ledger-2026-11-27T13-00-00Z.sql`. */
function nameAt(time: Date): string {
  return `outlook-ledger-${time.toISOString().slice(0, 19).replaceAll(':', '-')}Z.sql`;
}

/** Backups hold hashes of keys and secrets of webhooks, so only the service's user may enter a folder that it creates. */
async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
}

/** Deletes the partial files of backups that were cut off, such as by a crash. */
async function deleteAbandoned(folder: string, now: Date): Promise<void> {
  for (const name of await readdir(folder)) {
    if (NAME.exec(name)?.[4] === undefined) continue;
    const file = path.join(folder, name);
    const { mtimeMs } = await stat(file);
    if (mtimeMs < now.getTime() - ABANDONED) await rm(file, { force: true });
  }
}

async function deleteOld(folder: string, keep: number, now: Date): Promise<void> {
  for (const { file } of (await backupsIn(folder, now)).slice(keep)) await rm(file);
}

/**
 * A full disk would stop the database itself, so a backup needs as much room as the database takes. It is smaller, because
 * it has no indexes.
 * @throws Error if the folder's disk has less
 */
async function requireRoom(pool: pg.Pool, folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const { rows } = await pool.query<{ bytes: number }>(
    'select pg_database_size(current_database()) as bytes',
  );
  const needed = rows[0]?.bytes ?? 0;
  if (bavail * bsize >= needed) return;
  const [has, needs] = [bavail * bsize, needed].map((bytes) => `${Math.ceil(bytes / 1e6)} MB`);
  throw new Error(`${folder} has ${has} of free space, but a backup may need ${needs}`);
}
