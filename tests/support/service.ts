import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));

export type Settings = Record<string, string>;
export type Ending = { code: number | null; signal: NodeJS.Signals | null };

/** A program of `dist`, as a process of its own. */
export type Program = {
  pid: number;
  stdout: () => string;
  stderr: () => string;
  ended: Promise<Ending>;
  kill: (signal: NodeJS.Signals) => void;
};

const started: ChildProcess[] = [];
const folders: string[] = [];

/** A folder that PostgreSQL's user may enter. */
export function newFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'outlook-ledger-'));
  chmodSync(folder, 0o755);
  folders.push(folder);
  return folder;
}

/** Ends what the tests of a file left running, and removes its folders. */
export async function cleanUp(): Promise<void> {
  const running = started
    .splice(0)
    .filter((child) => child.exitCode === null && child.signalCode === null);
  const ends = running.map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(ends);
  for (const folder of folders.splice(0)) {
    const server = postmasterOf(folder);
    if (server !== null) await until(() => !isAlive(server));
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** Runs a program of `dist` in an empty folder, with no settings but those given. */
export function run(
  program: string,
  args: string[],
  settings: Settings,
  dist: string = DIST,
): Program {
  const child = spawn(process.execPath, [path.join(dist, program), ...args], {
    cwd: newFolder(),
    env: { PATH: process.env['PATH'] ?? '', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => void (texts[name] += text));
  }
  const ended = new Promise<Ending>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  return {
    pid: child.pid ?? 0,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    ended,
    kill: (signal) => void child.kill(signal),
  };
}

export type Service = Program & { origin: string };

/**
 * Starts the service, on a free port unless the settings name one; resolves once it is ready.
 * @param dist the folder of another build
 */
export async function startService(settings: Settings, dist?: string): Promise<Service> {
  const port = settings['PORT'] ?? String(await freePort());
  const program = run('server.js', [], { ...settings, PORT: port }, dist);
  const origin = `http://127.0.0.1:${port}`;
  let ending: Ending | undefined;
  void program.ended.then((how) => (ending = how));
  await until(async () => {
    if (ending) throw new Error(`the service ended: ${program.stderr()}`);
    return fetch(`${origin}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
  });
  return { ...program, origin };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port is free');
  return address.port;
}

/** Waits until the check holds. */
export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 120_000; !(await check()); await delay(20)) {
    if (Date.now() > deadline) throw new Error(`waited too long: ${check.toString()}`);
  }
}

/** The process of the PostgreSQL that runs, or that was killed, on a data folder. */
export function postmasterOf(dataDir: string): number | null {
  try {
    return Number(readFileSync(path.join(dataDir, 'pg18/postmaster.pid'), 'utf8').split('\n')[0]);
  } catch {
    return null;
  }
}

/** Whether the process runs; one that ended and that nobody has asked for yet does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return !existsSync('/proc/self'); // else it has just gone
  }
}

/** The lines that hold nothing but a key. */
export function keysShown(stdout: string): string[] {
  return stdout.split('\n').filter((line) => /^olk_[A-Za-z0-9_-]+$/.test(line));
}

export function logLines(stdout: string): string[] {
  return stdout.split('\n').filter((line) => line.startsWith('{"level"'));
}
