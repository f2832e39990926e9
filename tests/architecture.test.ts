import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

type Module = { name: string; room: string; lines: number; imports: string[] };

const modules: Module[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tsx?$/.test(name))
  .map((name) => {
    const text = readFileSync(path.join(SRC, name), 'utf8');
    return {
      name,
      room: roomOf(name),
      lines: text.split('\n').length - 1,
      imports: importsOf(name, text),
    };
  });

/** The folder right under src; `top` for commands and for what lies in src itself. */
function roomOf(name: string): string {
  const folder = name.includes('/') ? name.split('/', 1)[0] : undefined;
  return folder === undefined || folder === 'commands' ? 'top' : folder;
}

/** What a module imports: modules by their path from src, packages by their name. */
function importsOf(name: string, text: string): string[] {
  const sources = text.matchAll(/(?:(?<!')\bfrom|^import|\bimport\()\s*'([^']+)'/gm);
  return [...sources].map(([, source = '']) =>
    source.startsWith('.') ? path.posix.join(path.posix.dirname(name), source) : source,
  );
}

const isOurs = (source: string) => /\.tsx?$/.test(source) && !source.startsWith('../');

test('the walk finds the modules and what they import', () => {
  expect(modules.length).toBeGreaterThan(30);
  const server = modules.find(({ name }) => name === 'server.ts');
  expect(server?.imports).toEqual(
    expect.arrayContaining(['pino', 'app.ts', 'postgres/database.ts']),
  );
  const known = new Set(modules.map(({ name }) => name));
  const unknown = modules.flatMap(({ imports }) =>
    imports.filter((one) => isOurs(one) && !known.has(one)),
  );
  expect(unknown).toEqual([]);
});

/** From left to right. A module imports from its own room and from rooms to the left of it. */
const ROOMS = [
  'domain',
  'postgres',
  'outbound',
  'http',
  'access',
  'charts',
  'ledger',
  'api',
  'pulls',
  'webhooks',
  'log',
  'pages',
  'top',
];

/** What a room may import besides: packages by name. Rooms that are not listed may import any. */
const PACKAGES: Record<string, RegExp> = {
  domain: /^(node:crypto|canonicalize|csv-parse\/sync|decimal\.js|unhomoglyph)$/,
  postgres: /^(node:.+|pg|pg-copy-streams|split2|@opentelemetry\/api|drizzle-orm(\/.+)?)$/,
  outbound: /^(node:.+|ipaddr\.js)$/,
  http: /^(?!drizzle-orm|preact)/,
  access: /^(?!drizzle-orm|preact)/,
  charts:
    /^(node:(crypto|module|v8|vm)|d3-.+|preact(-render-to-string)?|@resvg\/resvg-js|piscina)$/,
  ledger: /^(node:.+|pg|lru-cache)$/,
  api: /^(?!drizzle-orm|preact)/,
  pulls: /^(?!drizzle-orm|preact)/,
  webhooks: /^(?!drizzle-orm|preact)/,
  log: /^(?!drizzle-orm|preact)/,
  pages: /^(node:.+|pg|preact(-render-to-string)?|zod|fastify)$/,
  browser: /^\.\.\/client\/receipt\.ts$/,
};

/** The imports that break the rule, in words. */
function wrongImports(modules: readonly Module[]): string[] {
  return modules.flatMap(({ name, room, imports }) => {
    // Scripts of pages run in browsers: they share nothing with the service, but verify receipts as the client does.
    const rooms = room === 'browser' ? ['browser'] : ROOMS.slice(0, ROOMS.indexOf(room) + 1);
    const isAllowed = (source: string) =>
      isOurs(source) ? rooms.includes(roomOf(source)) : (PACKAGES[room] ?? /./).test(source);
    return imports
      .filter((source) => !isAllowed(source))
      .map((source) => `${name} imports ${source}`);
  });
}

test('imports point leftwards', () => {
  expect(wrongImports(modules)).toEqual([]);
});

test.each([
  ['domain/review.ts', '../postgres/pool.ts'],
  ['domain/review.ts', 'pg'],
  ['http/paging.ts', '../ledger/versions.ts'],
  ['ledger/versions.ts', '../api/versions.ts'],
  ['outbound/exchange.ts', '../http/problems.ts'],
  ['pulls/puller.ts', '../webhooks/dispatcher.ts'],
  ['webhooks/send.ts', '../log/tree.ts'],
  ['log/tree.ts', '../pages/layout.tsx'],
  ['api/versions.ts', '../commands/keys.ts'],
  ['pages/read.ts', '../app.ts'],
  ['browser/live.ts', '../domain/review.ts'],
  ['domain/review.ts', '../../client/receipt.ts'],
])('the rule refuses that %s imports %s', (name, source) => {
  const imports = importsOf(name, `import { one } from '${source}';`);
  const [wrong] = wrongImports([{ name, room: roomOf(name), lines: 1, imports }]);
  expect(wrong).toBe(`${name} imports ${imports[0]}`);
});

test('there are no other rooms', () => {
  expect(new Set(modules.map(({ room }) => room))).toEqual(new Set([...ROOMS, 'browser']));
});

test('no modules import each other in a circle', () => {
  const left = new Map(modules.map(({ name, imports }) => [name, imports.filter(isOurs)]));
  const leaf = () => [...left].find(([, imports]) => imports.every((one) => !left.has(one)))?.[0];
  for (let next = leaf(); next !== undefined; next = leaf()) left.delete(next);
  expect([...left.keys()]).toEqual([]);
});

test('no module only re-exports others', () => {
  expect(modules.filter(({ name }) => path.basename(name) === 'index.ts')).toEqual([]);
});

test('no module is longer than 300 lines', () => {
  expect(modules.filter(({ lines }) => lines > 300).map(({ name }) => name)).toEqual([]);
});
