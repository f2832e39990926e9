import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, createWriteStream, readdirSync } from 'node:fs';
import path from 'node:path';
import { isAlive, until } from './service.ts';

const POSTGRES = '/usr/lib/postgresql';

/** Folders of programs: those of PATH, and where Debian installs what is not in it; the newest PostgreSQL first. */
function folders(): string[] {
  const debian = (() => {
    try {
      return readdirSync(POSTGRES).toSorted((a, b) => Number(b) - Number(a));
    } catch {
      return [];
    }
  })();
  const ofPostgres = debian.map((version) => path.join(POSTGRES, version, 'bin'));
  return [
    ...(process.env['PATH'] ?? '').split(path.delimiter),
    ...ofPostgres,
    '/usr/sbin',
    '/usr/local/sbin',
  ];
}

/**
 * Finds an installed program: the one that the environment variable of its name in capitals gives, such as HAPROXY
 * or DOCKER_COMPOSE, or the first one of that name.
 * @returns its path; null if there is none
 */
export function findProgram(name: string): string | null {
  const named = process.env[name.toUpperCase().replaceAll('-', '_')];
  const candidates = named ? [named] : folders().map((folder) => path.join(folder, name));
  return candidates.find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The names of those programs that are not installed. Warns of each, so that what a test run leaves out is seen. */
export function missingPrograms(names: readonly string[]): string[] {
  const missing = names.filter((name) => findProgram(name) === null);
  if (missing.length > 0) {
    console.warn(`SKIPPED: ${missing.join(', ')} not installed; tests that need them do not run`);
  }
  return missing;
}

/** The user that a server runs as when root runs the tests, because PostgreSQL refuses root: postgres, or nobody. */
export function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name]));
    if (uid?.status === 0 && gid?.status === 0) {
      return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
    }
  }
  throw new Error('neither postgres nor nobody is a user of this machine');
}

/** A program that runs until it is ended. */
export type Daemon = { pid: number; end: (signal?: NodeJS.Signals) => Promise<void> };

const daemons: Daemon[] = [];

/** Ends all that {@link startDaemon} started. */
export async function endDaemons(): Promise<void> {
  for (const daemon of daemons.splice(0).toReversed()) await daemon.end();
}

/** Starts an installed program as {@link serverUser}. Its output goes to the file `log`. */
export function startDaemon(
  name: string,
  args: readonly string[],
  { env, cwd, log }: { env: Record<string, string>; cwd: string; log: string },
): Daemon {
  const file = findProgram(name);
  if (file === null) throw new Error(`${name} is not installed`);
  const child: ChildProcess = spawn(file, args, {
    cwd,
    env: { PATH: folders().join(path.delimiter), LANG: 'C.UTF-8', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...serverUser(),
  });
  const output = createWriteStream(log, { flags: 'a' });
  child.stdout?.pipe(output, { end: false });
  child.stderr?.pipe(output, { end: false });
  const pid = child.pid ?? 0;
  const daemon: Daemon = {
    pid,
    end: async (signal = 'SIGKILL') => {
      child.kill(signal);
      await until(() => !isAlive(pid));
    },
  };
  daemons.push(daemon);
  return daemon;
}
