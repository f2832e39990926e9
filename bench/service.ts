import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, truncateSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { newFolder, register, untilServerIsGone } from './processes.ts';

const SERVER = fileURLToPath(new URL('../dist/server.js', import.meta.url));

export type Settings = Record<string, string>;

export type Service = {
  pid: number;
  origin: string;
  /** The log since the last {@link Service.clearLog}. */
  log: () => string;
  /** Empties the log: with a line for each request it would grow to gigabytes. */
  clearLog: () => void;
  /** Stops the service as Ctrl-C does, and waits until its PostgreSQL is gone, too. */
  stop: () => Promise<void>;
};

/** Starts the service as `npm start` does, with its log in a file; resolves once it is ready. */
export async function startService(dataDir: string, settings: Settings): Promise<Service> {
  const folder = newFolder();
  const logFile = path.join(folder, 'log');
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const child = spawnServer(folder, logFile, {
    // Requests are counted as in production; the limits are never reached.
    RATE_LIMIT_PER_ADDRESS: '1000000000',
    RATE_LIMIT_PER_KEY: '1000000000',
    ...settings,
    DATA_DIR: dataDir,
    PORT: String(port),
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const log = () => readFileSync(logFile, 'utf8');
  const fail = (what: string): never => {
    child.kill('SIGKILL');
    throw new Error(`${what}: ${log().slice(-2_000)}`);
  };
  await untilReady(origin, child).catch((error: Error) => fail(error.message));
  const stop = async () => {
    child.kill('SIGINT');
    const code = await Promise.race([ended, delay(30_000, undefined, { ref: false })]);
    if (code !== 0) fail('the service did not stop well');
    await untilServerIsGone(dataDir, 20_000);
  };
  return { pid: child.pid ?? 0, origin, log, clearLog: () => truncateSync(logFile), stop };
}

function spawnServer(folder: string, logFile: string, settings: Settings): ChildProcess {
  const output = openSync(logFile, 'a');
  const child = spawn(process.execPath, [SERVER], {
    cwd: folder, // where no .env is
    env: { PATH: process.env['PATH'] ?? '', ...settings },
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  register(child);
  return child;
}

async function untilReady(origin: string, child: ChildProcess): Promise<void> {
  const isReady = () =>
    fetch(`${origin}/readyz`, { signal: AbortSignal.timeout(5_000) }).then(
      (response) => response.ok,
      () => false,
    );
  for (const deadline = Date.now() + 120_000; !(await isReady()); await delay(50)) {
    if (child.exitCode !== null) throw new Error('the service exited');
    if (Date.now() > deadline) throw new Error('the service does not become ready');
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('there is no free port');
  return address.port;
}

/** The admin key that the first start on a data folder prints. */
export function keyShown(log: string): string {
  const key = /^olk_[A-Za-z0-9_-]+$/m.exec(log)?.[0];
  if (key === undefined) throw new Error('the service printed no key');
  return key;
}
