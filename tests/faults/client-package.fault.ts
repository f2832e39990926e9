import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { codeBlocksOf, textOf } from '../support/documents.ts';

// The npm package of the client, in an empty project.

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NAME = '@outlook-ledger/client';

type Manifest = { version: string; license: string; dependencies: Record<string, string> };

let project: string;
let archive: string;
let manifest: Manifest;
beforeAll(() => {
  project = mkdtempSync(path.join(tmpdir(), 'client-package-'));
  execFileSync('npm', ['pack', '-w', NAME, '--pack-destination', project], {
    cwd: ROOT,
    stdio: 'pipe',
  });
  const modules = path.join(project, 'node_modules');
  const folder = path.join(modules, NAME);
  mkdirSync(folder, { recursive: true });
  manifest = JSON.parse(readFileSync(path.join(ROOT, 'client/package.json'), 'utf8')) as Manifest;
  archive = path.join(project, `outlook-ledger-client-${manifest.version}.tgz`);
  execFileSync('tar', ['xzf', archive, '-C', folder, '--strip-components=1']);
  // What npm would install: the dependencies that it declares, and no others.
  for (const name of Object.keys(manifest.dependencies)) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name));
  }
  writeFileSync(path.join(project, 'package.json'), '{}');
});
afterAll(() => rmSync(project, { recursive: true }));

const nodeIn = (args: readonly string[]) =>
  execFileSync(process.execPath, args, { cwd: project, encoding: 'utf8' });

test('it is a module, and CommonJS', () => {
  const print = 'console.log(Object.keys(client).sort().join())';
  const esModule = nodeIn([
    '--input-type=module',
    '-e',
    `import * as client from '${NAME}'; ${print}`,
  ]);
  const commonJs = nodeIn([
    '--input-type=commonjs',
    '-e',
    `const client = require('${NAME}'); ${print}`,
  ]);
  expect(esModule).toContain('createClient');
  expect(commonJs).toBe(esModule);
});

test('its licence is that of the project', () => {
  const licence = readFileSync(path.join(project, 'node_modules', NAME, 'LICENSE'), 'utf8');
  expect(licence).toBe(readFileSync(path.join(ROOT, 'LICENSE'), 'utf8'));
});

/** The examples of the README, each in a function of its own, and a mistake in each of their calls. */
function writeUses(): void {
  const examples = codeBlocksOf(textOf('client/README.md')).filter(
    ({ language }) => language === 'ts',
  );
  const bodies = examples.map(({ text }, index) => {
    const body = text.replace(/^import .*$/m, '');
    return `export async function example${index}(): Promise<void> {\n${body}\n}`;
  });
  const text = `import { createClient, isProblem, type Outlook } from '${NAME}';
${bodies.join('\n')}
export async function mistakes(): Promise<void> {
  const ledger = createClient({ baseUrl: '' });
  // @ts-expect-error: no such path
  await ledger.GET('/v1/outlook');
  // @ts-expect-error: not a list
  ledger.paginate('/v1/outlooks/{slug}', { params: { path: { slug: '' } } });
  for await (const event of ledger.subscribe()) {
    // @ts-expect-error: not all events have it
    console.log(event.data.probabilities);
  }
}
`;
  for (const ending of ['ts', 'mts', 'cts'])
    writeFileSync(path.join(project, `use.${ending}`), text);
}

test.each([
  ['nodenext', 'nodenext', ['use.mts', 'use.cts']],
  ['node16', 'node16', ['use.mts', 'use.cts']],
  ['esnext', 'bundler', ['use.ts']],
  ['commonjs', 'node10', ['use.ts']],
])('its types work with module %s and moduleResolution %s', (kind, resolution, files) => {
  writeUses();
  // TypeScript 7 has no node10.
  const tsc = path.join(ROOT, 'client/node_modules/typescript/bin/tsc');
  const options = `--noEmit --strict --target es2023 --lib es2023,dom --skipLibCheck false`.split(
    ' ',
  );
  const { stdout, status } = spawnSync(
    process.execPath,
    [tsc, ...options, '--module', kind, '--moduleResolution', resolution, ...files],
    { cwd: project, encoding: 'utf8' },
  );
  expect([status, stdout]).toEqual([0, '']);
});

test('publint and arethetypeswrong find nothing', () => {
  for (const [tool, ...args] of [
    ['publint', 'run', archive, '--strict'],
    ['attw', archive, '--no-color'],
  ] as const) {
    const program = path.join(ROOT, 'node_modules/.bin', tool);
    const { status, stdout } = spawnSync(program, args, { cwd: project, encoding: 'utf8' });
    expect([status, status === 0 ? '' : stdout]).toEqual([0, '']);
  }
});
