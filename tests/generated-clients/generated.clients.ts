import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findProgram, missingPrograms } from '../support/programs.ts';
import { cleanUp, keysShown, newFolder, startService } from '../support/service.ts';

// Generates clients from the OpenAPI document, compiles them, and runs a small program on each against a service.

const ROOT = path.resolve(import.meta.dirname, '../..');
const DOCUMENT = path.join(ROOT, 'openapi/openapi.json');

type Client = {
  name: string;
  /** The programs that it is made with. */
  needs: string[];
  /** Generates and compiles it in an empty folder. @returns the command that runs the program there */
  build: (folder: string) => string[];
};

const CLIENTS: Client[] = [
  { name: 'python', needs: ['openapi-generator-cli', 'java', 'python3'], build: buildPython },
  { name: 'openapi-python-client', needs: ['openapi-python-client', 'python3'], build: buildOther },
  { name: 'typescript', needs: ['openapi-generator-cli', 'java'], build: buildTypeScript },
  { name: 'go', needs: ['openapi-generator-cli', 'java', 'go'], build: buildGo },
  { name: 'oapi-codegen', needs: ['oapi-codegen', 'go'], build: buildOapi },
  { name: 'java', needs: ['openapi-generator-cli', 'java', 'mvn'], build: buildJava },
  { name: 'rust', needs: ['openapi-generator-cli', 'java', 'cargo'], build: buildRust },
];

const table: string[] = [];
afterAll(async () => {
  await cleanUp();
  process.stdout.write(`\n${table.map((row) => `${row}\n`).join('')}`);
});

describe('a client that is generated for', () => {
  test.for(CLIENTS)('$name works', async ({ name, needs, build }, { skip }) => {
    const missing = missingPrograms(needs);
    if (missing.length > 0) {
      table.push(`${name}: SKIPPED, ${missing.join(', ')} not installed`);
      skip(`${missing.join(', ')} not installed`);
    }
    const folder = newFolder();
    const [program = '', ...args] = build(folder);
    const service = await startService({ DATA_DIR: newFolder() });
    const settings = { BASE_URL: service.origin, KEY: keysShown(service.stdout())[0] ?? '' };
    const printed = run(folder, program, args, settings);
    rmSync(folder, { recursive: true, force: true });
    expect(JSON.parse(printed.trim().split('\n').at(-1) ?? '')).toEqual({
      rules: {
        'rate-relief': 'us-30y-yield',
        'financing-access': 'all 2',
        'persistently-high-rates': 'us-30y-yield',
      },
      listed: 2,
      version: 2,
      history: 2,
      moved: 0.05,
      evidence: 'headwind',
      problem: '/problems/probability-sum',
      excess: 0.05,
    });
    table.push(`${name}: generated, compiled and run`);
  });
});

