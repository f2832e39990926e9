import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findProgram } from './programs.ts';
import { freePort, until } from './service.ts';

export type PoolMode = 'session' | 'transaction';

/** The program that PGBOUNCER names, or the one of the system; null if there is none. */
export function findPgbouncer(): string | null {
  const program = findProgram('pgbouncer');
  if (program === null)
    console.warn(
      'pgbouncer is not installed: its tests are skipped. PGBOUNCER=… names the program.',
    );
  return program;
}

export type Pooler = {
  port: number;
  stop: () => Promise<void>;
};

/**
 * Starts a pgbouncer in front of a server, with its defaults but for what a test needs.
 * @param serverUrl any database of the server
 * @param users the names of roles and their passwords
 */
export async function startPgbouncer(
  program: string,
  { mode, serverUrl, users }: { mode: PoolMode; serverUrl: string; users: Record<string, string> },
): Promise<Pooler> {
  const folder = mkdtempSync(path.join(tmpdir(), 'outlook-ledger-pgbouncer-'));
  const port = await freePort();
  const server = new URL(serverUrl);
  const host = server.searchParams.get('host') ?? server.hostname;
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const lines = Object.entries(users).map(([name, password]) =>
    [name, password].map(quoted).join(' '),
  );
  writeFileSync(path.join(folder, 'users'), `${lines.join('\n')}\n`);
  writeFileSync(
    path.join(folder, 'pgbouncer.ini'),
    `[databases]
* = host=${host} port=${server.port || 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${folder}/users
pool_mode = ${mode}
max_client_conn = 1000
default_pool_size = 30
server_idle_timeout = 2
`,
  );
  chmodSync(folder, 0o755);
  const isRoot = process.getuid?.() === 0;
  const child = spawn(program, [...(isRoot ? ['-u', 'nobody'] : []), `${folder}/pgbouncer.ini`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until(() => {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended: ${log}`);
    return answers(port);
  });
  return {
    port,
    stop: async () => {
      child.kill('SIGTERM');
      const last = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await ended;
      clearTimeout(last);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}
