import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseNote, parseVkey, verifySignature } from '../../src/domain/signed-note.ts';
import { createDatabase, databaseSettings } from '../support/database.ts';
import {
  cleanUp,
  newFolder,
  run,
  type Service,
  type Settings,
  startService,
  until,
} from '../support/service.ts';

let settings: Settings;
let file: string;
let service: Service;
let apiKey = '';
beforeAll(async () => {
  settings = databaseSettings(await createDatabase({ empty: true }));
  file = path.join(newFolder(), 'log.pem');
});
afterAll(cleanUp);

async function keys(own: Settings, ...args: string[]) {
  const program = run('commands/keys.js', args, { ...settings, ...own });
  const { code } = await program.ended;
  return { code, stdout: program.stdout(), stderr: program.stderr() };
}

const withKey = () => ({ LOG_SIGNING_KEY: file });

async function restart(own: Settings): Promise<void> {
  service?.kill('SIGTERM');
  await service?.ended;
  service = await startService({ ...settings, ...own });
}

async function signing(): Promise<{ state: string; reason?: string }> {
  const response = await fetch(`${service.origin}/readyz`);
  return ((await response.json()) as { log: { state: string } }).log;
}

const checkpoint = (generation = 1) => fetch(`${service.origin}/log/${generation}/checkpoint`);

/** The vkeys that a command prints. */
const vkeysIn = (stdout: string): string[] =>
  [...stdout.matchAll(/^Verifier key to publish: (.+)$/gm)].map(([, vkey = '']) => vkey);

function isSigned(note: string, vkey: string): boolean {
  const [parsed, key] = [parseNote(note), parseVkey(vkey)];
  return !!parsed?.signatures.some((one) => key && verifySignature(parsed.text, one, key));
}

async function write(): Promise<void> {
  const response = await fetch(`${service.origin}/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: `Desk ${performance.now()}`, role: 'feed' }),
  });
  expect(response.status).toBe(201);
}

const sizeOf = async (generation: number): Promise<number> =>
  Number((await (await checkpoint(generation)).text()).split('\n')[1]);

test('a log gets a key, loses its state, and goes on in a new generation', async () => {
  expect((await keys({}, 'log')).stderr).toBe(
    'the ledger has no log yet: start the service once\n',
  );
  const issued = await keys({}, 'issue', '--name', 'Admin', '--role', 'admin');
  apiKey = issued.stdout.split('\n')[1] ?? '';

  // Without a key
  await restart({});
  await until(async () => (await checkpoint()).status === 404);
  await until(async () => (await (await checkpoint()).text()).includes('/problems/no-signed-log'));
  expect(await signing()).toEqual({ state: 'unsigned' });
  expect((await keys({}, 'log', 'adopt')).stderr).toBe(
    'this machine has no key: set LOG_SIGNING_KEY to the file of one\n',
  );

  // With one
  const created = await keys({}, 'log', 'create', file);
  expect([created.code, created.stderr]).toEqual([0, '']);
  const [vkey = ''] = vkeysIn(created.stdout);
  expect((await keys({}, 'log', 'create', file)).stderr).toContain('exists already');
  await restart(withKey());
  await until(async () => (await checkpoint()).status === 200);
  expect(await signing()).toEqual({ state: 'signing' });
  expect(isSigned(await (await checkpoint()).text(), vkey)).toBe(true);
  const shown = await keys(withKey(), 'log');
  expect(shown.stdout).toContain(
    `Signed by: ${vkey}\n\nKey: ${file}\nVerifier key to publish: ${vkey}\nLast signed: `,
  );

  // Without its state
  rmSync(`${file}.state`);
  await write();
  await until(async () => (await signing()).state === 'no-state');
  expect((await fetch(`${service.origin}/readyz`)).status).toBe(200);
  expect((await keys(withKey(), 'log')).stdout).toContain('Its state file is missing or damaged');
  const before = await sizeOf(1);
  const adopted = await keys(withKey(), 'log', 'adopt');
  expect(adopted).toMatchObject({ code: 0, stderr: '' });
  expect(adopted.stdout).toContain(`${file} signs again, from size ${before} on.`);
  expect((await keys(withKey(), 'log', 'adopt')).stderr).toContain('so there is nothing to adopt');
  await until(async () => (await signing()).state === 'signing' && (await sizeOf(1)) > before);

  // In a new generation
  const asked = await keys(withKey(), 'log', 'new-generation');
  const [, agreed = ''] = /--agreed (\d+)/.exec(asked.stderr) ?? [];
  expect([asked.code, asked.stderr]).toEqual([
    1,
    `Nothing is started yet. To start the generation, run the command with --agreed ${agreed}\n`,
  ]);
  const wrong = await keys(withKey(), 'log', 'new-generation', '--agreed', `${agreed}0`);
  expect([wrong.code, existsSync(file)]).toEqual([1, true]);
  // The log that goes on doesn't outrun its operator.
  await write();
  await until(async () => (await sizeOf(1)) > Number(agreed));
  const last = await sizeOf(1);
  const started = await keys(withKey(), 'log', 'new-generation', '--agreed', agreed);
  expect([started.code, started.stderr]).toEqual([0, '']);
  const [next = ''] = vkeysIn(started.stdout);
  await until(async () => (await checkpoint(2)).status === 200 && (await sizeOf(2)) > 1);
  expect(isSigned(await (await checkpoint(2)).text(), next)).toBe(true);
  expect(await sizeOf(1)).toBe(last);
  expect(await signing()).toEqual({ state: 'signing' });
  const audit = await fetch(`${service.origin}/v1/audit?subject=/v1/log&limit=1`, {
    headers: { authorization: `Bearer ${apiKey}` },
  });
  const { items } = (await audit.json()) as { items: { method: string; summary: string }[] };
  expect(items).toMatchObject([
    { method: 'LOCAL', summary: `Started generation 2 after size ${last} of generation 1` },
  ]);
});

test('a key that is missing keeps the service from starting, and says so', async () => {
  const program = run('server.js', [], { ...settings, PORT: '0', LOG_SIGNING_KEY: `${file}.none` });
  expect((await program.ended).code).toBe(1);
  expect(program.stderr()).toBe(
    `Outlook Ledger can't start: the signing key ${file}.none does not exist\n`,
  );
});

test.each([
  ['an unknown command', ['log', 'rotate'], 'Unknown command "log rotate".'],
  ['no file', ['log', 'create'], 'Name one file.'],
  ['a size that is none', ['log', 'new-generation', '--agreed', 'all'], '--agreed takes a size'],
  ['an unknown option', ['log', 'adopt', '--force'], '--force'],
])('%s is answered by the usage', async (_, args, message) => {
  const { code, stderr } = await keys({ DATABASE_URL: 'postgres://127.0.0.1:1/none' }, ...args);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
  expect(stderr).toContain('npm run keys -- log new-generation [--agreed SIZE]');
});