/** Runs a program to its end, at low priority, and returns what it printed. */
function run(
  folder: string,
  program: string,
  args: string[],
  settings: Record<string, string> = {},
): string {
  const ran = spawnSync('nice', [findProgram(program) ?? program, ...args], {
    cwd: folder,
    env: { ...process.env, ...settings },
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (ran.status === 0) return ran.stdout;
  const said = `${ran.stdout}\n${ran.stderr}`.slice(-4_000);
  throw new Error(`${program} ${args.join(' ')} ended with ${ran.status}: ${said}`);
}

/**
 * Generates a client with openapi-generator. It takes `webhooks` for operations of the service, and its Python and
 * TypeScript clients import nameless models for them, so they are left out.
 */
function generate(folder: string, generator: string, ...options: string[]): void {
  const { webhooks: _, ...document } = JSON.parse(readFileSync(DOCUMENT, 'utf8')) as object & {
    webhooks?: unknown;
  };
  writeFileSync(path.join(folder, 'openapi.json'), JSON.stringify(document));
  const args = ['generate', '-i', 'openapi.json', '-g', generator, '-o', 'client', ...options];
  run(folder, 'openapi-generator-cli', args);
}

function copyProgram(folder: string, file: string): void {
  cpSync(path.join(import.meta.dirname, file), path.join(folder, path.basename(file)));
}

/** Installs a generated package for Python in an environment of its own. */
function install(folder: string): string[] {
  run(folder, 'python3', ['-m', 'venv', 'venv']);
  run(folder, 'venv/bin/pip', ['install', '--quiet', '--no-compile', './client']);
  return [path.join(folder, 'venv/bin/python'), 'main.py'];
}

function buildPython(folder: string): string[] {
  generate(folder, 'python');
  copyProgram(folder, 'python/main.py');
  return install(folder);
}

function buildOther(folder: string): string[] {
  run(folder, 'openapi-python-client', ['generate', '--path', DOCUMENT, '--output-path', 'client']);
  copyProgram(folder, 'openapi-python-client/main.py');
  return install(folder);
}

function buildTypeScript(folder: string): string[] {
  generate(folder, 'typescript-fetch', '--additional-properties=importFileExtension=.js');
  copyProgram(folder, 'typescript/main.ts');
  writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
  const strict = ['--strict', '--target', 'es2022', '--module', 'nodenext', '--skipLibCheck'];
  const types = ['--types', 'node', '--typeRoots', path.join(ROOT, 'node_modules/@types')];
  const compiler = path.join(ROOT, 'node_modules/.bin/tsc');
  run(folder, compiler, [...strict, ...types, '--outDir', 'dist', 'main.ts']);
  return [process.execPath, 'dist/main.js'];
}

function buildGo(folder: string): string[] {
  generate(folder, 'go', '--additional-properties=packageName=ledger');
  writeFileSync(path.join(folder, 'client/go.mod'), 'module example.com/ledger\n\ngo 1.23\n');
  copyProgram(folder, 'go/main.go');
  writeFileSync(
    path.join(folder, 'go.mod'),
    'module example.com/client\n\ngo 1.23\n\nreplace example.com/ledger => ./client\n',
  );
  rmSync(path.join(folder, 'client/test'), { recursive: true, force: true });
  run(path.join(folder, 'client'), 'go', ['mod', 'tidy']);
  run(folder, 'go', ['mod', 'tidy']);
  run(folder, 'go', ['build', '-o', 'main', '.']);
  return [path.join(folder, 'main')];
}

function buildOapi(folder: string): string[] {
  mkdirSync(path.join(folder, 'ledger'));
  // Otherwise the events of webhooks have no types.
  const options = ['-generate', 'types,client,skip-prune', '-package', 'ledger'];
  run(folder, 'oapi-codegen', [...options, '-o', 'ledger/ledger.go', DOCUMENT]);
  copyProgram(folder, 'oapi-codegen/main.go');
  writeFileSync(path.join(folder, 'go.mod'), 'module example.com/client\n\ngo 1.23\n');
  run(folder, 'go', ['mod', 'tidy']);
  run(folder, 'go', ['build', '-o', 'main', '.']);
  return [path.join(folder, 'main')];
}

function buildJava(folder: string): string[] {
  generate(folder, 'java', '--library=native');
  const client = path.join(folder, 'client');
  cpSync(
    path.join(import.meta.dirname, 'java/Main.java'),
    path.join(client, 'src/main/java/Main.java'),
  );
  const quiet = ['--batch-mode', '--quiet', '-DskipTests'];
  const goals = ['compile', 'dependency:build-classpath', '-Dmdep.outputFile=classpath.txt'];
  run(client, 'mvn', [...quiet, ...goals]);
  const classes = readFileSync(path.join(client, 'classpath.txt'), 'utf8').trim();
  return [
    'java',
    '-cp',
    `${path.join(client, 'target/classes')}${path.delimiter}${classes}`,
    'Main',
  ];
}

function buildRust(folder: string): string[] {
  generate(folder, 'rust');
  mkdirSync(path.join(folder, 'src'));
  cpSync(path.join(import.meta.dirname, 'rust/main.rs'), path.join(folder, 'src/main.rs'));
  const manifest = [
    '[package]\nname = "main"\nversion = "0.1.0"\nedition = "2021"\n',
    '[dependencies]\nopenapi = { path = "client", default-features = false }',
    'serde_json = "1"\ntokio = { version = "1", features = ["rt", "macros"] }\n',
  ];
  writeFileSync(path.join(folder, 'Cargo.toml'), manifest.join('\n'));
  run(folder, 'cargo', ['build', '--quiet']);
  return [path.join(folder, 'target/debug/main')];
}
