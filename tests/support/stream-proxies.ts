import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import compression from 'compression';
import express from 'express';
import { freePort, until } from './service.ts';

/** A proxy before the service. */
export type StreamProxy = { origin: string; stop: () => Promise<void> };

/** Express with `compression`, which holds back what it compresses until a block of it is full. */
export async function startExpress(target: string): Promise<StreamProxy> {
  const app = express();
  app.use(compression());
  app.use((request, response) => {
    const { method, url, headers } = request;
    const passed = http.request(target + url, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on('close', () => answer.complete || response.destroy());
    });
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  });
  const server = http.createServer(app);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    stop: async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}

/** nginx as it is installed, with compression of everything. */
export async function startNginx(program: string, target: string): Promise<StreamProxy> {
  const folder = mkdtempSync(path.join(tmpdir(), 'nginx-'));
  const port = await freePort();
  const file = path.join(folder, 'nginx.conf');
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ');
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
     events {}
     http {
       access_log off; ${places}
       gzip on; gzip_types *; gzip_proxied any;
       server { listen 127.0.0.1:${port}; location / { proxy_pass ${target}; } }
     }`,
  );
  const child = spawn(program, ['-c', file, '-p', folder, '-e', `${folder}/error.log`]);
  const ended = once(child, 'exit');
  await until(() => isOpen(port));
  return {
    origin: `http://127.0.0.1:${port}`,
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const answer = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'error').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return answer;
}
