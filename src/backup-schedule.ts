import path from 'node:path';

/** When to back up, and where to. */
export type BackupSchedule = {
  /** Time between the starts of two backups, in milliseconds. */
  every: number;
  /** How many backups stay; older ones are deleted. */
  keep: number;
  folder: string;
};

/** Values of BACKUP_EVERY: `off`, or a number of minutes, hours or days. */
export const BACKUP_INTERVAL = /^(off|0*[1-9]\d{0,3}[mhd])$/;

const MILLISECONDS = { m: 60_000, h: 3_600_000, d: 86_400_000 };

type Settings = {
  DATABASE_URL?: string | undefined;
  DATA_DIR: string;
  BACKUP_EVERY?: string | undefined;
  BACKUP_KEEP: number;
  BACKUP_DIR?: string | undefined;
};

/**
 * The backup schedule of the embedded database, daily unless set; null if it is off, or DATABASE_URL is set.
 * @throws Error if DATABASE_URL and a setting for backups are set
 */
export function scheduleOf(settings: Settings): BackupSchedule | null {
  const { BACKUP_EVERY: every = '24h', BACKUP_KEEP: keep, BACKUP_DIR, DATA_DIR } = settings;
  if (every === 'off') return null;
  if (settings.DATABASE_URL === undefined) {
    const unit = every.at(-1) as keyof typeof MILLISECONDS;
    const folder = BACKUP_DIR ?? path.join(DATA_DIR, 'backups');
    return { every: Number(every.slice(0, -1)) * MILLISECONDS[unit], keep, folder };
  }
  const set = (['BACKUP_EVERY', 'BACKUP_DIR'] as const).find((name) => settings[name]);
  if (set === undefined) return null;
  throw new Error(
    `Invalid settings: ${set} is for the embedded database; unset it, and back up the database of DATABASE_URL with its server's or host's own tools.`,
  );
}
