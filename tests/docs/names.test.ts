import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { absolute, codeBlocksOf, DOCUMENTS, inlineCodeOf, textOf } from '../support/documents.ts';

/** A path without the names of its parameters. */
const bare = (path: string): string => path.replaceAll(/\{\w+\}/g, '{}');

const { paths } = JSON.parse(textOf('openapi/openapi.json')) as { paths: Record<string, object> };
const OPERATIONS = [
  ...Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${bare(path)}`),
  ),
  'GET /metrics', // for operators, so not in the API document
];

/** Whether a request such as `GET $RUT/conditions` or `POST …/resolution` is one of the API. */
function isRequest(request: string): boolean {
  const [method = '', address = ''] = request.split(' ');
  const path = bare(address.replace('$RUT', '/v1/outlooks/{slug}').replace(/\?.*/, ''));
  return path.startsWith('…')
    ? OPERATIONS.some((one) => one.startsWith(`${method} `) && one.endsWith(path.slice(1)))
    : OPERATIONS.includes(`${method} ${path}`);
}

const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
const isScript = (name: string): boolean => name in scripts;

const isModule = (name: string): boolean =>
  existsSync(absolute(name)) || existsSync(absolute(`src/${name}`));

function namedIn(document: string): { requests: string[]; scripts: string[]; modules: string[] } {
  const text = textOf(document);
  const code = inlineCodeOf(text);
  const blocks = codeBlocksOf(text).map((block) => block.text);
  return {
    requests: code.filter((one) => /^(?:GET|POST|PUT|PATCH|DELETE) [/$…]\S*$/.test(one)),
    scripts: [...code, ...blocks].flatMap((one) =>
      [...one.matchAll(/\bnpm (?:run (?:-s )?|(?=start|test))([a-z:]+)/g)].map(
        ([, name = '']) => name,
      ),
    ),
    modules: code.filter((one) => /^[\w./-]+\/[\w.-]+\.tsx?$/.test(one)),
  };
}

test.each(DOCUMENTS)('the requests, scripts and modules that %s names exist', (document) => {
  const named = namedIn(document);
  expect(named.requests.filter((one) => !isRequest(one))).toEqual([]);
  expect(named.scripts.filter((one) => !isScript(one))).toEqual([]);
  expect(named.modules.filter((one) => !isModule(one))).toEqual([]);
});

test('they are found, and one that does not exist would be noticed', () => {
  const named = DOCUMENTS.map(namedIn);
  expect(named.flatMap(({ requests }) => requests).length).toBeGreaterThan(40);
  expect(named.flatMap(({ scripts: names }) => names).length).toBeGreaterThan(30);
  expect(named.flatMap(({ modules }) => modules).length).toBeGreaterThan(10);
  expect(isRequest('GET /v1/outlooks/{name}')).toBe(true);
  expect(isRequest('GET /v1/outlook/{name}')).toBe(false);
  expect(isRequest('DELETE $RUT')).toBe(false);
  expect([isScript('nothing'), isModule('domain/nothing.ts')]).toEqual([false, false]);
});
