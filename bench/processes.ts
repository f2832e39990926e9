import { type ChildProcess, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const running = new Set<ChildProcess>();
const folders: string[] = [];
let isEnding = false;

/** Ends a child process with the run, however the run ends. */
export function register(child: ChildProcess): void {
  running.add(child);
  child.once('exit', () => running.delete(child));
  if (isEnding) child.kill('SIGKILL');
}

/** A folder that the user of PostgreSQL may enter; it is removed with the run. */
export function newFolder(): string {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'outlook-ledger-bench-')));
  chmodSync(folder, 0o755);
  folders.push(folder);
  return folder;
}

/** Ends the processes of the run, and with them their PostgreSQL servers, and removes its folders. */
export async function cleanUp(): Promise<void> {
  isEnding = true;
  const ended = [...running].map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(ended);
  for (const folder of folders.splice(0)) {
    await untilServerIsGone(folder, 20_000);
    // Not rmSync: npm sends Ctrl-C twice, and tsx kills a program that is too busy to handle the second one.
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** Waits for the end of the PostgreSQL on a data folder, at most `limit` milliseconds. */
export async function untilServerIsGone(dataDir: string, limit: number): Promise<void> {
  const pid = postmasterOf(dataDir);
  if (pid === null) return;
  for (const deadline = Date.now() + limit; isAlive(pid); await delay(20)) {
    if (Date.now() > deadline) throw new Error(`PostgreSQL (process ${pid}) does not stop`);
  }
}

function postmasterOf(dataDir: string): number | null {
  const file = path.join(dataDir, 'pg18/postmaster.pid');
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : null;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Milliseconds of CPU that a process has used, in all its threads; null on other systems than Linux. */
export function cpuOf(pid: number): number | null {
  const stat = ofProcess(pid, 'stat');
  if (stat === null) return null;
  // The name, in brackets, may hold spaces. Behind it utime and stime are the 12th and the 13th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / clockTicks();
}

/** The resident memory of a process in bytes; null on other systems than Linux. */
export function memoryOf(pid: number): number | null {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(ofProcess(pid, 'status') ?? '')?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

function ofProcess(pid: number, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return null;
  }
}

let ticks: number | undefined;

/** The kernel's ticks a second. */
function clockTicks(): number {
  return (ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })));
}
