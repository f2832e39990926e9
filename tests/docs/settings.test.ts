import { parseEnv } from 'node:util';
import { expect, test } from 'vitest';
import { SETTINGS } from '../../src/config.ts';
import { textOf } from '../support/documents.ts';

/** The settings that docs/operate/settings.md lists: each with its default, empty where that is no value. */
const documented = Object.fromEntries(
  [...textOf('docs/operate/settings.md').matchAll(/^\| `([A-Z_]+)` +\| ([^|]*)/gm)].map(
    ([, name = '', cell = '']) => [name, /^`([^`]*)`/.exec(cell)?.[1] ?? ''],
  ),
);

test('the page of settings lists each setting', () => {
  expect(Object.keys(documented).toSorted()).toEqual(SETTINGS.toSorted());
});

test('the page of settings has the defaults of .env.example', () => {
  expect(documented).toEqual({ ...parseEnv(textOf('.env.example')) });
});
