import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

type Module = { name: string; layer: string; lines: number; imports: string[] };

const modules: Module[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tsx?$/.test(name))
  .map((name) => {
    const text = readFileSync(path.join(SRC, name), 'utf8');
    return {
      name,
      layer: layerOf(name),
      lines: text.split('\n').length - 1,
      imports: importsOf(name, text),
    };
  });

/** The folder right under src; `app` for what lies in src itself. */
function layerOf(name: string): string {
  return name.includes('/') ? (name.split('/', 1)[0] ?? '') : 'app';
}

/** What a module imports: modules by their path from src, packages by their name. */
function importsOf(name: string, text: string): string[] {
  const sources = text.matchAll(/(?:\bfrom|^import|\bimport\()\s*'([^']+)'/gm);
  return [...sources].map(([, source = '']) =>
    source.startsWith('.') ? path.posix.join(path.posix.dirname(name), source) : source,
  );
}

const isOurs = (source: string) => /\.tsx?$/.test(source);

test('the walk finds the modules and what they import', () => {
  expect(modules.length).toBeGreaterThan(30);
  const server = modules.find(({ name }) => name === 'server.ts');
  expect(server?.imports).toEqual(expect.arrayContaining(['pino', 'app.ts', 'db/database.ts']));
  const known = new Set(modules.map(({ name }) => name));
  const unknown = modules.flatMap(({ imports }) =>
    imports.filter((one) => isOurs(one) && !known.has(one)),
  );
  expect(unknown).toEqual([]);
});

test.each<[string, string[], RegExp]>([
  ['domain', ['domain'], /^(node:crypto|canonicalize)$/],
  [
    'db',
    ['db', 'domain'],
    /^(node:.+|pg|pg-copy-streams|split2|@opentelemetry\/api|drizzle-orm(\/.+)?|lru-cache)$/,
  ],
  [
    'charts',
    ['charts', 'domain'],
    /^(node:(crypto|module)|d3-.+|preact(-render-to-string)?|@resvg\/resvg-js|piscina)$/,
  ],
  ['http', ['http', 'charts', 'db', 'domain'], /^(?!drizzle-orm(?!\/errors$)|preact)/],
  [
    'pages',
    ['pages', 'http', 'charts', 'db', 'domain'],
    /^(node:.+|preact(-render-to-string)?|zod|fastify)$/,
  ],
  ['browser', ['browser'], /^$/],
  ['app', ['app', 'pages', 'http', 'db', 'domain'], /./],
])('%s imports only %j', (layer, layers, packages) => {
  const inLayer = modules.filter((module) => module.layer === layer);
  expect(inLayer).not.toEqual([]);
  const wrong = inLayer.flatMap(({ name, imports }) =>
    imports
      .filter((source) =>
        isOurs(source) ? !layers.includes(layerOf(source)) : !packages.test(source),
      )
      .map((source) => `${name} imports ${source}`),
  );
  expect(wrong).toEqual([]);
});

test('there is no layer but these', () => {
  expect(new Set(modules.map(({ layer }) => layer))).toEqual(
    new Set(['app', 'browser', 'charts', 'db', 'domain', 'http', 'pages']),
  );
});

test('no modules import each other in a circle', () => {
  const left = new Map(modules.map(({ name, imports }) => [name, imports.filter(isOurs)]));
  const leaf = () => [...left].find(([, imports]) => imports.every((one) => !left.has(one)))?.[0];
  for (let next = leaf(); next !== undefined; next = leaf()) left.delete(next);
  expect([...left.keys()]).toEqual([]);
});

test('no module only gathers others', () => {
  expect(modules.filter(({ name }) => path.basename(name) === 'index.ts')).toEqual([]);
});

test('no module is longer than 300 lines', () => {
  expect(modules.filter(({ lines }) => lines > 300).map(({ name }) => name)).toEqual([]);
});
