import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

const BIN = fileURLToPath(new URL('../../cli/bin/outlook.js', import.meta.url));

export type Run = { code: number | null; stdout: string; stderr: string };

/** A running command. */
export type Running = {
  stdout: () => string;
  stderr: () => string;
  type: (text: string) => void;
  kill: (signal: NodeJS.Signals) => void;
  ended: Promise<Run>;
};

type Options = {
  url?: string;
  key?: string;
  env?: Record<string, string>;
  /** The standard input; empty by default. */
  stdin?: string;
};

const children = new Set<ChildProcess>();
const folders: string[] = [];

/** A new folder, for a home or for files. */
export function newFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'outlook-cli-'));
  folders.push(folder);
  return folder;
}

/** Kills the commands that are still running, and removes the folders. */
export function cleanUp(): void {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

function environment({ url, key, env = {} }: Options): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: env['HOME'] ?? newFolder(),
    ...(url !== undefined && { OUTLOOK_URL: url }),
    ...(key !== undefined && { OUTLOOK_KEY: key }),
    ...env,
  };
}

/** Starts a program; its standard input stays open unless it is closed. */
function start(
  command: string,
  args: readonly string[],
  options: Options,
): Running & { closeInput: () => void } {
  const child = spawn(command, args, { env: environment(options), stdio: 'pipe' });
  children.add(child);
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => void (texts[name] += text));
  }
  child.stdin.on('error', () => {}); // the program may end without reading it
  const ended = new Promise<Run>((resolve) => {
    child.once('close', (code) => {
      children.delete(child);
      resolve({ code, ...texts });
    });
  });
  return {
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    type: (text) => void child.stdin.write(text),
    closeInput: () => void child.stdin.end(),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

/** Starts the built `outlook` without a terminal. */
export function begin(args: readonly string[], options: Options = {}): Running {
  const running = start(process.execPath, [BIN, ...args], options);
  if (options.stdin !== undefined) running.type(options.stdin);
  running.closeInput();
  return running;
}

/** Runs the built `outlook` without a terminal, to its end. */
export function outlook(args: readonly string[], options: Options = {}): Promise<Run> {
  return begin(args, options).ended;
}

/** Runs a line of bash, in which $OUTLOOK is the path of `outlook`. */
export function shell(line: string, options: Options = {}): Promise<Run> {
  const env = { ...options.env, OUTLOOK: BIN };
  return start('bash', ['-c', line], { ...options, env }).ended;
}

/** Starts `outlook` on a terminal. Everything it prints is in stdout. */
export function onTerminal(
  args: readonly string[],
  { columns = 100, ...options }: Options & { columns?: number } = {},
): Running {
  const words = [process.execPath, BIN, ...args].map(
    (word) => `'${word.replaceAll("'", `'\\''`)}'`,
  );
  const command = `stty cols ${columns} rows 40; exec ${words.join(' ')}`;
  const isMac = process.platform === 'darwin';
  const script = isMac ? ['-q', '/dev/null', 'sh', '-c', command] : ['-qefc', command, '/dev/null'];
  return start('script', script, { ...options, env: { TERM: 'xterm-256color', ...options.env } });
}

/** The environment of a command that first runs some JavaScript, which can call `gc`. */
export function preloaded(code: string): Record<string, string> {
  const gc = `import v8 from 'node:v8';
    import vm from 'node:vm';
    v8.setFlagsFromString('--expose-gc');
    const gc = vm.runInNewContext('gc');`;
  const url = `data:text/javascript,${encodeURIComponent(gc + code)}`;
  return { NODE_OPTIONS: `--import ${url}` };
}

/** Waits until a command prints a text. Just before vitest's own timeout, it fails with what was printed. */
export async function shows(
  running: Running,
  wanted: string,
  stream: 'stdout' | 'stderr' = 'stdout',
): Promise<void> {
  let isOver = false;
  void running.ended.then(() => (isOver = true));
  for (const deadline = Date.now() + 55_000; !running[stream]().includes(wanted); await delay(20)) {
    if (isOver || Date.now() > deadline) {
      throw new Error(`waited for ${wanted} in: ${running[stream]()}`);
    }
  }
}
