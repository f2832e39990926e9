import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { absolute, anchorsOf, DOCUMENTS, linksOf, textOf } from '../support/documents.ts';

type Link = { from: string; target: string; file: string; anchor: string };

/** The relative links of a document, each with the file it leads to, from the root of the project. */
function relativeLinks(from: string): Link[] {
  return linksOf(textOf(from))
    .filter((target) => !/^[a-z][a-z+.-]*:/i.test(target))
    .map((target) => {
      const [place = '', anchor = ''] = decodeURI(target).split('#');
      const file = place === '' ? from : path.posix.join(path.posix.dirname(from), place);
      return { from, target, file, anchor };
    });
}

function isBroken({ file, anchor }: Link): boolean {
  if (file.startsWith('..') || !existsSync(absolute(file))) return true;
  return anchor !== '' && !anchorsOf(textOf(file)).includes(anchor);
}

test('the walk finds the documents and their links', () => {
  expect(DOCUMENTS).toEqual(expect.arrayContaining(['README.md', 'docs/tour.md', 'cli/README.md']));
  expect(relativeLinks('README.md').length).toBeGreaterThan(10);
});

test.each(DOCUMENTS)('every link of %s resolves', (name) => {
  expect(relativeLinks(name).filter(isBroken)).toEqual([]);
});

test('a link to a file or a heading that is missing would be noticed', () => {
  const link = { from: 'README.md', target: '', file: 'docs/tour.md', anchor: 'start' };
  expect(isBroken(link)).toBe(false);
  expect(isBroken({ ...link, anchor: 'nowhere' })).toBe(true);
  expect(isBroken({ ...link, file: 'docs/nowhere.md' })).toBe(true);
});

test('the README leads to every document', () => {
  const found = new Set(['README.md']);
  for (const name of found) {
    if (!name.endsWith('.md')) continue;
    for (const { file } of relativeLinks(name)) found.add(file);
  }
  expect(DOCUMENTS.filter((name) => !found.has(name))).toEqual([]);
});

test('the README fits on a few screens', () => {
  expect(Buffer.byteLength(textOf('README.md'))).toBeLessThanOrEqual(6_144);
});

test('SECURITY.md names tests that exist', () => {
  const named = [...textOf('SECURITY.md').matchAll(/`([a-z]+(?:\/[a-z-]+)+)`/g)].map(
    ([, name = '']) => name,
  );
  expect(named.length).toBeGreaterThan(40);
  const missing = named.filter(
    (name) =>
      !['.test.ts', '.fault.ts'].some((ending) => existsSync(absolute(`tests/${name}${ending}`))),
  );
  expect(missing).toEqual([]);
});
