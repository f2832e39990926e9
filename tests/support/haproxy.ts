import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findProgram } from './programs.ts';
import { freePort, until } from './service.ts';

/** The program that HAPROXY names, or the one of the system; null if there is none. */
export function findHaproxy(): string | null {
  const program = findProgram('haproxy');
  if (program === null)
    console.warn(
      'HAProxy is not installed: what needs it is skipped. HAPROXY=… names the program.',
    );
  return program;
}

export type Balancer = { origin: string; pid: number; stop: () => Promise<void> };

/** Starts an HAProxy that deals requests to instances in turn, each request to the next one. */
export async function startHaproxy(program: string, origins: readonly string[]): Promise<Balancer> {
  const folder = mkdtempSync(path.join(tmpdir(), 'outlook-ledger-haproxy-'));
  const port = await freePort();
  const servers = origins.map((origin, index) => `  server s${index} ${new URL(origin).host}`);
  writeFileSync(
    path.join(folder, 'haproxy.cfg'),
    `global
  maxconn 4000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${port}
  default_backend instances
backend instances
  balance roundrobin
  http-reuse always
  option forwardfor
${servers.join('\n')}
`,
  );
  const child = spawn(program, ['-db', '-f', path.join(folder, 'haproxy.cfg')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (log += text));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  await until(() => {
    if (child.exitCode !== null) throw new Error(`HAProxy ended: ${log}`);
    return listens(port);
  });
  return { origin: `http://127.0.0.1:${port}`, pid: child.pid ?? 0, stop };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
