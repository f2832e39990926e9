import { statfs } from 'node:fs/promises';
import type { BackupSchedule } from '../backup-schedule.ts';
import { backupsIn } from '../backups.ts';
import { fail, type Finding, ok, warn } from '../postgres/doctor/finding.ts';

/** The share of a disk that should be free. */
const FREE_SHARE = 0.1;
/** The least free space, in bytes: PostgreSQL writes its log in files of 16 MiB. */
const FREE_BYTES = 100_000_000;

/** The disk of the embedded database. */
export async function checkDisk(folder: string): Promise<Finding[]> {
  const { bavail, blocks, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const share = Math.floor((100 * bavail) / blocks);
  const seen = `The disk of ${folder} has ${(free / 1e9).toFixed(1)} GB of free space (${share} %).`;
  const remedy = 'Make room; see docs/operate/runbooks/storage-full.md.';
  if (free < FREE_BYTES) return [fail(seen, remedy)];
  return [bavail < FREE_SHARE * blocks ? warn(seen, remedy) : ok(seen)];
}

/** The age of the newest scheduled backup of the embedded database. */
export async function checkBackups(schedule: BackupSchedule | null, now: Date): Promise<Finding[]> {
  if (schedule === null) {
    const remedy = 'Unset BACKUP_EVERY, or make sure that something else runs npm run backup.';
    return [warn('BACKUP_EVERY is off: the service takes no backups.', remedy)];
  }
  const backups = await backupsIn(schedule.folder, now);
  const [newest] = backups;
  const remedy = "See the service's log for why; it must run for its backups to be taken.";
  if (!newest) return [warn(`There is no backup in ${schedule.folder} yet.`, remedy)];
  const hours = (now.getTime() - newest.takenAt.getTime()) / 3_600_000;
  const seen = `Backups: ${backups.length}; the newest is ${hours.toFixed(1)} h old (${newest.file}).`;
  return [hours * 3_600_000 > 2 * schedule.every ? warn(seen, remedy) : ok(seen)];
}
